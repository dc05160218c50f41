"""What everything stands on: errors, files, progress, the machine. Knows nothing of the science."""

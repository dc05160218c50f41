"""The basis of all other wings: errors, files, progress, the machine. Independent of the science."""

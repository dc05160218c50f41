"""What a run leaves behind: its directory, what people noted about it, the catalogue over all runs."""

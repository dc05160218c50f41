"""Where and when experiments run: backends, the queue, its worker."""

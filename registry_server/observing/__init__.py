"""What can be seen of a running server: figures, lines in the log, traces."""

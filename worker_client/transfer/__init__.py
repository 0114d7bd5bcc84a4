"""What goes into a registry and out of it as files: `genrectl import` and `genrectl export`."""

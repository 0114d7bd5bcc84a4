"""The genre registry's server."""

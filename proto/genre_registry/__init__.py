"""The genre registry's contract, a package a version."""

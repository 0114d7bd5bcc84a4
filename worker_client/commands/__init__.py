"""The commands of `genrectl`, by what they are about."""

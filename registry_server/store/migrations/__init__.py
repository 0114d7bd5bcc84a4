"""The schema's history, one step a file, applied on start through the writing connection."""

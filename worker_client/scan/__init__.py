"""Scanning a music folder: files are read in processes of their own, and resolved in batches."""

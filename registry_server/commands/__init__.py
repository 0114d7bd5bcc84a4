"""The operator's commands, a module for each topic; `cli.py` gathers them."""

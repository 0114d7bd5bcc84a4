"""
`genrectl`, also as `python -m worker_client`.

Every process that reads tags imports the module of the command that started it: this one
loads nothing.
"""


def main() -> None:
    """Run `genrectl`."""
    from worker_client.cli import main as genrectl

    genrectl()


if __name__ == "__main__":
    main()

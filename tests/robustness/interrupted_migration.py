"""
`genre-registry migrate`, which ends at a given statement: dead, or by the driver's error.

Run as a command: DIED|FAILED NUMBER COUNTED, then what `genre-registry` is given. COUNTED is a
file that how many statements there were is written to.
"""

import os
import signal
import sqlite3
import sys
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from registry_server import cli


def main() -> None:
    how, number, counted = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    seen = 0

    def come_to(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen != number:
            return
        if how == "DIED":
            os.kill(os.getpid(), signal.SIGKILL)
        raise sqlite3.OperationalError("disk I/O error")

    def come_to_commit(_: Connection) -> None:
        come_to()

    event.listen(Engine, "before_cursor_execute", come_to)
    event.listen(Engine, "commit", come_to_commit)
    sys.argv = ["genre-registry", *sys.argv[4:]]
    try:
        cli.main()
    finally:
        counted.write_text(str(seen))

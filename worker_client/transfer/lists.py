"""Plain lists of names, such as the whitelist of beets' plugin `lastgenre`."""

from collections.abc import Iterator
from typing import BinaryIO

from worker_client.transfer.records import Placed, genre_record, numbered_lines


def read_list(file: BinaryIO) -> Iterator[Placed]:
    """
    Give a record for each name of *file*, a name a line.

    Blank lines are skipped, and those that begin with "#".

    Raises:
        InputWrong: a line is no UTF-8.
    """
    for number, line in numbered_lines(file):
        if (name := line.strip()) and not name.startswith("#"):
            yield Placed(genre_record(name), number)

"""
A write-ahead log as it lies beside a database: is there more in it than SQLite will read?

SQLite reads a WAL up to the first frame that its checksums don't bear out, and says nothing of
those behind it.

Source: https://sqlite.org/fileformat2.html#the_write_ahead_log
"""

import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAGIC = 0x377F0682
"""Of words in the machine's own order, the little end first; with the lowest bit, the big one."""
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_WORD = 0xFFFFFFFF
_SETTLED_S = 0.05
"""What a server is just writing is whole when so much time has passed."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The salts of a WAL, the first frame that is not read, and how many changes with it."""

    salts: tuple[int, int]
    first: int
    changes: int


def unread_changes(path: Path, *, frames_read: int | None = None) -> str:
    """
    Say, in a sentence, what lies in the WAL of the database *path* and is not read: a change
    that was written to its end, behind what is damaged. "" if there is nothing.

    Args:
        frames_read: How many frames SQLite has read of it; None has them summed up here, which
            takes seconds of a long one.
    """
    wal = path.with_name(path.name + "-wal")
    seen = _look(wal, frames_read)
    if seen is not None and frames_read is None:
        # Beside a server, it may just have been half written.
        time.sleep(_SETTLED_S)
        if _look(wal, None) != seen:
            seen = None
    if seen is None:
        return ""
    what = f"from frame {seen.first} on" if seen.first else "as a whole, for its header is damaged"
    return (
        f"{wal.name} can't be read {what}, and changes ({seen.changes} at least) that are in it "
        "are lost. A power cut leaves the like of changes that nobody was told of; if there was "
        "none, the disk lost what was acknowledged: look at dmesg, and compare with a backup"
    )


def _look(wal: Path, frames_read: int | None) -> _Seen | None:
    with suppress(OSError), wal.open("rb") as file:
        return _look_into(file, frames_read)
    return None


def _look_into(file: BinaryIO, frames_read: int | None) -> _Seen | None:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, _, page_bytes, _, *salts, sum_0, sum_1 = _HEADER.unpack(header)
    order = ">" if magic & 1 else "<"
    salt = (salts[0], salts[1])
    if magic & ~1 != _MAGIC or _sums(header[:-8], order, (0, 0)) != (sum_0, sum_1):
        return _Seen(salt, 0, 1) if any(header) else None
    sums, first, changes = (sum_0, sum_1), 0, 0
    for number, (head, page) in enumerate(_frames(file, page_bytes, frames_read), 1):
        _, size, *salt_and_sums = head
        is_of_it = salt_and_sums[:2] == salts
        if not first and frames_read is not None and number <= frames_read:
            continue
        if not first and frames_read is None and is_of_it:
            sums = _sums(page, order, _sums(_FRAME.pack(*head)[:8], order, sums))
            if list(sums) == salt_and_sums[2:]:
                continue
        first = first or number
        changes += is_of_it and size != 0
    return _Seen(salt, first, changes) if changes else None


def _frames(
    file: BinaryIO, page_bytes: int, frames_read: int | None
) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Give each whole frame: its header, and its page where that has to be summed up."""
    left = (os.fstat(file.fileno()).st_size - _HEADER.size) // (_FRAME.size + page_bytes)
    for _ in range(left):
        head = _FRAME.unpack(file.read(_FRAME.size))
        page = b"" if frames_read is not None else file.read(page_bytes)
        if frames_read is not None:
            file.seek(page_bytes, os.SEEK_CUR)
        yield head, page


def _sums(content: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & _WORD
        second = (second + words[at + 1] + first) & _WORD
    return first, second

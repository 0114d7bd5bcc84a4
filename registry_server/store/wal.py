"""
A write-ahead log as it lies beside a database: is there more in it than SQLite will read?

SQLite reads a WAL up to the first frame that its checksums don't bear out, and says nothing of
those behind it.

Source: https://sqlite.org/fileformat2.html#the_write_ahead_log
"""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


def unread_changes(path: Path) -> str:
    """
    Say, in a sentence, what lies in the WAL of the database *path* and will not be read: a
    change that was written to its end, behind what is damaged. "" if there is nothing.
    """
    wal = path.with_name(path.name + "-wal")
    seen = _look(wal)
    if seen is not None:
        # Beside a server, it may just have been half written.
        time.sleep(_SETTLED_S)
        if _look(wal) != seen:
            seen = None
    if seen is None:
        return ""
    what = f"from frame {seen.first} on" if seen.first else "as a whole, for its header is damaged"
    return (
        f"{wal.name} can't be read {what}, and changes ({seen.changes} at least) that are in it "
        "are lost. A power cut leaves the like of changes that nobody was told of yet; if there was "
        "none, the disk lost what was acknowledged: look at dmesg, and compare with a backup"
    )


def _look(wal: Path) -> _Seen | None:
    try:
        content = wal.read_bytes()
    except OSError:
        return None
    if len(content) < _HEADER.size:
        return None
    magic, _, page_bytes, _, *salts, sum_0, sum_1 = _HEADER.unpack_from(content)
    order = ">" if magic & 1 else "<"
    header = content[: _HEADER.size - 8]
    salt = (salts[0], salts[1])
    if magic & ~1 != _MAGIC or _sums(header, order, (0, 0)) != (sum_0, sum_1):
        return _Seen(salt, 0, 1) if any(content) else None
    sums = (sum_0, sum_1)
    frames = _frames(content, page_bytes)
    for number, (at, frame) in enumerate(frames, 1):
        page = content[at + _FRAME.size : at + _FRAME.size + page_bytes]
        if frame[2:4] == salt:
            sums = _sums(page, order, _sums(content[at : at + 8], order, sums))
            if sums == frame[4:6]:
                continue
        behind = [frame, *(other for _, other in frames)]
        changes = sum(other[1] != 0 and other[2:4] == salt for other in behind)
        return _Seen(salt, number, changes) if changes else None
    return None


def _frames(content: bytes, page_bytes: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Give where each whole frame begins, and its header."""
    size = _FRAME.size + page_bytes
    for at in range(_HEADER.size, len(content) - size + 1, size):
        yield at, _FRAME.unpack_from(content, at)


def _sums(content: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & _WORD
        second = (second + words[at + 1] + first) & _WORD
    return first, second

"""What a database lies in: who may write it, room, clock, and how fast the disk keeps things."""

import os
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from registry_server.store.backing_up import newest_change_us

FSYNC_S_MAX = 0.4
"""
The longest write to the card that the client's deadline profile RASPBERRY_PI allows for. It
stands in `worker_client/_deadlines.py` too, which the server does without; a test compares them.
"""
FSYNCS = 50
FSYNC_BYTES = 4096
"""What each of them writes: a page, as a commit does at least."""
ROOM_BYTES = 64 << 20
"""Beside as much room as the database takes, what a migration and the WAL may want."""
RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that is right shows an earlier time than this code was written at."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is so, and what should not be, each with what to do."""

    facts: tuple[str, ...]
    concerns: tuple[str, ...]


def look_around(database: Path, token_file: Path | None) -> Surroundings:
    """
    Look at what *database*, which exists, lies in; leaves nothing behind.

    Args:
        token_file: Who may call; None, or missing, if nobody needs a token.

    Raises:
        OSError: it can't be looked at.
    """
    database = database.resolve()
    concerns = [*_rights(database), *_secrecy(token_file), *_clock(database)]
    free_bytes, wanted_bytes = _room(database)
    facts = [f"free space: {_shown(free_bytes)}"]
    if free_bytes < wanted_bytes:
        concerns.append(
            f"only {_shown(free_bytes)} are free on the disk of {database.parent}, and a migration "
            f"or a backup there wants {_shown(wanted_bytes)}: make room."
        )
    facts.append(_speed(database.parent))
    return Surroundings(tuple(facts), tuple(concerns))


def _rights(database: Path) -> Iterator[str]:
    folder = database.parent
    of_folder, own = folder.stat(), database.stat()
    if own.st_uid != of_folder.st_uid and not of_folder.st_mode & 0o022:
        yield (
            f"{database} and its folder belong to different users, so that its server can't keep "
            f"a WAL beside it: sudo chown --reference={folder} {database}"
        )
    if own.st_mode & 0o600 != 0o600:
        yield f"{database} can't be read and written by its owner: chmod u+rw {database}"
    for end in ("-wal", "-shm", ".lock"):
        beside = database.with_name(database.name + end)
        with suppress(FileNotFoundError):
            if beside.stat().st_uid != own.st_uid:
                yield (
                    f"{beside} belongs to another user than the database, whose server can't "
                    f"open it: sudo chown --reference={database} {beside}"
                )
    for path, mode in ((database, own.st_mode), (folder, of_folder.st_mode)):
        if mode & 0o002 and not mode & 0o1000:
            yield f"everybody on this machine may change {path}: chmod o-w {path}"
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield (
            f"the disk of {folder} is mounted read-only, as a failing card is: look at dmesg, "
            "back up, and try another card."
        )


def _secrecy(token_file: Path | None) -> Iterator[str]:
    if token_file is not None:
        with suppress(FileNotFoundError):
            if token_file.stat().st_mode & 0o007:
                yield f"everybody on this machine may read {token_file}: chmod o= {token_file}"


def _clock(database: Path) -> Iterator[str]:
    now = datetime.now(UTC)
    advice = "Genres get wrong times: see that the clock is set (timedatectl)."
    if now < RELEASED:
        yield f"the clock says {now:%Y-%m-%d %H:%M}: this version was made later. {advice}"
    try:
        newest = datetime.fromtimestamp(newest_change_us(database) / 1e6, UTC)
    except sqlite3.Error:
        return
    if now < newest:
        yield (
            f"the clock says {now:%Y-%m-%d %H:%M}, and the newest change is of "
            f"{newest:%Y-%m-%d %H:%M}. {advice}"
        )


def _room(database: Path) -> tuple[int, int]:
    """Return how many bytes are free where *database* lies, and how many it may want."""
    disk = os.statvfs(database.parent)
    return disk.f_bavail * disk.f_frsize, database.stat().st_size + ROOM_BYTES


def _speed(folder: Path) -> str:
    try:
        took_s = fsyncs_s(folder)
    except OSError as error:
        return f"fsync: not timed, for nothing can be written to {folder} ({error.strerror})"
    worst_s = max(took_s)
    measured = (
        f"fsync: {FSYNCS} took {statistics.median(took_s) * 1000:.1f} ms in the middle, "
        f"{worst_s * 1000:.1f} ms at worst; "
    )
    if worst_s <= FSYNC_S_MAX:
        return measured + (
            f"the deadline profile RASPBERRY_PI, which allows {FSYNC_S_MAX * 1000:.0f} ms, fits"
        )
    return measured + (
        f"the deadline profile RASPBERRY_PI allows {FSYNC_S_MAX * 1000:.0f} ms and does NOT fit: "
        "give workers longer deadlines (write_s), or the database a faster disk"
    )


def fsyncs_s(folder: Path) -> list[float]:
    """Return how long each of `FSYNCS` writes took until the disk of *folder* had it."""
    took_s = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".genre-registry-", suffix=".part") as file:
        for _ in range(FSYNCS):
            file.write(os.urandom(FSYNC_BYTES))
            file.flush()
            began_s = time.perf_counter()
            os.fsync(file.fileno())
            took_s.append(time.perf_counter() - began_s)
    return took_s


def on_one_disk(one: Path, other: Path) -> bool:
    """Whether two paths lie on one disk or card, be it in different partitions."""
    return _disk_of(one) == _disk_of(other)


def _disk_of(path: Path) -> str:
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    block = Path("/sys/dev/block", number)
    if not block.exists():
        return number
    block = block.resolve()
    return str(block.parent if (block / "partition").exists() else block)


_BACKUP_NAME = re.compile(r"registry-\d{8}T\d{6}Z-r\d+\.db")


def backups_in(folder: Path) -> list[Path]:
    """Return the backups in *folder* that were named there, the oldest first."""
    named = (each for each in folder.iterdir() if _BACKUP_NAME.fullmatch(each.name))
    return sorted(each for each in named if each.is_file())


def _shown(size_bytes: int) -> str:
    for unit, bytes_each in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if size_bytes >= bytes_each:
            return f"{size_bytes / bytes_each:.1f} {unit}"
    return f"{size_bytes} bytes"

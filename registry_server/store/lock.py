"""A lock in a file: whoever holds it owns what it stands beside."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HELD_BYTES_MAX = 1024
"""Of a process id and an address, at most."""


class Held(Exception):
    """
    Another process holds the lock; `holder` says which, as far as it said so, and `address`
    where it listens, "" if it did not say.
    """

    def __init__(self, holder: str, address: str = "") -> None:
        super().__init__(holder)
        self.holder = holder
        self.address = address


@contextmanager
def lock_unwritten(path: Path) -> Iterator[None]:
    """
    Hold the lock file *path* as it lies there, where it can't be written. Where there is none,
    nothing is held: whoever owns what stands beside it has made one.

    Raises:
        Held: another process holds it.
        OSError: it can't be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        _take(descriptor)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """
    Hold the lock file *path*, made if missing, until the block ends or the process dies.

    Raises:
        Held: another process holds it.
        OSError: the file can't be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        _take(descriptor)
        _give_to_owner_of_folder(descriptor, path.parent)
        _write(descriptor, "")
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        written = os.read(descriptor, _HELD_BYTES_MAX).decode("utf-8", "replace")
        holder, _, address = written.partition("\n")
        raise Held(holder.strip() or "process id unknown", address.strip()) from None


def announce(path: Path, address: str) -> None:
    """Say in the lock file *path*, which this process holds, that it listens on *address*."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        _write(descriptor, address)
    finally:
        os.close(descriptor)


def _write(descriptor: int, address: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()}\n{address}\n".encode(), 0)


def _give_to_owner_of_folder(descriptor: int, folder: Path) -> None:
    """What root makes by hand would keep another user's server from starting."""
    if os.geteuid() == 0:
        owner = folder.stat()
        with suppress(OSError):  # a file system without owners
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

"""Files with secrets and certificates: read in words, and known to have changed."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker_client._errors import CredentialsUnusable

LOOKED_AT_AGAIN_S = 1.0
"""How old, at most, is what a call knows of a file; a refused token is looked at again at once."""

Stamp = tuple[int, int, int]
"""What changes when a file does: its inode, its size, when it was written."""


class Files:
    """Files as they are now, and whether they have changed since."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths
        self._stamps = self._seen()
        self._looked_at_s = time.monotonic()
        self._have_changed = False

    def have_changed(self) -> bool:
        """Look at them, once a second at most; one that is gone just now is no change."""
        if not self._paths:
            return False
        now_s = time.monotonic()
        if not self._have_changed and now_s >= self._looked_at_s + LOOKED_AT_AGAIN_S:
            self._looked_at_s = now_s
            stamps = self._seen()
            self._have_changed = stamps is not None and stamps != self._stamps
        return self._have_changed

    def take(self) -> None:
        """Take them for unchanged, as they are now."""
        self._have_changed = False
        self._stamps = self._seen()

    def _seen(self) -> list[Stamp] | None:
        """Return what changes when one of them does; None while one is not there."""
        try:
            return [stamp_of(path) for path in self._paths]
        except OSError:
            return None


def stamp_of(path: Path) -> Stamp:
    """
    Return what changes when the file does.

    Raises:
        OSError: there is none, or it is out of reach.
    """
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def content_of(path: Path) -> bytes:
    """
    Return what the file holds.

    Raises:
        CredentialsUnusable: it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as failure:
        raise unreadable(path, failure) from None


def unreadable(path: Path, failure: OSError) -> "CredentialsUnusable":
    """Return what says that the file can't be read."""
    return unusable(f"{path} can't be read: {failure.strerror}.")


def unusable(message: str) -> "CredentialsUnusable":
    """Return the error that says *message*."""
    from worker_client._errors import CredentialsUnusable

    return CredentialsUnusable(message)

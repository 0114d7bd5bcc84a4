"""Files that people name: what is no file is refused, and what is too long is not read."""

import errno
import os
import re
import stat
from pathlib import Path

_GIVEN = re.compile(r"/dev/(null|stdin|fd/\d+)|/proc/(self|\d+)/fd/\d+")
"""What a shell hands over, as in `--settings <(make-settings)`, and nothing at all."""


def is_special(path: Path) -> bool:
    """Whether *path* is a pipe, a device or a socket, of which nobody knows when it ends."""
    try:
        return _is_special(path, path.stat().st_mode)
    except OSError:
        return False


def content_of(path: Path, bytes_max: int) -> bytes:
    """
    Return what the file *path* holds, *bytes_max* at most.

    Raises:
        OSError: it can't be read, is no file, or longer; `strerror` says which.
    """
    # A pipe without a writer would be waited for otherwise.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if _is_special(path, os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "It is a pipe, a device or a socket, and no file", path)
        os.set_blocking(descriptor, True)
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise OSError(errno.EFBIG, f"It holds more than {bytes_max:,} bytes", path)
    return content


def _is_special(path: Path, mode: int) -> bool:
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return False
    return _GIVEN.fullmatch(str(path)) is None

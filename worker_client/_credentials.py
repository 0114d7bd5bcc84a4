"""
What a client shows with each call: its token.

A file is read when it is needed, and again when it has changed, so that a new token wants no
restart.
"""

import re
import time
from pathlib import Path

from worker_client._files import LOOKED_AT_AGAIN_S, Stamp, stamp_of, unreadable, unusable
from worker_client._tls import Tls

TOKEN_BYTES_MAX = 4096
"""Of a token file; gRPC takes 8 KiB of metadata, and a token is some 50 bytes."""

Metadata = tuple[tuple[str, str], ...]

_TOKEN = re.compile(r"[\x21-\x7e]+")
_NO_TOKEN = (
    "this is no token. A token is one word of printable ASCII, as genre-registry token new "
    "prints it."
)


class Credentials:
    """
    A client's token and TLS. Nothing of the token is shown, nor is it in any message.

    Args:
        token: Itself, or the file that holds it and nothing else but white space around it.

    Raises:
        ValueError: *token* is empty, or holds what no token does.
    """

    def __init__(self, token: str | Path | None, tls: Tls | None) -> None:
        self.token = token
        self.tls = tls
        self._path = token if isinstance(token, Path) else None
        self._stamp: Stamp | None = None
        self._looked_at_s = float("-inf")
        self._metadata: Metadata | None = None
        if isinstance(token, str):
            if not _TOKEN.fullmatch(token.strip()):
                raise ValueError(f"token: {_NO_TOKEN}")
            self._metadata = _bearing(token.strip())

    def metadata(self) -> Metadata | None:
        """
        Return what a call carries; None if there is no token.

        A file that is gone, or half written, leaves the token that was last in it.

        Raises:
            CredentialsUnusable: the token's file can't be read, and never could.
        """
        if self._path is not None and time.monotonic() >= self._looked_at_s + LOOKED_AT_AGAIN_S:
            self._look_at(self._path)
        return self._metadata

    def has_changed(self, sent: Metadata | None) -> bool:
        """Look at the token's file; whether what is in it now is another than was *sent*."""
        self._looked_at_s = float("-inf")
        return self.metadata() != sent

    def _look_at(self, path: Path) -> None:
        try:
            stamp = stamp_of(path)
            if stamp != self._stamp:
                self._metadata = _bearing(_token_in(path))
                self._stamp = stamp
        except OSError as failure:
            if self._metadata is None:
                raise unreadable(path, failure) from None
        except ValueError:
            if self._metadata is None:
                raise unusable(f"{path}: {_NO_TOKEN}") from None
        self._looked_at_s = time.monotonic()


def _bearing(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


def _token_in(path: Path) -> str:
    """
    Return the token that the file holds.

    Raises:
        ValueError: it holds none.
    """
    with path.open("rb") as file:
        text = file.read(TOKEN_BYTES_MAX + 1).decode("ascii").strip()
    if len(text) > TOKEN_BYTES_MAX or not _TOKEN.fullmatch(text):
        raise ValueError("no token")
    return text

"""
What the client shows the registry, and how it knows the registry: the token, TLS, certificates.

Files are read when they are needed and again when they have changed, so that a new token or
certificate wants no restart. Nothing here loads gRPC or `ssl` before a channel is opened.
"""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

    from worker_client._errors import CredentialsUnusable

LOOKED_AT_AGAIN_S = 1.0
"""How old, at most, is what a call knows of a file; a refused token is looked at again at once."""
TOKEN_BYTES_MAX = 4096
"""Of a token file; gRPC takes 8 KiB of metadata, and a token is some 50 bytes."""

_TOKEN = re.compile(r"[\x21-\x7e]+")

Metadata = tuple[tuple[str, str], ...]
Stamp = tuple[int, int, int]
"""What changes when a file does: its inode, its size, when it was written."""


@dataclass(frozen=True, slots=True)
class Tls:
    """
    Speak TLS; the files are in PEM.

    Attributes:
        ca: The certificate of the authority that signed the registry's, or several.
        certificate: This client's own and those between it and its authority, for a registry
            that asks for one (mutual TLS); it stands for a token, if the registry lists its name.
        key: The private key of *certificate*, not encrypted.

    Raises:
        ValueError: one of *certificate* and *key* without the other.
    """

    ca: Path
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: give both or neither")

    def stamps(self) -> tuple[Stamp, ...] | None:
        """Return what changes when a file does; None while one of them is not there."""
        try:
            return tuple(_stamp_of(path) for path in self._paths())
        except OSError:
            return None

    def read(self) -> "grpc.ChannelCredentials":
        """
        Return the files' contents, for a channel.

        Raises:
            CredentialsUnusable: a file can't be read, or is not what it should be.
        """
        import grpc

        self._check()
        ca, *own = [_read(path) for path in self._paths()]
        certificate, key = own or (None, None)
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def _paths(self) -> tuple[Path, ...]:
        if self.certificate is None or self.key is None:
            return (self.ca,)
        return (self.ca, self.certificate, self.key)

    def _check(self) -> None:
        """Refuse what gRPC would fail on without a word, at every connection."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for path in self._paths():
            _read(path)
        try:
            context.load_verify_locations(self.ca)
        except ssl.SSLError:
            raise _unusable(f"{self.ca} holds no certificate in PEM.") from None
        if self.certificate is None:
            return
        try:
            context.load_cert_chain(self.certificate, self.key, password="")
        except ssl.SSLError:
            raise _unusable(
                f"{self.certificate} and {self.key} are no pair: a certificate in PEM and its "
                "private key, not encrypted."
            ) from None


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
            stamp = _stamp_of(path)
            if stamp != self._stamp:
                self._metadata = _bearing(_token_in(path))
                self._stamp = stamp
        except OSError as failure:
            if self._metadata is None:
                raise _unreadable(path, failure) from None
        except ValueError:
            if self._metadata is None:
                raise _unusable(f"{path}: {_NO_TOKEN}") from None
        self._looked_at_s = time.monotonic()


class Files:
    """The files of *tls* as they are now, and whether they have changed since."""

    def __init__(self, tls: Tls | None) -> None:
        self._tls = tls
        self._stamps = tls.stamps() if tls else None
        self._looked_at_s = time.monotonic()
        self._have_changed = False

    def have_changed(self) -> bool:
        """Look at them, once a second at most; one that is gone just now is no change."""
        if self._tls is None:
            return False
        now_s = time.monotonic()
        if not self._have_changed and now_s >= self._looked_at_s + LOOKED_AT_AGAIN_S:
            self._looked_at_s = now_s
            stamps = self._tls.stamps()
            self._have_changed = stamps is not None and stamps != self._stamps
        return self._have_changed

    def take(self) -> None:
        """Take them for unchanged, as they are now."""
        self._have_changed = False
        self._stamps = self._tls.stamps() if self._tls else None


_NO_TOKEN = (
    "this is no token. A token is one word of printable ASCII, as genre-registry token new "
    "prints it."
)


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


def _stamp_of(path: Path) -> Stamp:
    found = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failure:
        raise _unreadable(path, failure) from None


def _unreadable(path: Path, failure: OSError) -> "CredentialsUnusable":
    return _unusable(f"{path} can't be read: {failure.strerror}.")


def _unusable(message: str) -> "CredentialsUnusable":
    from worker_client._errors import CredentialsUnusable

    return CredentialsUnusable(message)

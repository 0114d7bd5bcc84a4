"""
The token file: who may call, by a hash of what each caller shows, a token or a certificate.

A token is 256 random bits, so that a plain SHA-256 keeps it: the slow hashes that passwords
need make guessing dear, and nobody guesses 256 bits. The file is replaced as a whole, never
written into, so that a reader sees the old one or the new one.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry_server.vocabulary.callers import Caller, Role, refuse_caller_name

TOKEN_PREFIX = "grt_"
"""What every token starts with, so that scanners for leaked secrets can know it."""
TOKEN_BYTES = 32
TOKENS_BYTES_MAX = 1 << 20
"""Most bytes of a token file that are read: some thousand callers."""
TOKEN, CERTIFICATE = "token", "certificate"
"""What a caller may show."""
ANY_CERTIFICATE = ""
"""In place of a certificate's hash: whichever the authority signed for that name."""
FORMAT = 1
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class TokensUnusable(Exception):
    """The token file can't be used; the message says what is wrong with it, and what to do."""


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """
    A caller, and what is kept of what that one shows: not the token itself.

    `sha256` is the token's, or that of the certificate's DER; `ANY_CERTIFICATE` is allowed.
    """

    name: str
    role: str
    shows: str
    sha256: str
    created: str

    @property
    def caller(self) -> Caller:
        return Caller(self.name, Role.of(self.role))


def hash_of(token: str) -> str:
    """Return what is kept of *token*: its SHA-256 in hex digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def fingerprint_of(pem: bytes) -> str:
    """
    Return what is kept of a certificate: the SHA-256, in hex digits, of the DER of the first
    one in *pem*.

    Raises:
        ValueError: there is none.
    """
    import ssl  # a start without TLS does without

    found = _PEM.search(pem)
    if found is None:
        raise ValueError("no certificate")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0].decode("ascii"))).hexdigest()


def read_tokens(path: Path) -> list[TokenEntry]:
    """
    Return the tokens that *path* holds, in the order in which they were made.

    Raises:
        FileNotFoundError: there is no such file.
        TokensUnusable: it can't be read, is no token file, or others may write to it.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o022:
                raise TokensUnusable(
                    f"{path}: others than its owner may write to it, and so make themselves "
                    f"operators. Look through it, then: chmod 600 {path}"
                )
            data = file.read(TOKENS_BYTES_MAX + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TokensUnusable(
            f"{path}: the token file can't be read: {error.strerror}. It has to belong to the "
            "user that the server runs as."
        ) from None
    if len(data) > TOKENS_BYTES_MAX:
        raise TokensUnusable(f"{path}: is too long for a token file.")
    if not data.strip():
        return []
    try:
        return _entries(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise TokensUnusable(
            f"{path}: is no token file: {error}. Mend it, or move it away and make new tokens "
            "with: genre-registry token new."
        ) from None


def _entries(content: Any) -> list[TokenEntry]:
    """Return the entries of a token file's *content*; raises ValueError where it is wrong."""
    if not isinstance(content, dict) or content.keys() != {"format", "tokens"}:
        raise ValueError('an object with "format" and "tokens" is expected')
    if content["format"] != FORMAT:
        raise ValueError(f"this version reads format {FORMAT}, not {content['format']!r:.20}")
    if not isinstance(content["tokens"], list):
        raise ValueError('"tokens" is no list')
    entries = [_entry(raw, at) for at, raw in enumerate(content["tokens"], 1)]
    for unique in ("name", "sha256"):
        values = [value for entry in entries if (value := getattr(entry, unique))]
        if len(set(values)) < len(values):
            raise ValueError(f"two of its tokens have the same {unique}")
    return entries


def _entry(raw: Any, at: int) -> TokenEntry:
    names = TokenEntry.__dataclass_fields__.keys()
    if not isinstance(raw, dict) or raw.keys() != names:
        raise ValueError(f"token {at} does not have exactly {', '.join(names)}")
    if not all(isinstance(value, str) for value in raw.values()):
        raise ValueError(f"token {at} has a value that is no text")
    try:
        refuse_caller_name(raw["name"])
        Role.of(raw["role"])
    except ValueError as error:
        raise ValueError(f"token {at}: {error}") from None
    if raw["shows"] not in (TOKEN, CERTIFICATE):
        raise ValueError(f"token {at}: shows is neither {TOKEN} nor {CERTIFICATE}")
    if raw["shows"] == CERTIFICATE and raw["sha256"] == ANY_CERTIFICATE:
        return TokenEntry(**raw)
    if len(raw["sha256"]) != 64 or set(raw["sha256"]) - set("0123456789abcdef"):
        raise ValueError(f"token {at}: sha256 is not 64 hex digits")
    return TokenEntry(**raw)


def add_token(path: Path, name: str, role: Role) -> str:
    """
    Make a token for *name* and return it: it can't be had again.

    Raises:
        ValueError: the name can't be one, or is on the list already.
        TokensUnusable: the file can't be used.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    with _changing(path) as entries:
        _add(entries, name, role, TOKEN, hash_of(token))
    return token


def add_certificate(path: Path, name: str, role: Role, sha256: str) -> None:
    """
    Have a certificate for *name*, of which *sha256* is the hash, stand for a token; that of
    *name* which did so before no longer does.

    Raises:
        ValueError: the name can't be one, or has a token.
        TokensUnusable: the file can't be used.
    """
    with _changing(path) as entries:
        entries[:] = [each for each in entries if (each.name, each.shows) != (name, CERTIFICATE)]
        _add(entries, name, role, CERTIFICATE, sha256)


def _add(entries: list[TokenEntry], name: str, role: Role, shows: str, sha256: str) -> None:
    refuse_caller_name(name)
    for entry in entries:
        if entry.name == name:
            raise ValueError(
                f"{name} has a {entry.shows} already; revoke it first, or take another name"
            )
        if sha256 and entry.sha256 == sha256:
            raise ValueError(f"that certificate is {entry.name}'s already")
    made = datetime.now(UTC).isoformat(timespec="seconds")
    entries.append(TokenEntry(name, str(role), shows, sha256, made))


def revoke_token(path: Path, name: str) -> None:
    """
    Take *name*'s token away, or have *name*'s certificate stand for none.

    Raises:
        ValueError: nobody of that name has one.
        TokensUnusable: the file can't be used.
    """
    with _changing(path) as entries:
        kept = [entry for entry in entries if entry.name != name]
        if len(kept) == len(entries):
            raise ValueError(
                f"nobody named {name} is on the list; genre-registry token list shows who"
            )
        entries[:] = kept


@contextmanager
def _changing(path: Path) -> Iterator[list[TokenEntry]]:
    """Give the entries to change, alone among processes; what became of them is then written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise TokensUnusable(f"{path}: can't be written: {error.strerror}.") from None
    try:
        # The folder is locked, for the file itself is replaced.
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            entries = read_tokens(path)
        except FileNotFoundError:
            entries = []
        yield entries
        try:
            _replace(path, entries)
            os.fsync(folder)
        except OSError as error:
            raise TokensUnusable(f"{path}: can't be written: {error.strerror}.") from None
    finally:
        os.close(folder)


def _replace(path: Path, entries: Sequence[TokenEntry]) -> None:
    """Put a file with *entries* in *path*'s place: as a whole, and durably."""
    content = {"format": FORMAT, "tokens": [asdict(entry) for entry in entries]}
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            give_to_owner(file.fileno(), path.parent)
            json.dump(content, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Give a file that root makes to whoever owns *folder*: the user that the server runs as."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)

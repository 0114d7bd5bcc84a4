"""
Who a command calls as: a token and certificates, read and looked at before gRPC is loaded, which
would fail on what is wrong with them in words of its own, and blame the server.
"""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from registry_server.files import content_of

TOKEN_BYTES_MAX = 4096
"""Of a token file; gRPC takes 8 KiB of metadata, and a token is some 50 bytes."""
PEM_BYTES_MAX = 4 << 20
"""Of certificates; all that a system trusts are some 200 KiB."""

_TOKEN = re.compile(r"[\x21-\x7e]+")


class CredentialsWrong(Exception):
    """They can't be shown to a server; the message says which, and why, and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """
    Who calls.

    Attributes:
        token: Sent with the call; "" for none.
        ca: The authority's certificate, in PEM, which the server's must be signed by; None calls
            without TLS.
        certificate, key: The caller's own, for mutual TLS; both or neither.
    """

    token: str = ""
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None


def credentials_of(
    *,
    token: str | None,
    token_file: Path | None,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
) -> Credentials:
    """
    Return what was given, as a call shows it; *token_file* counts before *token*.

    Raises:
        CredentialsWrong: a file can't be read, or holds something else; or one was given
            without another.
    """
    if token_file is not None:
        token = _token_of(_content_of(token_file, TOKEN_BYTES_MAX), str(token_file))
    elif token is not None:
        token = _token_of(token.encode("utf-8", "replace"), "GENRE_REGISTRY_TOKEN")
    if (certificate is None) != (key is None):
        given, missing = ("--certificate", "--key")[:: -1 if certificate is None else 1]
        raise CredentialsWrong(
            f"{given}: a certificate and its key go together; name the other with {missing}, or "
            "the environment's GENRE_REGISTRY_CERTIFICATE and GENRE_REGISTRY_KEY."
        )
    if certificate is not None and ca is None:
        raise CredentialsWrong(
            "--certificate is shown by TLS, and wants --ca (GENRE_REGISTRY_CA) too: the "
            "certificate of the authority that signed the server's."
        )
    return Credentials(
        token=token or "",
        ca=None if ca is None else _authority_in(ca),
        **_pair_in(certificate, key),
    )


def _token_of(given: bytes, source: str) -> str:
    text = given.decode("ascii", "replace").strip()
    if len(text) > TOKEN_BYTES_MAX or not _TOKEN.fullmatch(text):
        raise CredentialsWrong(
            f"{source}: this is no token. A token is one word of printable ASCII, as "
            "genre-registry token new prints it."
        )
    return text


def _authority_in(path: Path) -> bytes:
    content = _content_of(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        raise CredentialsWrong(f"{path} holds no certificate in PEM.") from None
    return content


def _pair_in(certificate: Path | None, key: Path | None) -> dict[str, bytes]:
    if certificate is None or key is None:
        return {}
    pair = {"certificate": _content_of(certificate), "key": _content_of(key)}
    try:
        # Without a password rather than asking for one on a terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            certificate, key, password=lambda: ""
        )
    except (OSError, ValueError):
        raise CredentialsWrong(
            f"{certificate} and {key} are no pair: a certificate in PEM and its private key, not "
            "encrypted."
        ) from None
    return pair


def _content_of(path: Path, bytes_max: int = PEM_BYTES_MAX) -> bytes:
    try:
        return content_of(path, bytes_max)
    except OSError as error:
        raise CredentialsWrong(f"{path} can't be read: {error.strerror}.") from None

"""Callers that a certificate names, and whether what signed it is still trusted."""

import asyncio
import logging
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry_server.vocabulary.callers import Caller, Role
from registry_server.vocabulary.refusals import TokenInvalid

SEEN_MAX = 10_000
"""Most certificates that are remembered; only what the authority signed is."""
OPENSSL_S = 10

log = logging.getLogger(__name__)


class CertifiedCallers:
    """
    The callers whose certificates TLS has looked at.

    TLS looks when a connection is made. Once the file of the authority has changed, `openssl`
    looks once more at the certificates of connections that are older.

    Args:
        roles: The role of each name.
        authority: The file of what signs callers' certificates.
    """

    def __init__(self, roles: Mapping[str, Role], authority: Path) -> None:
        self._roles = roles
        self._authority = authority
        self._content = _content_of(authority)
        self._has_changed = False
        self._trusted = set[bytes]()
        self._unsure = set[bytes]()
        self._distrusted = set[bytes]()

    def caller(self, authenticated: Mapping[str, Any]) -> Caller:
        """
        Return whom the certificate is for, of a connection's *authenticated* properties.

        Raises:
            TokenInvalid: nobody on the list, or it is no longer trusted.
        """
        certificate = next(iter(authenticated.get("x509_pem_cert", ())), b"")
        if certificate in self._distrusted:
            raise TokenInvalid.certificate_distrusted()
        if certificate not in self._trusted and len(self._trusted) < SEEN_MAX:
            self._trusted.add(certificate)
            if self._has_changed:
                self._unsure.add(certificate)
        shown = [
            name.decode("utf-8", "replace")
            for kind in ("x509_subject_alternative_name", "x509_common_name")
            for name in authenticated.get(kind, ())
        ]
        for name in shown:
            if name in self._roles:
                return Caller(name, self._roles[name])
        raise TokenInvalid.certificate_unlisted(list(dict.fromkeys(shown)))

    async def look_again(self) -> bool:
        """Look at what the authority may no longer have signed; return whether any is so."""
        content = _content_of(self._authority)
        if content is not None and content != self._content and _is_whole(content):
            self._content = content
            self._has_changed = True
            self._unsure |= self._trusted | self._distrusted
        unsure, self._unsure = self._unsure, set()
        fallen = {each for each in unsure if not await self._is_signed(each)}
        self._distrusted = (self._distrusted - unsure) | fallen
        return bool(fallen)

    async def _is_signed(self, certificate: bytes) -> bool:
        command = ["openssl", "verify", "-no-CApath", "-no-CAstore", "-partial_chain"]
        command += ["-purpose", "sslclient", "-CAfile", str(self._authority)]
        try:
            done = await asyncio.to_thread(
                subprocess.run, command, input=certificate, capture_output=True, timeout=OPENSSL_S
            )
        except (OSError, subprocess.SubprocessError) as error:
            log.error(
                "the authority of callers has changed, and the command openssl, which looks at "
                "the certificates of open connections, is missing or failed: %s. These "
                "connections are refused",
                type(error).__name__,
            )
            return False
        return done.returncode == 0


def _is_whole(content: bytes) -> bool:
    """Whether *content* holds certificates, rather than being just written."""
    import ssl  # a start without TLS does without

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(
            cadata=content.decode("ascii")
        )
    except (ssl.SSLError, ValueError):
        return False
    return True


def _content_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None

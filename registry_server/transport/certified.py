"""Callers whom a certificate names: who is on the list, and whether it still holds."""

import asyncio
import logging
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_server.tokens import CERTIFICATE, TokenEntry, fingerprint_of
from registry_server.vocabulary.callers import Caller
from registry_server.vocabulary.refusals import TokenInvalid

SEEN_MAX = 10_000
"""Most certificates that are remembered; only what the authority signed is."""
OPENSSL_S = 10

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Seen:
    """A certificate in use, and what has been found out about it since TLS let it in."""

    pem: bytes
    chain: bytes
    """What was shown with it: certificates of authorities between, in PEM."""
    sha256: str
    names: tuple[str, ...]
    not_after_s: float | None = None
    """When it ends, in seconds since 1970; None until `openssl` has said so."""
    is_unsure: bool = False
    """Whether the authority has changed since, and `openssl` has not yet looked again."""
    distrusted: str = ""
    """Why it is no longer trusted, as far as is known."""


class CertifiedCallers:
    """
    The callers whose certificates TLS has looked at.

    TLS looks when a connection is made, and connections last: `look_again` sees to it that a
    certificate which ends, or whose authority is no longer trusted, serves no open one either.

    Args:
        authority: The file of what signs callers' certificates.
    """

    def __init__(self, authority: Path) -> None:
        self._authority = authority
        self._content = _content_of(authority)
        self._has_changed = False
        self._by_sha256: dict[str, Caller] = {}
        self._by_name: dict[str, Caller] = {}
        self._seen: dict[bytes, _Seen] = {}
        self._new: list[_Seen] = []
        self._has_complained = False

    def list(self, entries: Iterable[TokenEntry]) -> None:
        """Have the certificates among *entries* stand for tokens, and no others."""
        listed = [each for each in entries if each.shows == CERTIFICATE]
        self._by_sha256 = {each.sha256: each.caller for each in listed if each.sha256}
        self._by_name = {each.name: each.caller for each in listed if not each.sha256}

    def caller(self, authenticated: Mapping[str, Any]) -> Caller:
        """
        Return whom the certificate is for, of a connection's *authenticated* properties.

        Raises:
            TokenInvalid: nobody on the list, or it is no longer trusted.
        """
        certificate = next(iter(authenticated.get("x509_pem_cert", ())), None)
        if certificate is None:
            raise TokenInvalid.missing()
        seen = self._seen.get(certificate) or self._first_seen(certificate, authenticated)
        if seen.distrusted or (seen.not_after_s is not None and seen.not_after_s < time.time()):
            raise TokenInvalid.certificate_distrusted(seen.distrusted or "it has ended")
        caller = self._by_sha256.get(seen.sha256)
        if caller is not None:
            return caller
        for name in seen.names:
            if name in self._by_name:
                return self._by_name[name]
        raise TokenInvalid.certificate_unlisted(seen.names)

    def _first_seen(self, certificate: bytes, authenticated: Mapping[str, Any]) -> _Seen:
        names = [
            name.decode("utf-8", "replace")
            for kind in ("peer_dns", "x509_common_name")
            for name in authenticated.get(kind, ())
        ]
        seen = _Seen(
            certificate,
            b"".join(authenticated.get("x509_pem_cert_chain", ())),
            fingerprint_of(certificate),
            tuple(dict.fromkeys(names)),
            is_unsure=self._has_changed,
        )
        if len(self._seen) >= SEEN_MAX:
            # The oldest goes; its caller, if still there, is seen for the first time again.
            del self._seen[next(iter(self._seen))]
        self._seen[certificate] = seen
        self._new.append(seen)
        return seen

    async def look_again(self) -> bool:
        """
        Look at what may have ended, or whose authority may have; return whether any has, of
        which it was not known.
        """
        content = _content_of(self._authority)
        if content is not None and content != self._content and _is_whole(content):
            self._content = content
            self._has_changed = True
            for seen in self._seen.values():
                seen.is_unsure = True
        while self._new and await self._learn_end(self._new[-1]):
            self._new.pop()
        has_fallen = False
        now = time.time()
        for seen in list(self._seen.values()):
            before = seen.distrusted
            if seen.is_unsure:
                await self._learn_trust(seen)
            if not seen.distrusted and seen.not_after_s is not None and seen.not_after_s < now:
                seen.distrusted = "it has ended"
            has_fallen |= bool(seen.distrusted and not before)
        return has_fallen

    async def _learn_end(self, seen: _Seen) -> bool:
        said = await self._openssl("x509", "-noout", "-enddate", about=seen)
        if said is None:
            return False
        _, _, written = said.stdout.decode("ascii", "replace").strip().partition("=")
        try:
            seen.not_after_s = ssl.cert_time_to_seconds(written)
        except ValueError:
            log.error("a caller's certificate does not say when it ends: %s", seen.names)
        return True

    async def _learn_trust(self, seen: _Seen) -> None:
        with tempfile.NamedTemporaryFile() as chain:
            chain.write(seen.chain)
            chain.flush()
            said = await self._openssl(
                *("verify", "-no-CApath", "-no-CAstore", "-partial_chain"),
                *("-purpose", "sslclient", "-CAfile", str(self._authority)),
                *(("-untrusted", chain.name) if seen.chain else ()),
                about=seen,
            )
        # Where openssl does not run it is not trusted either, and looked at the next time.
        seen.is_unsure = said is None
        is_signed = said is not None and said.returncode == 0
        seen.distrusted = "" if is_signed else "its authority is no longer trusted (tls_client_ca)"

    async def _openssl(
        self, *arguments: str, about: _Seen
    ) -> subprocess.CompletedProcess[bytes] | None:
        """Return what the command says of a certificate; None, said once, if it does not run."""
        try:
            done = await asyncio.to_thread(
                subprocess.run,
                ["openssl", *arguments],
                input=about.pem,
                capture_output=True,
                timeout=OPENSSL_S,
            )
        except (OSError, subprocess.SubprocessError) as error:
            if not self._has_complained:
                log.error(
                    "the command openssl is missing or failed (%s): it looks at the certificates "
                    "of open connections. Until it runs, they are not seen to end, and refused "
                    "once the authority of callers changes. On Debian: sudo apt install openssl",
                    type(error).__name__,
                )
            self._has_complained = True
            return None
        self._has_complained = False
        return done


def _is_whole(content: bytes) -> bool:
    """Whether *content* holds certificates, rather than being just written."""
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

"""TLS: the server's certificate as it is on disk, read anew when it changes."""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

log = logging.getLogger(__name__)


class TlsUnusable(Exception):
    """A certificate or key can't be used; the message says which, and why."""


class Certificates:
    """
    The server's certificate and key, and the authority that callers' certificates are from.

    gRPC asks at every handshake; what is half written, or wrong, is not taken: the last good
    ones stay in force, which is said once.

    Raises:
        TlsUnusable: they can't be used.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._stamp = self._stamps()
        self._first = self._read()
        self._complaint = ""

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a port is opened with; it follows the files."""
        return grpc.dynamic_ssl_server_credentials(
            self._first,
            # None says that nothing changed, whatever its declared type says.
            cast("Callable[[], grpc.ServerCertificateConfiguration]", self._if_changed),
            require_client_authentication=self._client_ca is not None,
        )

    def _if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what has changed since it was asked last, and None if nothing has."""
        stamp = self._stamps()
        if stamp == self._stamp:
            return None
        try:
            configuration = self._read()
        except TlsUnusable as error:
            if str(error) != self._complaint:
                log.error("the certificates read before stay in force: %s", error)
            self._complaint = str(error)
            return None
        self._stamp = stamp
        self._complaint = ""
        log.info("certificates read anew", extra={"tls_certificate": str(self._certificate)})
        return configuration

    def _files(self) -> list[Path]:
        return [self._certificate, self._key, *([self._client_ca] if self._client_ca else [])]

    def _stamps(self) -> list[tuple[int, ...]]:
        """Return what tells one state of the files from another."""
        stamps: list[tuple[int, ...]] = []
        for path in self._files():
            try:
                found = path.stat()
            except OSError as error:
                stamps.append((error.errno or 0,))
            else:
                stamps.append((found.st_mtime_ns, found.st_ino, found.st_size))
        return stamps

    def _read(self) -> grpc.ServerCertificateConfiguration:
        before = [_bytes_of(path) for path in self._files()]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a password rather than asking for one on a terminal.
            context.load_cert_chain(self._certificate, self._key, password=lambda: "")
        except (OSError, ValueError) as error:
            raise TlsUnusable(
                f"{self._certificate} and {self._key} are not a certificate in PEM and its key "
                f"without a password{_reason(error)}."
            ) from None
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except OSError as error:
                raise TlsUnusable(
                    f"{self._client_ca}: holds no certificate in PEM{_reason(error)}."
                ) from None
        # What was looked at is what is served, whoever writes meanwhile.
        if before != [_bytes_of(path) for path in self._files()]:
            raise TlsUnusable(f"{self._certificate}: is just being written.")
        certificate, key, *client_ca = before
        return grpc.ssl_server_certificate_configuration(
            [(key, certificate)], root_certificates=client_ca[0] if client_ca else None
        )


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsUnusable(
            f"{path}: can't be read: {error.strerror}. It has to belong to the user that the "
            "server runs as; genre-registry tls init makes one."
        ) from None


def _reason(error: Exception) -> str:
    """Return OpenSSL's own word for what is wrong, if it has one."""
    reason = getattr(error, "reason", None)
    return f" ({str(reason).replace('_', ' ').lower()})" if reason else ""

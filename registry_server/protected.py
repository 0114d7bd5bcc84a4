"""Who may call a server with given settings, and what its port is opened with."""

import logging
from typing import TYPE_CHECKING

import grpc

from registry_server.protection import (
    SettingsError,
    is_local,
    networks_of,
    refuse_no_callers,
)
from registry_server.settings import Settings
from registry_server.tokens import TokensUnusable
from registry_server.transport.guard import Guard

if TYPE_CHECKING:
    from registry_server.transport.certified import CertifiedCallers

log = logging.getLogger(__name__)


def protected(settings: Settings) -> tuple[Guard, grpc.ServerCredentials | None]:
    """
    Return who may call by *settings*, and the port's credentials; None without TLS.

    Raises:
        SettingsError: the token file or a certificate can't be used, or a network would be
            served without anybody having to say who calls.
    """
    local = is_local(settings.listen)
    networks = networks_of(settings.plaintext_networks)
    guard = Guard(
        settings.tokens,
        certified=_certified(settings),
        networks=networks if networks else None,
        local_may=local and settings.tls_client_ca is None,
    )
    try:
        guard.read()
    except TokensUnusable as error:
        raise SettingsError(f"tokens: {error}") from None
    refuse_no_callers(
        settings.listen,
        settings.tokens,
        tls_client_ca=settings.tls_client_ca,
        has_tokens=guard.has_tokens,
    )
    return guard, _credentials(settings)


def _certified(settings: Settings) -> "CertifiedCallers | None":
    if settings.tls_client_ca is None:
        return None
    from registry_server.transport.certified import CertifiedCallers

    return CertifiedCallers(settings.tls_client_ca)


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    from registry_server.transport.tls import Certificates, TlsUnusable

    try:
        return Certificates(
            settings.tls_certificate, settings.tls_key, settings.tls_client_ca
        ).credentials()
    except TlsUnusable as error:
        raise SettingsError(f"tls_certificate: {error}") from None


def warn_of_plaintext(settings: Settings) -> None:
    """Say at every start what is sent for all to read."""
    if settings.plaintext_networks:
        log.warning(
            "calls from %s are taken without TLS: whoever listens in on that network learns "
            "the tokens",
            ", ".join(settings.plaintext_networks),
        )

"""Why no connection comes about, where TLS is the reason: gRPC's own words do not reach a call."""

import socket
import threading
from typing import TYPE_CHECKING

from worker_client._tls import Tls

if TYPE_CHECKING:  # loaded with the first failure
    import ssl

LOOKED_FOR_S = 0.5
"""How long to look for a reason, after a deadline that has passed."""

_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
_NOT_SIGNED = (18, 19, 20, 21)
"""Source: OpenSSL's x509_vfy.h, X509_V_ERR_..."""


def refusal_of(target: str, tls: Tls | None) -> str:
    """Return a sentence on why TLS with *target* fails, and what to do; "" if it is not that."""
    found: list[str] = []
    looking = threading.Thread(
        target=lambda: found.append(_look(target, tls)), name="why no handshake", daemon=True
    )
    looking.start()
    looking.join(LOOKED_FOR_S)
    return found[0] if found else ""


def _look(target: str, tls: Tls | None) -> str:
    import ssl

    host, _, port = target.rpartition(":")
    host = host.strip("[]")
    if target.startswith("unix:") or not host or not port.isdigit():
        return ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    try:
        if tls is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(tls.ca)
            if tls.certificate is not None:
                context.load_cert_chain(tls.certificate, tls.key, password="")
        with (
            socket.create_connection((host, int(port)), LOOKED_FOR_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            if tls is not None:
                return "" if _is_taken(wrapped) else _not_taken(tls)
    except ssl.SSLCertVerificationError as error:
        return _untrusted(error, host, tls)
    except ssl.SSLError as error:
        return _refused(error, tls)
    except (OSError, ValueError):
        return ""
    return "What answers there speaks TLS: give the authority's certificate (genrectl --ca)."


def _untrusted(error: "ssl.SSLCertVerificationError", host: str, tls: Tls | None) -> str:
    code = error.verify_code
    ca = tls.ca if tls else ""
    if code == _EXPIRED:
        return "Its certificate has expired: it has to be made anew on the registry's machine."
    if code == _NOT_YET:
        return "Its certificate is not valid yet: is this machine's clock right?"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return (
            f"Its certificate is not for {host}: call it by a name that the certificate has, or "
            "have one made for this name too."
        )
    if code in _NOT_SIGNED:
        return f"Its certificate is not signed by the authority in {ca}: is that the right file?"
    return f"Its certificate is not accepted: {error.verify_message}."


def _refused(error: "ssl.SSLError", tls: Tls | None) -> str:
    """Return what a handshake that failed, but not for the registry's certificate, says."""
    reason = error.reason or ""
    if tls is None:
        return ""
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "What answers there speaks no TLS: leave the authority's certificate out (--ca)."
    if "ALERT" in reason:
        return _not_taken(tls)
    return f"TLS failed: {reason.lower()}."


def _is_taken(wrapped: "ssl.SSLSocket") -> bool:
    """Whether the other side goes on: with TLS 1.3 it refuses our certificate this late."""
    try:
        return wrapped.recv(1) != b""
    except ConnectionError:
        return False


def _not_taken(tls: Tls) -> str:
    if tls.certificate is None:
        return "It wants its callers' certificates, and was shown none (genrectl --certificate)."
    return (
        f"It does not take the certificate {tls.certificate}: has its authority signed it, and has "
        "it not expired?"
    )

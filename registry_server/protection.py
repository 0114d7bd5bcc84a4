"""What settings have to hold so that nobody is served by mistake; each refusal says why."""

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

UNIX = "unix:"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """A setting is unknown or wrong; the message names it, its source and what is allowed."""


def refuse_listener(listen: str) -> None:
    """Refuse an address that is neither `HOST:PORT` nor `unix:PATH`."""
    if listen.startswith(UNIX):
        if not listen.removeprefix(UNIX):
            raise SettingsError("listen: unix: wants a path, as in unix:/run/genres.sock.")
        try:
            refuse_no_path(listen)
        except SettingsError as error:
            raise SettingsError(f"listen: {error}") from None
        return
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535 or not host:
        raise SettingsError(f"listen: {listen!r} is neither HOST:PORT nor unix:PATH.")
    is_local(listen)


def is_local(listen: str) -> bool:
    """Whether only this machine can call at *listen*: a unix socket, or loopback."""
    if listen.startswith(UNIX):
        return True
    host = listen.rpartition(":")[0]
    if host == "localhost":
        return True
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    try:
        bracketed = host.startswith("[") and host.endswith("]")
        address = ipaddress.IPv6Address(host[1:-1]) if bracketed else ipaddress.IPv4Address(host)
    except ValueError:
        raise SettingsError(
            f"listen: the host {host!r} is not an address; write 127.0.0.1, [::1] or localhost, "
            "or 0.0.0.0 for every network."
        ) from None
    return address.is_loopback


def refuse_unprotected(
    listen: str,
    *,
    tls_certificate: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    plaintext_networks: Sequence[str],
) -> None:
    """Refuse settings of which one is useless without another, and a network without TLS."""
    if (tls_certificate is None) != (tls_key is None):
        given, missing = ("tls_certificate", "tls_key")[:: -1 if tls_certificate is None else 1]
        raise SettingsError(f"{given}: a certificate and its key go together; name {missing} too.")
    if tls_client_ca is not None and tls_certificate is None:
        raise SettingsError("tls_client_ca: wants tls_certificate and tls_key too.")
    if plaintext_networks and tls_certificate is not None:
        raise SettingsError(
            "plaintext_networks: with tls_certificate every call comes by TLS; leave one out."
        )
    if is_local(listen) or tls_certificate is not None or plaintext_networks:
        return
    raise SettingsError(
        f"listen: {listen} is beyond loopback, where anyone on the network could call. "
        "Without TLS and tokens that is refused: genre-registry tls init makes certificates and "
        "genre-registry token new a token, and tls_certificate and tls_key name the former. Or "
        "listen on 127.0.0.1, or on a unix socket to share with containers."
    )


def refuse_no_callers(
    listen: str, tokens: Path, *, tls_client_ca: Path | None, has_tokens: bool
) -> None:
    """Refuse to serve a network where nobody would have to say who calls."""
    if is_local(listen) or has_tokens or tls_client_ca is not None:
        return
    raise SettingsError(
        f"listen: {listen} is beyond loopback, and there is no token yet ({tokens}), so that "
        "anyone on the network could call. Make one: genre-registry token new --name NAME --role "
        "worker. Or have callers show certificates (tls_client_ca)."
    )


def networks_of(texts: Sequence[str]) -> list[Network]:
    """Return the networks that are written as CIDR; only private ones may go without TLS."""
    networks: list[Network] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            raise SettingsError(
                f"plaintext_networks: {text!r} is no network; write it as 172.18.0.0/16, with "
                "zeros after the prefix."
            ) from None
        if not network.is_private:
            raise SettingsError(
                f"plaintext_networks: {text} is more than a private network; name that of the "
                "containers, as in 172.18.0.0/16."
            )
        networks.append(network)
    return networks


def refuse_socket_mode(mode: str) -> None:
    """Refuse what is no file mode in octal digits."""
    if not re.fullmatch(r"0?[0-7]{3}", mode):
        raise SettingsError(
            f"socket_mode: {mode!r} is no mode of three octal digits, as in 0660, in quotes."
        )


def refuse_no_path(text: str) -> None:
    """Refuse what neither the system nor SQLite takes for the path of a file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError("wants a path in UTF-8.") from None
    if "\0" in text:
        raise SettingsError("wants a path, which holds no NUL character.")


def refuse_secret(text: str) -> None:
    """Refuse a secret where the path of a file is wanted; the message does not repeat it."""
    if "-----BEGIN" in text or text.startswith("grt_"):
        raise SettingsError("wants the path of a file, not what is in it.")

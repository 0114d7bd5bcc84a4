"""Where metrics may be served: on this machine alone."""

import ipaddress


def check_metrics_address(address: str) -> None:
    """
    Raises:
        ValueError: *address* is no HOST:PORT on loopback; the text says why and what to write.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT; write 127.0.0.1:9464, or leave it empty.")
    if host == "localhost":
        return
    is_bracketed = host.startswith("[") and host.endswith("]")
    try:
        is_loopback = (
            ipaddress.IPv6Address(host[1:-1]) if is_bracketed else ipaddress.IPv4Address(host)
        ).is_loopback
    except ValueError:
        raise ValueError(
            f"the host {host!r} is not an address; write 127.0.0.1, [::1] or localhost."
        ) from None
    if not is_loopback:
        raise ValueError(
            f"{address} is beyond loopback, where anyone on the network could read what this "
            "server does; metrics have neither TLS nor tokens. Serve them on 127.0.0.1, and let "
            "a Prometheus on this machine, or an SSH tunnel, fetch them."
        )

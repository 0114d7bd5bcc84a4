"""TLS: which registry to believe, and what to show one that asks who calls."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worker_client._files import content_of, unusable

if TYPE_CHECKING:  # loaded with the first channel, as is `ssl`
    import grpc


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

    def read(self) -> "grpc.ChannelCredentials":
        """
        Return the files' contents, for a channel.

        Raises:
            CredentialsUnusable: a file can't be read, or is not what it should be.
        """
        import grpc

        self._check()
        ca, *own = [content_of(path) for path in self.paths]
        certificate, key = own or (None, None)
        return grpc.ssl_channel_credentials(ca, key, certificate)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file there is of it, the authority's first."""
        if self.certificate is None or self.key is None:
            return (self.ca,)
        return (self.ca, self.certificate, self.key)

    def _check(self) -> None:
        """Refuse what gRPC would fail on without a word, at every connection."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for path in self.paths:
            content_of(path)
        try:
            context.load_verify_locations(self.ca)
        except ssl.SSLError:
            raise unusable(f"{self.ca} holds no certificate in PEM.") from None
        if self.certificate is None:
            return
        try:
            context.load_cert_chain(self.certificate, self.key, password="")
        except ssl.SSLError:
            raise unusable(
                f"{self.certificate} and {self.key} are no pair: a certificate in PEM and its "
                "private key, not encrypted."
            ) from None

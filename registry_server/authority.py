"""
A private authority for a home network: it signs the server's certificate and its callers'.

The `openssl` command does the work, as it is on every Debian: this is needed once a
registry, and a library for it would weigh more than the rest of the server's dependencies.
"""

import ipaddress
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from registry_server.tokens import give_to_owner
from registry_server.vocabulary.callers import refuse_caller_name

DAYS_DEFAULT = 3650
"""How long certificates hold. What a private authority signed ends by being taken off the
list or replaced; one that ends by itself stops a box that nobody looks at."""
OPENSSL_S = 60

_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9-]{1,63})*"
)
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class AuthorityError(Exception):
    """A certificate could not be made; the message says why, and what to do."""


class Authority:
    """The authority whose files are in *folder*: `authority.pem` and `authority.key`."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "authority.pem"
        self._key = folder / "authority.key"
        self._folder = folder
        self.server = folder / "server.pem", folder / "server.key"

    def client(self, name: str) -> tuple[Path, Path]:
        """Return where the certificate of the caller *name* goes, and its key."""
        folder = self._folder / "clients"
        return folder / f"{name}.pem", folder / f"{name}.key"

    def make(self, hosts: Sequence[str], clients: Sequence[str], *, days: int) -> None:
        """
        Make the authority itself, and have it sign for a server on *hosts* and for *clients*.

        Raises:
            AuthorityError: there is one already, a host or name can't be one, or openssl is
                missing or failed.
        """
        for host in hosts:
            _alternative(host)
        for client in clients:
            _refuse_name(client)
        for path in (self.certificate, self._key, *self.server):
            if path.exists():
                raise AuthorityError(
                    f"{path} is there already, and what it signed is in use. Renew the server's "
                    "certificate with: genre-registry tls server; make one for a caller with: "
                    "genre-registry tls client. To start over, move the folder away."
                )
        try:
            self._make_folder()
            with tempfile.TemporaryDirectory(dir=self._folder) as made:
                key, certificate = Path(made, "key"), Path(made, "certificate")
                _openssl(
                    *("req", "-x509", *_KEY, "-keyout", key, "-out", certificate),
                    *("-days", str(days), "-subj", "/CN=Genre registry authority"),
                    extensions=[
                        "basicConstraints=critical,CA:TRUE,pathlen:0",
                        "keyUsage=critical,keyCertSign,cRLSign",
                        "subjectKeyIdentifier=hash",
                    ],
                )
                _put(key, self._key, 0o600, served=False)
                _put(certificate, self.certificate, 0o644, served=True)
        except OSError as error:
            raise AuthorityError(f"{self._folder}: {error.strerror}.") from None
        self.sign_server(hosts, days=days)
        for client in clients:
            self.sign_client(client, days=days)

    def _make_folder(self) -> None:
        """Make the folder, and give it to who runs the server, where root makes it."""
        if self._folder.exists():
            return
        self._folder.mkdir(parents=True, mode=0o755)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            give_to_owner(descriptor, self._folder.parent)
        finally:
            os.close(descriptor)

    def sign_server(self, hosts: Sequence[str], *, days: int) -> None:
        """
        Make the certificate of a server on *hosts*, which this machine itself reaches too.

        Raises:
            AuthorityError: a host is neither a name nor an address, or it could not be made.
        """
        names = [*hosts, "localhost", "127.0.0.1", "::1"]
        self._sign(
            self.server,
            names[0],
            [_alternative(name) for name in dict.fromkeys(names)],
            "serverAuth",
            days,
            served=True,
        )

    def sign_client(self, name: str, *, days: int) -> None:
        """
        Make a certificate for the caller *name*.

        Raises:
            AuthorityError: the name can't be one, or it could not be made.
        """
        _refuse_name(name)
        # A common name alone: it need not be a host's.
        self._sign(self.client(name), name, [], "clientAuth", days, served=False)

    def _sign(
        self,
        targets: tuple[Path, Path],
        name: str,
        alternatives: Sequence[str],
        purpose: str,
        days: int,
        *,
        served: bool,
    ) -> None:
        if not (self.certificate.exists() and self._key.exists()):
            raise AuthorityError(
                f"{self._folder} holds no authority; make it first: genre-registry tls init."
            )
        certificate, key = targets
        try:
            certificate.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                made = Path(folder)
                _openssl(
                    *("req", "-new", *_KEY, "-keyout", made / "key", "-out", made / "request"),
                    *("-subj", f"/CN={name[:64]}"),
                )
                _openssl(
                    *("x509", "-req", "-in", made / "request", "-out", made / "certificate"),
                    *("-CA", self.certificate, "-CAkey", self._key, "-days", str(days)),
                    *("-set_serial", f"0x{os.urandom(16).hex()}"),
                    extensions=[
                        "basicConstraints=critical,CA:FALSE",
                        "keyUsage=critical,digitalSignature",
                        f"extendedKeyUsage={purpose}",
                        "subjectKeyIdentifier=hash",
                        "authorityKeyIdentifier=keyid",
                        *([f"subjectAltName={','.join(alternatives)}"] if alternatives else ()),
                    ],
                )
                _put(made / "key", key, 0o600, served=served)
                _put(made / "certificate", certificate, 0o644, served=served)
        except OSError as error:
            raise AuthorityError(f"{certificate.parent}: {error.strerror}.") from None


def _refuse_name(client: str) -> None:
    try:
        refuse_caller_name(client)
    except ValueError as error:
        raise AuthorityError(f"{error}.") from None


def _alternative(host: str) -> str:
    """Return *host* as a certificate names it: an address, or a name."""
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        if not _HOST.fullmatch(host):
            raise AuthorityError(
                f"{host!r} is neither a host's name nor its address; write raspberrypi.local or "
                "192.168.1.20, without a port."
            ) from None
        return f"DNS:{host}"


def _put(made: Path, target: Path, mode: int, *, served: bool) -> None:
    """Put what was made in *target*'s place; what is served goes to who runs the server."""
    with made.open("rb+") as file:
        os.fchmod(file.fileno(), mode)
        if served:
            give_to_owner(file.fileno(), target.parent)
        os.fsync(file.fileno())
    made.replace(target)


def is_signed_by(authority: Path, certificate: Path) -> bool:
    """
    Whether one of those in *authority* signed the first certificate in the file *certificate*,
    whatever the day; taken for true where openssl is not there to say.
    """
    command = shutil.which("openssl")
    if command is None:
        return True
    done = subprocess.run(
        [
            *(command, "verify", "-no_check_time", "-partial_chain", "-no-CApath", "-no-CAstore"),
            *("-CAfile", authority, "-untrusted", certificate, certificate),
        ],
        capture_output=True,
        text=True,
        timeout=OPENSSL_S,
        stdin=subprocess.DEVNULL,
    )
    # It ends alike where a file can't be read, which is another's to say.
    return done.returncode == 0 or "verification failed" not in done.stdout + done.stderr


def _openssl(*arguments: str | Path, extensions: Sequence[str] = ()) -> None:
    """Run openssl, with a configuration of *extensions* alone: none of the machine's own."""
    command = shutil.which("openssl")
    if command is None:
        raise AuthorityError(
            "The command openssl makes certificates, and is not here: sudo apt install openssl. "
            "Or make the certificates elsewhere, and name them as tls_certificate and tls_key."
        )
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".cnf") as configuration:
        lines = ["[req]", "distinguished_name=name", "[name]", "[extensions]", *extensions]
        configuration.write("\n".join(lines) + "\n")
        configuration.flush()
        how = ["-config" if arguments[0] == "req" else "-extfile", configuration.name]
        if extensions:
            how += ["-extensions", "extensions"]
        done = subprocess.run(
            [command, *arguments, *how],
            capture_output=True,
            text=True,
            timeout=OPENSSL_S,
            stdin=subprocess.DEVNULL,
            umask=0o077,
        )
    if done.returncode:
        raise AuthorityError(f"openssl could not make it: {done.stderr.strip()}")

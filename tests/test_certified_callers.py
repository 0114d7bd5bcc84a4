"""Callers by certificate: taken off the list, replaced, or ended, while they are connected."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from access import CALL_S, SEEN_S, Shown, ask, eventually
from certificates import self_signed, signed_between
from conftest import Server, StartServer, run
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub
from grpc import StatusCode

from registry_server.authority import Authority

GET = "genre_registry.v1.GenreRegistry/GetGenre"
HOST = "127.0.0.1"
REFUSED, TAKEN = StatusCode.UNAUTHENTICATED, StatusCode.INVALID_ARGUMENT


class Home:
    """A home network: its authority, its list of callers, and a server that asks for both."""

    def __init__(self, folder: Path, start_server: StartServer) -> None:
        self.authority = Authority(folder / "tls")
        self.authority.make([HOST], ["nas"], days=1)
        self.callers = folder / "callers.pem"
        shutil.copy(self.authority.certificate, self.callers)
        self.tokens = folder / "tokens.json"
        self._start = start_server

    def serve(self) -> Server:
        certificate, key = self.authority.server
        return self._start(
            flags=[
                *("--tls-certificate", str(certificate), "--tls-key", str(key)),
                *("--tls-client-ca", str(self.callers), "--tokens", str(self.tokens)),
            ]
        )

    def token(self, *arguments: object) -> str:
        """Run `genre-registry token`; return what it says."""
        done = run("genre-registry", "token", *map(str, arguments), "--tokens", str(self.tokens))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def allow(self, certificate: Path, name: str = "nas") -> None:
        self.token("new", "--name", name, "--role", "worker", "--certificate", certificate)

    @property
    def nas(self) -> Shown:
        return Shown("", self.authority, "nas")


@pytest.fixture
def home(tmp_path: Path, start_server: StartServer) -> Home:
    return Home(tmp_path, start_server)


def code_of(channel: grpc.Channel) -> StatusCode:
    return ask(channel, GET, Shown())[0]


def test_a_certificate_off_the_list_is_refused_on_its_open_connection(home: Home) -> None:
    """And its watch ends: as with a token, without a restart."""
    home.allow(home.authority.client("nas")[0])
    server = home.serve()
    with home.nas.channel(server.target) as channel:
        assert code_of(channel) is TAKEN
        watch = GenreRegistryStub(channel).WatchGenres(pb.WatchGenresRequest(), timeout=CALL_S)
        next(watch)

        home.token("revoke", "nas")

        eventually(lambda: code_of(channel) is REFUSED)
        with pytest.raises(grpc.RpcError) as ended:
            list(watch)
        assert ended.value.code() is REFUSED


def test_a_certificate_that_was_replaced_is_worth_nothing(home: Home) -> None:
    """The one before, of the same name and authority, may be in a thief's hands."""
    stolen = home.authority.client("nas")
    home.allow(stolen[0])
    server = home.serve()
    with home.nas.channel(server.target) as old:
        assert code_of(old) is TAKEN

        home.authority.sign_client("nas", days=1)
        home.allow(home.authority.client("nas")[0])

        eventually(lambda: code_of(old) is REFUSED)
        with home.nas.channel(server.target) as new:
            assert code_of(new) is TAKEN


def test_a_certificate_serves_no_open_connection_past_its_end(home: Home, tmp_path: Path) -> None:
    """TLS looks at its dates once; the connection may last for days."""
    home.allow(home.authority.client("nas")[0])
    server = home.serve()
    now = datetime.now(UTC)
    end = now + timedelta(seconds=6)
    certificate, key = self_signed(tmp_path, "tv", (now - timedelta(days=1), end))
    home.callers.write_bytes(home.callers.read_bytes() + certificate.read_bytes())
    home.allow(certificate, "tv")
    with by(certificate, key, home, server.target) as channel:
        eventually(lambda: code_of(channel) is TAKEN)
        while code_of(channel) is TAKEN:
            assert datetime.now(UTC) < end + timedelta(seconds=SEEN_S)
            time.sleep(0.05)

        assert code_of(channel) is REFUSED
        assert datetime.now(UTC) > end.replace(microsecond=0)


def test_who_is_signed_by_an_authority_between_goes_on_being_trusted(
    home: Home, tmp_path: Path
) -> None:
    """When the file of authorities changes, what came with the certificate is looked at too."""
    root, root_key = self_signed(tmp_path, "root")
    certificate, key = signed_between(root, root_key, "tv")
    home.callers.write_bytes(home.callers.read_bytes() + root.read_bytes())
    home.token("new", "--name", "tv", "--role", "worker", "--any-certificate")
    server = home.serve()
    with by(certificate, key, home, server.target) as channel:
        assert code_of(channel) is TAKEN
        other = Authority(tmp_path / "other")
        other.make([HOST], [], days=1)

        home.callers.write_bytes(home.callers.read_bytes() + other.certificate.read_bytes())

        # Whoever is not trusted any more is refused by then.
        eventually(lambda: newly_trusted(home, other, server.target))
        for _ in range(20):
            assert code_of(channel) is TAKEN
            time.sleep(0.05)


def newly_trusted(home: Home, other: Authority, target: str) -> bool:
    """Whether *other* is an authority of callers by now: TLS then takes its certificate."""
    other.sign_client("nas", days=1)
    certificate, key = other.client("nas")
    with by(certificate, key, home, target) as channel:
        return code_of(channel) is REFUSED


@contextmanager
def by(certificate: Path, key: Path, home: Home, target: str) -> Iterator[grpc.Channel]:
    """Give a channel by a certificate that no authority of ours made."""
    credentials = grpc.ssl_channel_credentials(
        home.authority.certificate.read_bytes(), key.read_bytes(), certificate.read_bytes()
    )
    with grpc.secure_channel(target, credentials) as channel:
        yield channel


def test_any_certificate_of_a_name_may_be_taken(home: Home) -> None:
    """For an authority that signs anew every day: what is listed is a name."""
    home.token("new", "--name", "nas", "--role", "reader", "--any-certificate")
    server = home.serve()
    for _ in range(2):
        with home.nas.channel(server.target) as channel:
            assert code_of(channel) is TAKEN
        home.authority.sign_client("nas", days=1)

    assert home.token("list").split()[:3] == ["nas", "reader", "certificate"]


def test_what_is_no_certificate_is_not_listed(home: Home) -> None:
    """In a sentence that names the file; nor is one that is somebody else's."""
    certificate = home.authority.client("nas")[0]
    home.allow(certificate)
    new = ("genre-registry", "token", "new", "--role", "worker", "--tokens", str(home.tokens))
    before = home.tokens.read_bytes()

    for name, file, complaint in (
        ("tv", home.authority.client("nas")[1], "holds no certificate in PEM"),
        ("tv", home.callers.with_name("none.pem"), "can't be read: No such file"),
        ("tv", certificate, "that certificate is nas's already"),
    ):
        refused = run(*new, "--name", name, "--certificate", str(file))
        assert refused.returncode == 2
        assert complaint in refused.stderr
    assert home.tokens.read_bytes() == before


def test_a_certificate_of_another_authority_is_warned_of(home: Home, tmp_path: Path) -> None:
    """It is listed all the same, for the setting may be about to change; our own needs no word."""
    other = Authority(tmp_path / "other")
    other.make([HOST], ["tv"], days=1)
    ends = self_signed(tmp_path, "radio", (datetime(2001, 1, 1, tzinfo=UTC), datetime.now(UTC)))
    home.callers.write_bytes(home.callers.read_bytes() + ends[0].read_bytes())

    for name, certificate, is_strange in (
        ("nas", home.authority.client("nas")[0], False),
        ("radio", ends[0], False),
        ("tv", other.client("tv")[0], True),
    ):
        done = run(
            *("genre-registry", "token", "new", "--name", name, "--role", "worker"),
            *("--certificate", certificate, "--tokens", home.tokens),
            GENRE_REGISTRY_TLS_CLIENT_CA=str(home.callers),
            GENRE_REGISTRY_TLS_CERTIFICATE=str(home.authority.server[0]),
            GENRE_REGISTRY_TLS_KEY=str(home.authority.server[1]),
        )
        assert done.returncode == 0, done.stderr
        warned = f"WARNING: no authority in {home.callers} (tls_client_ca) signed {certificate}"
        assert (warned in done.stderr) == is_strange, done.stderr


def test_one_certificate_and_any_are_not_listed_at_once(home: Home) -> None:
    """Which of the two was meant nobody knows."""
    refused = run(
        *("genre-registry", "token", "new", "--name", "nas", "--role", "worker"),
        *("--certificate", home.authority.client("nas")[0], "--any-certificate"),
        *("--tokens", home.tokens),
    )

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "give one of the two" in refused.stderr
    assert not home.tokens.exists()

"""The client's side of who may call: tokens, TLS and certificates, and how both are changed."""

import asyncio
import logging
import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from certificates import self_signed, year
from conftest import Server, StartServer, run

from worker_client import (
    AsyncGenreRegistryClient,
    CredentialsUnusable,
    Genre,
    GenreRegistryClient,
    RegistryUnavailable,
    RoleTooLow,
    Tls,
    TokenInvalid,
)

SEEN_S = 5.0
"""Within which a revoked token or a new certificate counts, on both sides."""

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@dataclass
class Home:
    """A home network: the folder of its authority."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "authority.pem"

    def tls(self, name: str | None = None) -> Tls:
        """Return what a caller speaks TLS by, with the certificate of *name*."""
        if name is None:
            return Tls(self.ca)
        clients = self.folder / "clients"
        return Tls(self.ca, clients / f"{name}.pem", clients / f"{name}.key")

    def flags(self) -> list[str]:
        """Return what has a server speak TLS."""
        certificate, key = self.folder / "server.pem", self.folder / "server.key"
        return ["--tls-certificate", str(certificate), "--tls-key", str(key)]

    def mutual_flags(self) -> list[str]:
        """Return what has a server take certificates, nas's for a token."""
        tokens = self.folder / "callers.json"
        made = run(
            *("genre-registry", "token", "new", "--name", "nas", "--role", "worker"),
            *("--any-certificate", "--tokens", tokens),
        )
        assert made.returncode == 0, made.stderr
        return [*self.flags(), "--tls-client-ca", str(self.ca), "--tokens", str(tokens)]


def new_token(tokens: Path, name: str, role: str = "worker") -> str:
    """Make a token as an operator does."""
    made = run(
        *("genre-registry", "token", "new", "--name", name, "--role", role),
        *("--tokens", tokens),
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def revoke(tokens: Path, name: str) -> None:
    done = run("genre-registry", "token", "revoke", name, "--tokens", tokens)
    assert done.returncode == 0, done.stderr


def make_authority(folder: Path, host: str = "localhost", *more: str) -> None:
    made = run("genre-registry", "tls", "init", "--host", host, "--directory", folder, *more)
    assert made.returncode == 0, made.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A private authority with a server's certificate, and those of the callers nas and tv."""
    folder = tmp_path_factory.mktemp("tls")
    make_authority(folder, "localhost", "--client", "nas", "--client", "tv")
    return Home(folder)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def guarded(start_server: StartServer, tokens: Path) -> tuple[Server, str]:
    """A server that asks for tokens, and a worker's token."""
    token = new_token(tokens, "scanner-1")
    return start_server(flags=["--tokens", str(tokens)]), token


Ask = Callable[..., Genre]


def ask(target: str, name: str = "Dub", **settings: object) -> Genre:
    with GenreRegistryClient(target, **settings) as registry:  # type: ignore[arg-type]
        return registry.get_or_create(name, deadline_s=5).genre


def ask_asyncio(target: str, name: str = "Dub", **settings: object) -> Genre:
    async def ask_once() -> Genre:
        async with AsyncGenreRegistryClient(target, **settings) as registry:  # type: ignore[arg-type]
            return (await registry.get_or_create(name, deadline_s=5)).genre

    return asyncio.run(ask_once())


both_clients = pytest.mark.parametrize("ask", [ask, ask_asyncio], ids=["sync", "asyncio"])


def until(holds: Callable[[], bool], limit_s: float = SEEN_S) -> None:
    """Ask again and again until *holds*; each asking is a call, which takes its time."""
    ends_s = time.monotonic() + limit_s
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < ends_s, f"not within {limit_s} s"
        pause.wait(0.02)


def refused(registry: GenreRegistryClient) -> bool:
    try:
        registry.list_page(page_size=1)
    except TokenInvalid:
        return True
    return False


@both_clients
def test_a_token_opens_the_registry(ask: Ask, guarded: tuple[Server, str], tmp_path: Path) -> None:
    """Itself or from a file, white space around it or not; without it nothing is answered."""
    server, token = guarded
    file = tmp_path / "token"
    file.write_text(f"{token}\n")

    assert ask(server.target, token=token).name == "Dub"
    assert ask(server.target, token=file).name == "Dub"
    for wrong in (None, "wrong"):
        with pytest.raises(TokenInvalid) as raised:
            ask(server.target, token=wrong)
        assert raised.value.reason == "TOKEN_INVALID"
        assert isinstance(raised.value.__cause__, grpc.RpcError)


def test_a_role_too_low_says_which_is_needed(guarded: tuple[Server, str]) -> None:
    """A worker who would curate learns the role, for a call and for a stream."""
    server, token = guarded
    with GenreRegistryClient(server.target, token=token) as registry:
        genre = registry.get_or_create("Dub").genre
        with pytest.raises(RoleTooLow) as raised:
            registry.delete_genre(genre.id)
        with pytest.raises(RoleTooLow) as exporting:
            list(registry.export_records())

    assert (raised.value.role, raised.value.needed) == ("worker", "curator")
    assert exporting.value.needed == "operator"


def test_a_token_shows_nowhere(
    guarded: tuple[Server, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not in what a client looks like, not in errors and their causes, not in the log."""
    server, token = guarded
    caplog.set_level(logging.DEBUG)
    registry = GenreRegistryClient(server.target, token=token)
    with registry, pytest.raises(RoleTooLow) as raised:
        registry.delete_genre(1)
    secret = "never-to-be-seen"
    with GenreRegistryClient(server.target, token=secret) as wrong:
        assert refused(wrong)
        with pytest.raises(TokenInvalid) as unknown:
            wrong.list_page()
    with pytest.raises(ValueError, match="token") as none:
        GenreRegistryClient(server.target, token="two words")

    shown = [repr(registry), repr(vars(registry)), caplog.text, repr(none.value)]
    for error in (raised.value, unknown.value):
        shown += [repr(error), str(error), repr(vars(error)), repr(error.__cause__)]
    assert not any(each in text for text in shown for each in (token, secret, "two words"))


def test_a_new_token_needs_no_restart(
    guarded: tuple[Server, str], tokens: Path, tmp_path: Path
) -> None:
    """The old one revoked and the new one in the file, not one call of a running client fails."""
    server, token = guarded
    file = tmp_path / "token"
    file.write_text(token)
    with GenreRegistryClient(server.target, token=file, cache_size=0) as registry:
        for at in range(2):
            registry.get_or_create("Dub")
            made = file.with_name("made")
            made.write_text(new_token(tokens, f"scanner-1.{at}"))
            made.replace(file)
            revoke(tokens, "scanner-1" if at == 0 else f"scanner-1.{at - 1}")
            with GenreRegistryClient(server.target, token=token, cache_size=0) as old:
                # No call of the other comes between: the last it knew is the old token.
                until(lambda old=old: refused(old))  # type: ignore[misc]
            assert registry.get_or_create("Dub").genre.id == 1


def test_a_watch_goes_on_with_the_new_token(
    guarded: tuple[Server, str], tokens: Path, tmp_path: Path
) -> None:
    """A stream that ends because its token was revoked begins anew with what the file holds."""
    server, token = guarded
    file = tmp_path / "token"
    file.write_text(token)
    with GenreRegistryClient(server.target, token=file) as registry:
        changes = registry.watch_genres()
        assert next(changes).type.name == "HEARTBEAT"
        file.write_text(new_token(tokens, "scanner-2"))
        revoke(tokens, "scanner-1")
        until(lambda: refused_with(server.target, token))
        registry.get_or_create("Dub")
        heard = next(change for change in changes if change.genre is not None)
        changes.close()

    assert heard.genre is not None
    assert heard.genre.name == "Dub"


def refused_with(target: str, token: str) -> bool:
    with GenreRegistryClient(target, token=token) as registry:
        return refused(registry)


def test_a_revoked_token_ends_what_is_remembered(
    guarded: tuple[Server, str], tokens: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was known serves for `cache_age_s`, then the caller hears it; the log hears it once."""
    server, token = guarded
    with GenreRegistryClient(server.target, token=token, cache_age_s=0.5) as registry:
        for _ in range(3):
            registry.get_or_create("Dub")
        until(lambda: registry._cache.is_watched)
        registry.get_or_create("Dub")
        revoke(tokens, "scanner-1")

        def is_told() -> bool:
            try:
                registry.get_or_create("Dub")
            except TokenInvalid:
                return True
            return False

        until(is_told)
        until(lambda: "Not watched" in caplog.text)

    assert caplog.text.count("Not watched") == 1


def test_a_token_file_that_is_none_is_said_in_words(server: Server, tmp_path: Path) -> None:
    """Which file, and what is wrong; never what is in it. Nothing is sent."""
    absent = tmp_path / "absent"
    with pytest.raises(CredentialsUnusable, match=r"absent can't be read: No such file"):
        ask(server.target, token=absent)
    for content in (b"", b"two words", b"\xff", b"x" * 5000):
        absent.write_bytes(content)
        with pytest.raises(CredentialsUnusable, match="no token"):
            ask(server.target, token=absent)


def test_a_token_file_half_written_leaves_the_old_token(
    guarded: tuple[Server, str], tmp_path: Path
) -> None:
    """An empty file, or none for a moment, is no token: the last one goes on."""
    server, token = guarded
    file = tmp_path / "token"
    file.write_text(token)
    with GenreRegistryClient(server.target, token=file, cache_size=0) as registry:
        registry.get_or_create("Dub")
        for spoil in (lambda: file.write_text(""), file.unlink):
            spoil()
            registry._credentials._looked_at_s = 0.0
            assert registry.get_or_create("Dub").genre.id == 1


def test_a_client_takes_its_token_to_other_processes(guarded: tuple[Server, str]) -> None:
    """Pickled, it makes one that may call; forked, parent and child both may."""
    server, token = guarded
    with GenreRegistryClient(server.target, token=token) as registry:
        registry.get_or_create("Dub")
        with pickle.loads(pickle.dumps(registry)) as other:
            assert other.lookup_genre("Dub").id == 1
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if registry.get_or_create("Ska").genre.id == 2 else 2
                registry.close()
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert registry.get_or_create("Ska").genre.id == 2


@needs_openssl
@both_clients
def test_tls_reaches_whom_the_authority_vouches_for(
    ask: Ask, start_server: StartServer, home: Home
) -> None:
    """Over TLS by name, with a certificate of one's own in the place of a token."""
    server = start_server(flags=home.mutual_flags(), listen="127.0.0.1:0")

    assert ask(server.target, tls=home.tls("nas")).name == "Dub"
    with pytest.raises(TokenInvalid):
        ask(server.target, tls=home.tls("tv"))


def ask_shortly(target: str, tls: Tls | None) -> None:
    with GenreRegistryClient(target, tls=tls) as registry:
        registry.get_genre(1, deadline_s=0.5)


def ask_asyncio_shortly(target: str, tls: Tls | None) -> None:
    async def ask_once() -> None:
        async with AsyncGenreRegistryClient(target, tls=tls) as registry:
            await registry.get_genre(1, deadline_s=0.5)

    asyncio.run(ask_once())


FAULTS = [
    *("wrong authority", "no TLS", "TLS", "other name", "expired", "not yet"),
    *("no certificate", "foreign certificate"),
]


@needs_openssl
@pytest.mark.parametrize(
    ("ask", "fault"),
    [*((ask_shortly, fault) for fault in FAULTS), (ask_asyncio_shortly, FAULTS[0])],
)
def test_a_handshake_that_fails_is_said_in_words(
    ask: Ask, fault: str, start_server: StartServer, home: Home, tmp_path: Path
) -> None:
    """At the deadline the caller hears what is wrong with which file, and what to do."""
    flags = {"no TLS": []}.get(fault, home.flags())
    if fault.endswith("certificate"):
        flags = home.mutual_flags()
    tls: Tls | None = home.tls()
    words = {
        "wrong authority": "not signed by the authority in .*: is that the right file",
        "no TLS": "speaks no TLS",
        "TLS": "speaks TLS",
        "no certificate": "was shown none",
        "foreign certificate": "does not take the certificate .*elsewhere.pem",
        "other name": "not for 127.0.0.1",
        "expired": "has expired",
        "not yet": "not valid yet: is this machine's clock right",
    }[fault]
    if fault == "wrong authority":
        make_authority(tmp_path / "other")
        tls = Tls(tmp_path / "other" / "authority.pem")
    elif fault == "TLS":
        tls = None
    elif fault == "foreign certificate":
        tls = Tls(home.ca, *self_signed(tmp_path, "elsewhere"))
    elif fault in ("other name", "expired", "not yet"):
        name = "elsewhere" if fault == "other name" else "127.0.0.1"
        holds = {"expired": year(2001), "not yet": year(2101)}.get(fault)
        certificate, key = self_signed(tmp_path, name, holds)
        flags = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
        tls = Tls(certificate)
    server = start_server(flags=flags)
    with pytest.raises(RegistryUnavailable, match=words):
        ask(server.target, tls)


def replace_tls(home: Home, tls: Tls) -> None:
    """Put another authority's files in the place of those a client reads."""
    for source, target in zip(home.tls("nas").paths, tls.paths, strict=True):
        made = target.with_suffix(".made")
        shutil.copy(source, made)
        made.replace(target)


@pytest.fixture
def mine(home: Home, tmp_path: Path) -> Tls:
    """What a client of this test reads; its own copies."""
    tls = Tls(*(tmp_path / name for name in ("mine-ca.pem", "mine.pem", "mine.key")))
    replace_tls(home, tls)
    return tls


@needs_openssl
def test_new_certificates_need_no_restart(
    start_server: StartServer, home: Home, mine: Tls, tmp_path: Path
) -> None:
    """
    A registry that comes back with another authority is believed, and believes, as soon as the
    files have changed: the same client goes on, and so does its watch.
    """
    server = start_server(flags=home.mutual_flags())
    with GenreRegistryClient(server.target, tls=mine) as registry:
        for _ in range(3):
            registry.get_or_create("Dub")
        watching = registry.watch_genres()
        next(change for change in watching if change.genre is not None)
        old = registry._link
        server.stop()
        other = Home(tmp_path / "other")
        make_authority(other.folder, "localhost", "--client", "nas")
        server = start_server(listen=server.target, flags=other.mutual_flags())
        with pytest.raises(RegistryUnavailable, match="not signed by"):
            registry.get_genre(1, deadline_s=0.5)
        replace_tls(other, mine)
        began_s = time.monotonic()
        until(lambda: registry._link is not None and registry._link.is_outdated())

        assert registry.get_or_create("Ska").created
        assert time.monotonic() - began_s < SEEN_S
        assert registry._link is not old
        heard = next(change for change in watching if change.genre is not None)
        assert heard.genre is not None
        assert heard.genre.name == "Ska"
        watching.close()


@needs_openssl
async def test_new_certificates_need_no_restart_of_asyncio(
    start_server: StartServer, home: Home, mine: Tls, tmp_path: Path
) -> None:
    """As for plain processes."""
    server = start_server(flags=home.mutual_flags())
    async with AsyncGenreRegistryClient(server.target, tls=mine) as registry:
        for _ in range(3):
            await registry.get_or_create("Dub")
        await asyncio.to_thread(server.stop)
        other = Home(tmp_path / "other")
        make_authority(other.folder, "localhost", "--client", "nas")
        await asyncio.to_thread(start_server, server.target, flags=other.mutual_flags())
        replace_tls(other, mine)
        ends_s = time.monotonic() + SEEN_S
        while registry._link is None or not registry._link.is_outdated():
            assert time.monotonic() < ends_s
            await asyncio.sleep(0.02)

        assert (await registry.get_or_create("Ska")).created


@needs_openssl
def test_half_of_a_new_pair_disturbs_nobody(
    start_server: StartServer, home: Home, mine: Tls, caplog: pytest.LogCaptureFixture
) -> None:
    """A new certificate whose key is not there yet is said once; the connection stays."""
    server = start_server(flags=home.mutual_flags())
    with GenreRegistryClient(server.target, tls=mine, cache_size=0) as registry:
        registry.get_or_create("Dub")
        link = registry._link
        assert link is not None
        other = home.tls("tv")
        assert other.certificate is not None
        assert mine.certificate is not None
        shutil.copy(other.certificate, mine.certificate)
        until(link.is_outdated)
        for _ in range(3):
            registry.get_or_create("Dub")
        assert registry._link is link
        assert caplog.text.count("are no pair") == 1
        replace_tls(home, mine)
        until(link.is_outdated)
        registry.get_or_create("Dub")
        assert registry._link is not link


@needs_openssl
def test_files_that_are_no_certificates_are_said_in_words(home: Home, tmp_path: Path) -> None:
    """Which file, before anything is sent; a certificate without its key is no setting."""
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    nas, tv = home.tls("nas"), home.tls("tv")
    for tls, words in (
        (Tls(tmp_path / "absent"), "absent can't be read"),
        (Tls(rubbish), "rubbish.pem holds no certificate"),
        (Tls(home.ca, nas.certificate, tv.key), "are no pair"),
        (Tls(home.ca, rubbish, tv.key), "are no pair"),
    ):
        with pytest.raises(CredentialsUnusable, match=words):
            ask("127.0.0.1:1", tls=tls)
    with pytest.raises(ValueError, match="go together"):
        Tls(home.ca, nas.certificate)

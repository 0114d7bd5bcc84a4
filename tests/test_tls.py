"""TLS: certificates of a private authority, changed while the server serves."""

import os
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from access import Shown, ask, eventually
from conftest import BIN, Server, StartServer, lay_down, run
from grpc import StatusCode

from registry_server.authority import Authority
from registry_server.tokens import ANY_CERTIFICATE, add_certificate, add_token
from registry_server.vocabulary.callers import Role

GET = "genre_registry.v1.GenreRegistry/GetGenre"
HOST = "127.0.0.1"


@pytest.fixture
def authority(database: Path) -> Authority:
    """An authority, its server's certificate, and one for the caller nas."""
    authority = Authority(database.with_name("tls"))
    authority.make([HOST], ["nas"], days=1)
    return authority


@pytest.fixture
def start_tls(
    start_server: StartServer, database: Path, authority: Authority
) -> Callable[..., Server]:
    """Start servers with the authority's certificate."""

    def start(*flags: str) -> Server:
        certificate, key = authority.server
        own = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
        return start_server(flags=[*own, *flags])

    return start


def code_of(server: Server, shown: Shown) -> StatusCode:
    with shown.channel(server.target) as channel:
        return ask(channel, GET, shown)[0]


def said(server: Server, text: str) -> int:
    return sum(text in str(line["message"]) for line in server.lines)


def test_a_renewed_certificate_is_in_force_without_a_restart(
    start_tls: Callable[..., Server], authority: Authority, tmp_path: Path
) -> None:
    """The next connection is by the new one; open connections go on."""
    server = start_tls()
    shown = Shown(authority=authority)
    newer = Authority(tmp_path / "newer")
    newer.make([HOST], [], days=1)
    assert code_of(server, Shown(authority=newer)) is StatusCode.UNAVAILABLE

    with shown.channel(server.target) as channel:
        assert ask(channel, GET, shown)[0] is StatusCode.INVALID_ARGUMENT
        for new, old in zip(newer.server, authority.server, strict=True):
            new.replace(old)
        eventually(lambda: code_of(server, Shown(authority=newer)) is StatusCode.INVALID_ARGUMENT)
        assert ask(channel, GET, shown)[0] is StatusCode.INVALID_ARGUMENT

    assert code_of(server, shown) is StatusCode.UNAVAILABLE


def test_a_half_written_pair_is_never_served(
    start_tls: Callable[..., Server], authority: Authority, tmp_path: Path
) -> None:
    """The last good pair stays in force, which is said once, until the new one is whole."""
    server = start_tls()
    shown = Shown(authority=authority)
    _, key = authority.server
    before = key.read_bytes()
    authority.sign_server([HOST], days=1)
    after = key.read_bytes()

    for content in (before, after[:100]):
        key.write_bytes(content)
        assert code_of(server, shown) is StatusCode.INVALID_ARGUMENT
        assert code_of(server, shown) is StatusCode.INVALID_ARGUMENT
    assert said(server, "stay in force") == 2

    key.write_bytes(after)
    assert code_of(server, shown) is StatusCode.INVALID_ARGUMENT
    eventually(lambda: said(server, "certificates read anew") == 1)


def test_a_certificate_of_another_authority_is_refused(
    start_tls: Callable[..., Server], authority: Authority, database: Path, tmp_path: Path
) -> None:
    """A name on the list is worth nothing under another signature."""
    add_certificate(database.with_name("tokens.json"), "nas", Role.OPERATOR, ANY_CERTIFICATE)
    server = start_tls("--tls-client-ca", str(authority.certificate))
    stranger = Authority(tmp_path / "stranger")
    stranger.make([HOST], ["nas"], days=1)
    assert code_of(server, Shown("", authority, "nas")) is StatusCode.INVALID_ARGUMENT

    # The stranger trusts the server, but not the other way round.
    shutil.copy(authority.certificate, stranger.certificate)

    assert code_of(server, Shown("", stranger, "nas")) is StatusCode.UNAVAILABLE


def test_the_authority_of_callers_is_changed_without_a_restart(
    start_tls: Callable[..., Server], authority: Authority, tmp_path: Path
) -> None:
    """What the old one signed is refused, on the connection that is open too."""
    ca = tmp_path / "callers.pem"
    shutil.copy(authority.certificate, ca)
    add_certificate(tmp_path / "tokens.json", "nas", Role.OPERATOR, ANY_CERTIFICATE)
    server = start_tls("--tls-client-ca", str(ca), "--tokens", str(tmp_path / "tokens.json"))
    newer = Authority(tmp_path / "newer")
    newer.make([HOST], ["nas"], days=1)
    old, new = Shown("", authority, "nas"), Shown("", newer, "nas")

    with old.channel(server.target) as channel:
        assert ask(channel, GET, old)[0] is StatusCode.INVALID_ARGUMENT
        ca.write_bytes(authority.certificate.read_bytes() + newer.certificate.read_bytes())
        shutil.copy(authority.certificate, newer.certificate)
        eventually(lambda: code_of(server, new) is StatusCode.INVALID_ARGUMENT)
        assert ask(channel, GET, old)[0] is StatusCode.INVALID_ARGUMENT

        ca.write_bytes(ca.read_bytes()[len(authority.certificate.read_bytes()) :])
        eventually(lambda: ask(channel, GET, old)[0] is StatusCode.UNAUTHENTICATED)

    assert code_of(server, old) is StatusCode.UNAVAILABLE
    assert code_of(server, new) is StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("wrong", ["certificate", "key", "ca", "missing"])
def test_certificates_that_cannot_be_used_are_refused_at_the_start(
    database: Path, authority: Authority, wrong: str
) -> None:
    """In a sentence that names the file, with the exit code of a wrong setting."""
    lay_down(database)
    certificate, key = authority.server
    ca = authority.certificate
    if wrong == "certificate":
        shutil.copy(authority.client("nas")[0], certificate)
    elif wrong == "key":
        key.write_text("no key")
    elif wrong == "ca":
        ca.write_text("no certificate")
    else:
        key.unlink()

    refused = run(
        *("genre-registry", "serve", "--listen", "127.0.0.1:0", "--database", str(database)),
        *("--tls-certificate", str(certificate), "--tls-key", str(key)),
        *("--tls-client-ca", str(ca)),
    )

    assert refused.returncode == 78
    assert str(ca if wrong == "ca" else key) in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_tls_init_makes_all_that_a_home_network_needs(
    start_server: StartServer, database: Path
) -> None:
    """Its keys are for their owner alone; a server beyond loopback starts with what it made."""
    folder = database.with_name("tls")
    at = ("--database", str(database))
    made = run(
        *("genre-registry", "tls", "init", "--host", "raspberrypi.local", "--host", "192.168.1.20"),
        *("--client", "nas", *at),
    )
    again = run("genre-registry", "tls", "init", "--host", "raspberrypi.local", *at)
    client = run("genre-registry", "tls", "client", "scanner-1", *at)
    renewed = run("genre-registry", "tls", "server", "--host", "raspberrypi.local", *at)

    assert (made.returncode, client.returncode, renewed.returncode) == (0, 0, 0), made.stderr
    assert again.returncode == 73
    assert "genre-registry tls server" in again.stderr
    keys = [folder / name for name in ("authority.key", "server.key", "clients/nas.key")]
    assert all(stat.S_IMODE(key.stat().st_mode) == 0o600 for key in keys)
    assert [path.name for path in folder.iterdir() if path.name.startswith("tmp")] == []
    # As the command says, word for word.
    settings = database.with_name("settings.toml")
    lines = (made.stdout + client.stdout).splitlines()
    settings.write_text("\n".join(dict.fromkeys(line for line in lines if " = " in line)))
    listing = [line.split() for line in client.stdout.splitlines() if "token new" in line]
    assert [run(*command, *at).returncode for command in listing] == [0]
    server = start_server("0.0.0.0:0", flags=["--settings", str(settings)])
    local = Server(server.process, server.target.replace("0.0.0.0", HOST), server.database)
    for name, code in (
        ("scanner-1", StatusCode.INVALID_ARGUMENT),
        ("nas", StatusCode.UNAUTHENTICATED),
    ):
        assert code_of(local, Shown("", Authority(folder), name)) is code


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["init", "--host", "http://pi"], "neither a host's name nor its address"),
        (["init", "--host", "pi:50051"], "neither a host's name nor its address"),
        (["init", "--host", "pi,email:x"], "neither a host's name nor its address"),
        (["init", "--host", "pi", "--client", "a/b"], "can be no caller's name"),
        (["client", "nas"], "make it first: genre-registry tls init"),
    ],
)
def test_certificates_that_cannot_be_made_are_refused(
    database: Path, arguments: list[str], complaint: str
) -> None:
    """Before anything is made."""
    refused = run("genre-registry", "tls", *arguments, "--database", str(database))

    assert refused.returncode == 73
    assert complaint in refused.stderr
    assert refused.stderr.startswith(f"certificates: {database.with_name('tls')}\n")
    assert not list(database.parent.iterdir())


def test_without_openssl_it_says_how_to_get_it(tmp_path: Path) -> None:
    """A plain sentence rather than a traceback."""
    refused = run(
        *("genre-registry", "tls", "init", "--host", "pi", "--directory", str(tmp_path / "tls")),
        PATH=str(tmp_path),
    )

    assert refused.returncode == 73
    assert "sudo apt install openssl" in refused.stderr
    assert not (tmp_path / "tls" / "authority.pem").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_belongs_to_who_runs_the_server(database: Path) -> None:
    """Under systemd an operator is root, and the server is not."""
    os.chown(database.parent, 12345, 12345)
    authority = Authority(database.with_name("tls"))

    authority.make([HOST], ["nas"], days=1)
    add_token(database.with_name("tokens.json"), "nas", Role.WORKER)

    servers = [*authority.server, authority.certificate, database.with_name("tokens.json")]
    assert {path.stat().st_uid for path in servers} == {12345}
    secrets = [authority.client("nas")[1], database.with_name("tls") / "authority.key"]
    assert {(path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) for path in secrets} == {
        (0, 0o600)
    }


@pytest.fixture
def grpcurl_call(grpcurl: Path) -> Callable[..., str]:
    """Run grpcurl and return what it says, of either kind."""

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [grpcurl, *arguments], capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout + done.stderr

    return call


def test_grpcurl_calls_with_a_token_and_a_protoset(
    start_tls: Callable[..., Server],
    authority: Authority,
    database: Path,
    tmp_path: Path,
    grpcurl_call: Callable[..., str],
) -> None:
    """A foreign client by TLS: reflection wants any token, and the protoset does without."""
    token = add_token(database.with_name("tokens.json"), "tv", Role.READER)
    server = start_tls()
    bearer = (
        "-H",
        f"authorization: Bearer {token}",
        "-rpc-header",
        f"authorization: Bearer {token}",
    )
    ca = ("-cacert", str(authority.certificate))
    protoset = tmp_path / "genres.protoset"
    assert run("genre-registry", "schema", str(protoset)).returncode == 0
    by_schema = ("-protoset", str(protoset))
    registry = "genre_registry.v1.GenreRegistry"

    assert registry in grpcurl_call(*ca, *bearer, server.target, "list")
    assert "A token is needed" in grpcurl_call(*ca, server.target, "list")
    assert "SERVING" in grpcurl_call(*ca, *by_schema, server.target, "grpc.health.v1.Health/Check")
    listed = grpcurl_call(*ca, *bearer[:2], *by_schema, server.target, f"{registry}/ListGenres")
    assert "incarnation" in listed
    refused = grpcurl_call(
        *(*ca, *bearer[:2], *by_schema, "-d", '{"name": "Dub"}'),
        *(server.target, f"{registry}/GetOrCreate"),
    )
    assert "tv is a reader; this call needs a worker." in refused
    described = grpcurl_call(*by_schema, "describe", registry)
    assert described.count("rpc ") == 10


def test_the_schema_goes_to_standard_output_too() -> None:
    """For a pipe."""
    written = subprocess.run([BIN / "genre-registry", "schema"], capture_output=True, timeout=60)

    assert b"genre_registry/v1/genre_registry.proto" in written.stdout


def test_what_an_authority_prints_can_be_pasted(tmp_path: Path) -> None:
    """The settings are a table of TOML, and the callers' commands commands."""
    made = run(
        *("genre-registry", "tls", "init", "--host", "localhost", "--client", "nas"),
        *("--client", "tv", "--directory", str(tmp_path / "tls")),
    )
    assert made.returncode == 0, made.stderr
    printed = [line for line in made.stdout.splitlines() if line.startswith("tls_")]

    settings = tomllib.loads("\n".join(printed))

    assert settings["tls_client_ca"] == str(tmp_path / "tls" / "authority.pem")
    commands = [line for line in made.stdout.splitlines() if line.startswith("genre-registry")]
    for command in commands:
        assert run(*command.split(), "--tokens", str(tmp_path / "tokens.json")).returncode == 0
    listed = run("genre-registry", "token", "list", "--tokens", str(tmp_path / "tokens.json"))
    assert [line.split()[:3] for line in listed.stdout.splitlines()] == [
        ["nas", "worker", "certificate"],
        ["tv", "worker", "certificate"],
    ]
    assert made.stdout.count("alone (GENRE_REGISTRY_CERTIFICATE") == 2

"""`genre-registry backup` by a server: what is wrong with its credentials is said in words."""

import os
from pathlib import Path

import pytest
from conftest import Server, StartServer, run, run_installed
from test_client_credentials import Home, make_authority, needs_openssl, new_token

EXIT_SETTINGS, EXIT_TARGET, EXIT_NOT_ANSWERED = 78, 73, 69


@pytest.fixture
def token(tmp_path: Path) -> str:
    return new_token(tmp_path / "tokens.json", "keeper", "operator")


@pytest.fixture
def guarded(start_server: StartServer, token: str) -> Server:
    """A server that wants a token."""
    assert token
    return start_server()


def refused_to_back_up(
    server: Server, target: Path, exit_code: int = EXIT_SETTINGS, **environment: str
) -> str:
    """Return the one sentence that a backup ends with."""
    done = run("genre-registry", "backup", target, "--database", server.database, **environment)
    assert (done.returncode, done.stderr.count("\n")) == (exit_code, 1), done.stderr
    assert done.stderr.startswith("genre-registry: ")
    return done.stderr


def test_white_space_around_a_token_is_nothing(guarded: Server, token: str, tmp_path: Path) -> None:
    """As an environment file or an editor leaves it."""
    done = run(
        *("genre-registry", "backup", tmp_path / "b.db", "--database", guarded.database),
        GENRE_REGISTRY_TOKEN=token + "\n",
    )

    assert done.returncode == 0, done.stderr


def test_what_is_no_token_is_not_sent(guarded: Server, token: str, tmp_path: Path) -> None:
    """A file of bytes, two lines, another script, nothing: named by its source, never repeated."""
    target, file = tmp_path / "b.db", tmp_path / "token"
    for content in (b"\xff\x00\xfe", f"{token}\n{token}".encode(), "tökén".encode(), b""):
        file.write_bytes(content)
        said = refused_to_back_up(guarded, target, GENRE_REGISTRY_TOKEN_FILE=str(file))
        assert f"{file}: this is no token" in said
        assert token not in said
    for text in (f"{token}\n{token}", "tökén"):
        said = refused_to_back_up(guarded, target, GENRE_REGISTRY_TOKEN=text)
        assert "GENRE_REGISTRY_TOKEN: this is no token" in said
        assert token not in said
    absent = refused_to_back_up(guarded, target, GENRE_REGISTRY_TOKEN_FILE=str(tmp_path / "no"))
    assert "can't be read: No such file" in absent


@needs_openssl
def test_certificates_that_can_not_be_shown_are_named(guarded: Server, tmp_path: Path) -> None:
    """One without the other, without an authority, no PEM, no pair."""
    home = Home(tmp_path / "tls")
    make_authority(home.folder)
    target, no_pem = tmp_path / "b.db", tmp_path / "no.pem"
    no_pem.write_text("a diary")
    server_key = home.folder / "server.key"
    for given, said in (
        ({"CERTIFICATE": home.ca}, "name the other with --key"),
        ({"KEY": server_key}, "name the other with --certificate"),
        ({"CERTIFICATE": home.ca, "KEY": server_key}, "wants --ca"),
        ({"CA": no_pem}, "no.pem holds no certificate in PEM"),
        ({"CA": home.ca, "CERTIFICATE": home.ca, "KEY": server_key}, "are no pair"),
        ({"CA": home.ca, "CERTIFICATE": no_pem, "KEY": server_key}, "are no pair"),
    ):
        named = {f"GENRE_REGISTRY_{name}": str(path) for name, path in given.items()}
        assert said in refused_to_back_up(guarded, target, **named)


@needs_openssl
def test_a_server_that_asks_for_certificates_is_told_of(
    start_server: StartServer, token: str, tmp_path: Path
) -> None:
    """Without one the sentence says what to name; with the caller's own there is a backup."""
    home, target = Home(tmp_path / "tls"), tmp_path / "b.db"
    make_authority(home.folder, "localhost", "--client", "box")
    server = start_server(flags=[*home.flags(), "--tls-client-ca", str(home.ca)])
    shown = {"GENRE_REGISTRY_TOKEN": token, "GENRE_REGISTRY_CA": str(home.ca)}

    said = refused_to_back_up(server, target, EXIT_NOT_ANSWERED, **shown)
    backed_up = run(
        *("genre-registry", "backup", target, "--database", server.database),
        *("--certificate", home.folder / "clients/box.pem"),
        *("--key", home.folder / "clients/box.key"),
        **shown,
    )

    assert "asks every caller for a certificate (its tls_client_ca)" in said
    assert "--certificate and --key" in said
    assert backed_up.returncode == 0, backed_up.stderr


@pytest.mark.parametrize("is_served", [True, False], ids=["served", "directly"])
def test_a_target_that_is_not_utf_8_is_refused(
    start_server: StartServer, tmp_path: Path, is_served: bool
) -> None:
    """A name in an old encoding, as a stick may hold it."""
    server = start_server()
    if not is_served:
        server.stop()
    target = tmp_path / os.fsdecode(b"caf\xe9.db")

    assert "not UTF-8" in refused_to_back_up(server, target, EXIT_TARGET)


@needs_openssl
def test_the_core_of_grpc_keeps_quiet(start_server: StartServer, tmp_path: Path) -> None:
    """A server of another authority: one sentence, as the command is installed."""
    homes = [Home(tmp_path / name) for name in ("one", "other")]
    for home in homes:
        make_authority(home.folder)
    server = start_server(flags=homes[0].flags())
    done = run_installed(
        *("genre-registry", "backup", tmp_path / "b.db", "--database", server.database),
        *("--ca", homes[1].ca),
    )

    assert (done.returncode, done.stderr.count("\n")) == (69, 1), done.stderr

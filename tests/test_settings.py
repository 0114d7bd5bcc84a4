"""Settings: where each comes from, which are refused, and that the refusal helps."""

from pathlib import Path

import pytest
from conftest import run_installed

from registry_server.limits import LIMITS, Limits
from registry_server.settings import (
    LISTEN_DEFAULT,
    NAMES,
    PLACEHOLDERS,
    Settings,
    SettingsError,
    read_settings,
    state_directory,
)

LIMITS_IN_FORCE = {name: (getattr(Limits, name), "default") for name in LIMITS}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test's settings file goes; nothing is there yet."""
    return tmp_path / "settings.toml"


def values_of(
    file: Path | None = None, environment: dict[str, str] | None = None, **flags: object
) -> dict[str, tuple[object, str]]:
    """Return each setting in force with its source; the settings themselves must agree."""
    settings, found = read_settings(file, environment or {}, flags)
    assert {each.name: each.value for each in found} == vars(settings)
    return {each.name: (each.value, each.source) for each in found}


UNPROTECTED = {
    "tls_certificate": (None, "default"),
    "tls_key": (None, "default"),
    "tls_client_ca": (None, "default"),
    "plaintext_networks": ((), "default"),
    "socket_mode": ("0660", "default"),
}
"""How a server that only this machine can reach is protected."""


def listening(listen: object) -> Settings:
    return read_settings(None, {}, {"listen": listen})[0]


def test_without_any_settings_the_defaults_are_in_force() -> None:
    """A registry needs no settings: loopback, and a file among the user's own."""
    found = values_of(environment={"STATE_DIRECTORY": "/var/lib/genres"})

    assert found == {
        "listen": (LISTEN_DEFAULT, "default"),
        "database": (Path("/var/lib/genres/registry.db"), "default"),
        "tokens": (Path("/var/lib/genres/tokens.json"), "default"),
        **UNPROTECTED,
        "shutdown_grace_s": (5.0, "default"),
        "packs_off": ((), "default"),
        "placeholders": (PLACEHOLDERS, "default"),
        "history_kept": (100_000, "default"),
        "watch_heartbeat_s": (15.0, "default"),
        "metrics": ("", "default"),
        "log_level": ("info", "default"),
        **LIMITS_IN_FORCE,
    }


def test_flags_override_the_environment_which_overrides_the_file(file: Path) -> None:
    """Each setting is in force as its strongest source has it, and says which that is."""
    file.write_text('listen = "127.0.0.1:1"\ndatabase = "file.db"\nshutdown_grace_s = 1\n')
    environment = {"GENRE_REGISTRY_LISTEN": "127.0.0.1:2", "GENRE_REGISTRY_DATABASE": "env.db"}

    assert values_of(file, environment, listen="127.0.0.1:3", database=None) == {
        "listen": ("127.0.0.1:3", "--listen"),
        "database": (Path("env.db"), "GENRE_REGISTRY_DATABASE"),
        "tokens": (Path("tokens.json"), "default"),
        **UNPROTECTED,
        "shutdown_grace_s": (1.0, str(file)),
        "packs_off": ((), "default"),
        "placeholders": (PLACEHOLDERS, "default"),
        "history_kept": (100_000, "default"),
        "watch_heartbeat_s": (15.0, "default"),
        "metrics": ("", "default"),
        "log_level": ("info", "default"),
        **LIMITS_IN_FORCE,
    }


def test_numbers_are_read_from_the_environment_as_from_the_file(file: Path) -> None:
    """The environment holds only text; what it says is typed all the same."""
    file.write_text("shutdown_grace_s = 2.5\n")

    from_file = values_of(file)["shutdown_grace_s"]
    from_environment = values_of(environment={"GENRE_REGISTRY_SHUTDOWN_GRACE_S": "2.5"})

    assert from_file == (2.5, str(file))
    assert from_environment["shutdown_grace_s"] == (2.5, "GENRE_REGISTRY_SHUTDOWN_GRACE_S")


def test_the_rest_of_the_environment_is_not_ours() -> None:
    """Only the prefix makes a variable a setting, and the file's own name is none."""
    found = values_of(environment={"LISTEN": "x", "GENRE_REGISTRY_SETTINGS": "settings.toml"})

    assert found["listen"] == (LISTEN_DEFAULT, "default")


@pytest.mark.parametrize("name", ["TOKEN", "TOKEN_FILE", "CA", "CERTIFICATE", "KEY"])
def test_what_clients_read_is_no_setting_of_the_servers(name: str) -> None:
    """One environment file may serve both on one machine."""
    assert values_of(environment={f"GENRE_REGISTRY_{name}": "x"}) == values_of(environment={})


def test_lists_are_read_from_the_environment_with_commas() -> None:
    """As `plaintext_networks` is."""
    environment = {"GENRE_REGISTRY_PLAINTEXT_NETWORKS": "172.18.0.0/16, fd00::/8"}

    found = values_of(environment=environment)

    assert found["plaintext_networks"][0] == ("172.18.0.0/16", "fd00::/8")


def test_a_network_of_containers_may_be_served_in_the_clear() -> None:
    """Where it is named; whether there are tokens is looked at when the server starts."""
    flags = {"listen": "0.0.0.0:50051", "plaintext_networks": ("172.18.0.0/16",)}

    assert values_of(**flags)["plaintext_networks"][1] == "--plaintext-network"


@pytest.mark.parametrize("rate", [0, 0.001])
def test_a_rate_may_be_none_or_slow(rate: float) -> None:
    """Zero stands for any number; a call in a thousand seconds is still a limit."""
    assert values_of(caller_calls_per_s=rate)["caller_calls_per_s"][0] == rate


def test_a_path_that_is_not_utf_8_is_refused() -> None:
    """SQLite could not open it; the environment may hold any bytes."""
    with pytest.raises(SettingsError, match="database wants a path in UTF-8"):
        values_of(environment={"GENRE_REGISTRY_DATABASE": "caf\udce9.db"})


def test_an_unknown_key_is_refused_by_source_and_name(file: Path) -> None:
    """A misspelt setting is an error that names what there is, not a silent default."""
    file.write_text('lissen = "127.0.0.1:1"\n')

    with pytest.raises(SettingsError) as in_file:
        values_of(file)
    with pytest.raises(SettingsError) as in_environment:
        values_of(environment={"GENRE_REGISTRY_LISTEN_ON": "127.0.0.1:1"})

    allowed = "there are " + ", ".join(NAMES) + "."
    assert str(in_file.value) == f"{file}: there is no setting 'lissen'; {allowed}"
    assert str(in_environment.value) == (
        f"GENRE_REGISTRY_LISTEN_ON: there is no setting 'listen_on'; {allowed}"
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("listen = 50051", "listen wants a text, not 50051"),
        ('listen = ""', "listen wants a text, not ''"),
        ('listen = ["127.0.0.1:1"]', "listen wants a text"),
        ("database = 1", "database wants a path, not 1"),
        ('database = "a\\u0000b"', "database wants a path, which holds no NUL character"),
        ('tls_key = "a\\u0000b"', "tls_key wants a path, which holds no NUL character"),
        ('listen = "unix:a\\u0000b"', "listen: wants a path, which holds no NUL character"),
        ('tokens = "grt_x"', "tokens wants the path of a file, not what is in it"),
        ('tls_key = "-----BEGIN PRIVATE KEY-----"', "tls_key wants the path of a file"),
        ('tls_key = "a.key"', "tls_key: a certificate and its key go together"),
        ('tls_certificate = "a.pem"', "key go together; name tls_key too"),
        ('tls_client_ca = "a.pem"', "tls_client_ca: wants tls_certificate and tls_key too"),
        ('plaintext_networks = ["172.18.0.1/16"]', "'172.18.0.1/16' is no network"),
        ('plaintext_networks = ["0.0.0.0/0"]', "0.0.0.0/0 is more than a private network"),
        ('plaintext_networks = ["8.8.8.0/24"]', "8.8.8.0/24 is more than a private network"),
        ('socket_mode = "rw"', "socket_mode: 'rw' is no mode of three octal digits"),
        ("socket_mode = 660", "socket_mode wants a text, not 660"),
        ('database = "postgresql://db/genres"', "postgresql databases are not served yet"),
        ('shutdown_grace_s = "soon"', "shutdown_grace_s wants a number, not 'soon'"),
        ("shutdown_grace_s = true", "shutdown_grace_s wants a number, not True"),
        ('packs_off = ["discog"]', "packs_off: there is no pack 'discog'; there are musicbrainz,"),
        ("packs_off = 1", "packs_off wants a list of texts, not 1"),
        ('placeholders = [""]', "placeholders wants a list of texts"),
        ('placeholders = ["--"]', "placeholders: The name"),
        ("history_kept = 0", "history_kept: 1 to 1,000,000,000 changes"),
        ("history_kept = 1.5", "history_kept wants a whole number"),
        ("watch_heartbeat_s = 0.01", "watch_heartbeat_s: 0.05 to 3600 seconds"),
        ("message_bytes_max = 1", "message_bytes_max: 1,024 to 67,108,864 bytes are allowed"),
        ("caller_calls_per_s = nan", "caller_calls_per_s: 0, or 0.001 to 1,000,000 calls a"),
        ("caller_calls_per_s = 1e-320", "caller_calls_per_s: 0, or 0.001 to 1,000,000 calls a"),
        ("streams_max = 1.5", "streams_max wants a whole number"),
        ("metrics = 9464", "metrics wants HOST:PORT, or nothing, not 9464"),
        ('metrics = "0.0.0.0:9464"', "metrics: 0.0.0.0:9464 is beyond loopback"),
        ('log_level = "loud"', "log_level: info, debug are allowed, not 'loud'"),
        ("shutdown_grace_s = -1", "0 to 3600 seconds"),
        ("shutdown_grace_s = 3601", "0 to 3600 seconds"),
        ("shutdown_grace_s = nan", "0 to 3600 seconds"),
        ("[listen]\nport = 1", "listen wants a text"),
        ("listen 127.0.0.1:1", "is not TOML"),
        ('listen = "\udcff"', "is not TOML"),
    ],
)
def test_a_wrong_value_is_refused_by_source_and_kind(file: Path, line: str, complaint: str) -> None:
    """The message names the file, the setting and what is wanted."""
    file.write_bytes(line.encode("utf-8", "surrogateescape"))

    with pytest.raises(SettingsError) as refused:
        values_of(file)

    assert str(refused.value).startswith(f"{file}: ")
    assert complaint in str(refused.value)


def test_a_settings_file_that_is_not_there_is_an_error(file: Path) -> None:
    """A named file is meant to be read."""
    with pytest.raises(SettingsError, match="No such file"):
        values_of(file)


@pytest.mark.parametrize(
    "listen",
    [
        *("127.0.0.1:0", "127.0.0.1:65535", "127.8.8.8:50051", "localhost:50051", "[::1]:0"),
        *("unix:/run/genres.sock", "unix:genres.sock", "unix:///run/genres.sock"),
    ],
)
def test_loopback_and_unix_sockets_are_listened_on(listen: str) -> None:
    """Only this machine, and the containers that share a socket, can call there."""
    assert listening(listen).listen == listen


@pytest.mark.parametrize(
    ("listen", "reason"),
    [
        ("0.0.0.0:50051", "beyond loopback"),
        ("[::]:50051", "beyond loopback"),
        ("192.168.1.2:50051", "beyond loopback"),
        ("raspberrypi:50051", "is not an address"),
        ("::1:50051", "write 127.0.0.1, [::1] or localhost"),
        ("[127.0.0.1]:50051", "write 127.0.0.1, [::1] or localhost"),
        ("127.0.0.1", "neither HOST:PORT nor unix:PATH"),
        ("127.0.0.1:", "neither HOST:PORT nor unix:PATH"),
        ("127.0.0.1:65536", "neither HOST:PORT nor unix:PATH"),
        ("127.0.0.1:-1", "neither HOST:PORT nor unix:PATH"),
        ("127.0.0.1:٣", "neither HOST:PORT nor unix:PATH"),
        (":50051", "neither HOST:PORT nor unix:PATH"),
        ("50051", "neither HOST:PORT nor unix:PATH"),
        ("http://127.0.0.1:50051", "is not an address"),
        ("unix:", "wants a path"),
    ],
)
def test_other_listeners_are_refused_with_the_reason(listen: str, reason: str) -> None:
    """Nobody serves a network unprotected by mistake, or wonders what a wrong form means."""
    with pytest.raises(SettingsError) as refused:
        listening(listen)

    assert str(refused.value).startswith("--listen: ")
    assert reason in str(refused.value)


def test_the_unix_socket_has_a_path() -> None:
    """TCP has none."""
    assert listening("unix:/run/genres.sock").socket_path == Path("/run/genres.sock")
    assert listening("127.0.0.1:0").socket_path is None


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_STATE_HOME": "/x"}, "/var/lib/a"),
        ({"XDG_STATE_HOME": "/x"}, "/x/genre-registry"),
        ({"XDG_STATE_HOME": ""}, "~/.local/state/genre-registry"),
        ({}, "~/.local/state/genre-registry"),
    ],
)
def test_the_state_directory_is_systemds_or_the_users(
    environment: dict[str, str], directory: str
) -> None:
    """A service keeps its data where systemd says, a person's server at that person's home."""
    assert state_directory(environment) == Path(directory).expanduser()


def test_the_command_prints_each_setting_and_its_source(file: Path) -> None:
    """An operator sees at once what is in force and which file or variable to change."""
    file.write_text("shutdown_grace_s = 7\n")

    printed = run_installed(
        *("genre-registry", "settings", "--settings", file, "--listen", "unix:/run/genres.sock"),
        *("--packs-off", "beets, discogs"),
        GENRE_REGISTRY_DATABASE="/srv/genres.db",
        GENRE_REGISTRY_PLACEHOLDERS="Unknown,Other",
    )

    assert printed.returncode == 0
    assert [line.split() for line in printed.stdout.splitlines()] == [
        ["listen", "unix:/run/genres.sock", "(--listen)"],
        ["database", "/srv/genres.db", "(GENRE_REGISTRY_DATABASE)"],
        ["tokens", "/srv/tokens.json", "(default)"],
        ["tls_certificate", "none", "(default)"],
        ["tls_key", "none", "(default)"],
        ["tls_client_ca", "none", "(default)"],
        ["plaintext_networks", "none", "(default)"],
        ["socket_mode", "0660", "(default)"],
        ["shutdown_grace_s", "7.0", f"({file})"],
        ["packs_off", "beets,", "discogs", "(--packs-off)"],
        ["placeholders", "Unknown,", "Other", "(GENRE_REGISTRY_PLACEHOLDERS)"],
        ["history_kept", "100000", "(default)"],
        ["watch_heartbeat_s", "15.0", "(default)"],
        ["metrics", "none", "(default)"],
        ["log_level", "info", "(default)"],
        *([name, str(value), f"({source})"] for name, (value, source) in LIMITS_IN_FORCE.items()),
    ]


def test_the_settings_file_can_be_named_by_the_environment(file: Path) -> None:
    """A unit file sets one variable, and every command reads the same file."""
    file.write_text('database = "/srv/genres.db"\n')

    printed = run_installed("genre-registry", "settings", GENRE_REGISTRY_SETTINGS=str(file))

    assert f"/srv/genres.db  ({file})" in printed.stdout


@pytest.mark.parametrize("command", ["settings", "serve", "migrate", "check"])
def test_every_command_ends_with_78_on_a_wrong_setting(command: str) -> None:
    """Scripts and systemd tell a wrong setting from every other failure."""
    ended = run_installed("genre-registry", command, GENRE_REGISTRY_LISTEN="0.0.0.0:50051")

    assert ended.returncode == 78
    assert ended.stdout == ""
    assert ended.stderr.startswith("genre-registry: GENRE_REGISTRY_LISTEN: listen: 0.0.0.0:50051")
    assert "Traceback" not in ended.stderr

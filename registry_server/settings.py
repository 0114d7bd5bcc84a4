"""
Settings: a frozen value, read once from a TOML file, the environment and flags.

Flags override the environment (`GENRE_REGISTRY_*`), which overrides the file, which
overrides the defaults.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from registry_server.files import content_of, is_special
from registry_server.limits import LIMITS, Limits
from registry_server.observing.address import check_metrics_address
from registry_server.packs.reading import PACKS
from registry_server.protection import (
    UNIX,
    networks_of,
    refuse_listener,
    refuse_no_path,
    refuse_secret,
    refuse_socket_mode,
    refuse_unprotected,
)
from registry_server.protection import SettingsError as SettingsError
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.refusals import InvalidName

ENVIRONMENT_PREFIX = "GENRE_REGISTRY_"
CLIENTS_OWN = frozenset({"TOKEN", "TOKEN_FILE", "CA", "CERTIFICATE", "KEY"})
"""What variables with the prefix are for those who call, rather than for the server."""
FLAGS = {"plaintext_networks": "--plaintext-network"}
"""The flags that are not named as their settings are."""
SETTINGS_BYTES_MAX = 1 << 20
LISTEN_DEFAULT = "127.0.0.1:50051"
LOG_LEVELS = ("info", "debug")
PLACEHOLDERS = (
    *("Unknown", "Unknown Genre", "Other", "Others", "None", "No Genre", "Not Specified"),
    *("Undefined", "Unspecified", "Unclassified", "Uncategorized", "Untagged", "Misc", "Misc."),
    *("Miscellaneous", "Various", "N/A", "null", "Genre", "[unknown]"),
    *("<unknown>", "(unknown)", "Inconnu", "Autre", "Divers", "Unbekannt", "Sonstige"),
    *("Sonstiges", "Andere", "Desconocido", "Otro", "Otros"),
)
"""What taggers write when they know no genre."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force, and where it came from."""

    name: str
    value: object
    source: str


@dataclass(frozen=True, kw_only=True)
class Settings(Limits):
    """
    What a server runs with; `Limits` are part of it.

    Attributes:
        listen: `HOST:PORT` (port 0 takes a free one), or `unix:PATH`. Beyond loopback only with
            TLS, or for `plaintext_networks`, and only with tokens or client certificates.
        database: The SQLite file.
        tokens: The file of those who may call. While there is none, and no `tls_client_ca`,
            whoever is on this machine may do everything.
        tls_certificate: The server's certificate, with what it was signed by; None for no TLS.
            Both this and its key are read anew when they change.
        tls_key: The certificate's key.
        tls_client_ca: The authority that signs callers' certificates: no connection without
            one; those in `tokens` stand for tokens. None asks for none.
        plaintext_networks: Private networks, as CIDR, from which calls are taken without TLS.
        socket_mode: The unix socket's mode, in octal digits.
        shutdown_grace_s: How long calls under way may take to end at a shutdown, 0 to 3600.
        packs_off: Reference packs that are left out; `genre-registry packs` lists all.
        placeholders: Texts that stand for no genre in a tag, whatever their case.
        history_kept: Changes that can be watched from behind, 1 to 1,000,000,000; whoever
            was away for longer lists again. The journal itself is never trimmed.
        metrics: Where Prometheus finds metrics, `HOST:PORT` on loopback; port 0 takes a free
            one; empty for nowhere.
        log_level: `info`, or `debug` for a line about every call.
        watch_heartbeat_s: How often a watcher hears that nothing happened, 0.05 to 3600.
    """

    listen: str = LISTEN_DEFAULT
    database: Path
    tokens: Path
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    plaintext_networks: tuple[str, ...] = ()
    socket_mode: str = "0660"
    shutdown_grace_s: float = 5.0
    packs_off: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = PLACEHOLDERS
    history_kept: int = 100_000
    watch_heartbeat_s: float = 15.0
    metrics: str = ""
    log_level: str = "info"

    def __post_init__(self) -> None:
        refuse_listener(self.listen)
        networks_of(self.plaintext_networks)
        refuse_socket_mode(self.socket_mode)
        refuse_unprotected(
            self.listen,
            tls_certificate=self.tls_certificate,
            tls_key=self.tls_key,
            tls_client_ca=self.tls_client_ca,
            plaintext_networks=self.plaintext_networks,
        )
        if not 0 <= self.shutdown_grace_s <= 3600:
            raise SettingsError("shutdown_grace_s: 0 to 3600 seconds are allowed.")
        if not 1 <= self.history_kept <= 1_000_000_000:
            raise SettingsError("history_kept: 1 to 1,000,000,000 changes are allowed.")
        if not 0.05 <= self.watch_heartbeat_s <= 3600:
            raise SettingsError("watch_heartbeat_s: 0.05 to 3600 seconds are allowed.")
        if excess := self.excess():
            raise SettingsError(excess)
        if self.metrics:
            try:
                check_metrics_address(self.metrics)
            except ValueError as error:
                raise SettingsError(f"metrics: {error}") from None
        if self.log_level not in LOG_LEVELS:
            raise SettingsError(
                f"log_level: {', '.join(LOG_LEVELS)} are allowed, not {self.log_level!r}."
            )
        if unknown := [name for name in self.packs_off if name not in PACKS]:
            raise SettingsError(
                f"packs_off: there is no pack {unknown[0]!r}; there are {', '.join(PACKS)}."
            )
        for text in self.placeholders:
            try:
                Spelling.of(text)
            except InvalidName as refusal:
                raise SettingsError(f"placeholders: {refusal}") from None

    @property
    def socket_path(self) -> Path | None:
        """Where the unix socket goes; None for TCP."""
        path = self.listen.removeprefix(UNIX)
        return Path(path) if path != self.listen else None


NAMES = (*(each.name for each in fields(Settings) if each.name not in LIMITS), *LIMITS)
"""Every setting, the limits last."""


def state_directory(environment: Mapping[str, str]) -> Path:
    """Return where the database goes by default: systemd's StateDirectory, or the user's own."""
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    home = environment.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "genre-registry"


def read_settings(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> tuple[Settings, list[Setting]]:
    """
    Return the settings in force, and each with its source.

    Args:
        file: A TOML file; None for none.
        environment: Where `GENRE_REGISTRY_*` is looked for.
        flags: What the command line gives; a value of None is not given.

    Raises:
        SettingsError: a key is unknown, a value is wrong, or the file can't be read.
    """
    database = Setting("database", state_directory(environment) / "registry.db", "default")
    found = {
        field.name: Setting(field.name, field.default, "default")
        for field in fields(Settings)
        if field.name not in ("database", "tokens")
    }
    given = [
        *(Setting(name, value, str(file)) for name, value in _from_file(file).items()),
        *_from_environment(environment),
        *(
            Setting(n, value, FLAGS.get(n, f"--{n}".replace("_", "-")))
            for n, value in flags.items()
        ),
    ]
    for setting in given:
        if setting.value is not None:
            name = _known(setting)
            found[name] = Setting(name, _typed(setting), setting.source)
    database = found.setdefault("database", database)
    # Beside the database, so that a second registry of the same user has its own.
    found.setdefault("tokens", Setting("tokens", _beside(database.value), "default"))
    found = {name: found[name] for name in NAMES}
    try:
        values: dict[str, Any] = {name: setting.value for name, setting in found.items()}
        settings = Settings(**values)
    except SettingsError as error:
        name = str(error).partition(":")[0]
        raise SettingsError(f"{found[name].source}: {error}") from None
    return settings, list(found.values())


def _beside(database: object) -> Path:
    return Path(str(database)).with_name("tokens.json")


def _from_file(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    try:
        return tomllib.loads(content_of(file, SETTINGS_BYTES_MAX).decode())
    except OSError as error:
        raise SettingsError(f"{file}: can't be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: is not TOML: {error}.") from None
    except RecursionError:
        raise SettingsError(f"{file}: is nested deeper than any settings are.") from None


def _from_environment(environment: Mapping[str, str]) -> list[Setting]:
    return [
        Setting(name.removeprefix(ENVIRONMENT_PREFIX).lower(), value, name)
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
        and name.removeprefix(ENVIRONMENT_PREFIX) not in ("SETTINGS", *CLIENTS_OWN)
    ]


def _known(setting: Setting) -> str:
    if setting.name not in NAMES:
        raise SettingsError(
            f"{setting.source}: there is no setting {setting.name!r}; there are {', '.join(NAMES)}."
        )
    return setting.name


def _typed(setting: Setting) -> object:
    """Return the setting's value as its type; text from the environment is read as one."""
    read, kind = {
        "listen": (_text, "a text"),
        "database": (_path, "a path"),
        "tokens": (_file, "a path"),
        "tls_certificate": (_file, "a path"),
        "tls_key": (_file, "a path"),
        "tls_client_ca": (_file, "a path"),
        "plaintext_networks": (_texts, "a list of texts"),
        "socket_mode": (_text, "a text"),
        "shutdown_grace_s": (_number, "a number"),
        "packs_off": (_texts, "a list of texts"),
        "placeholders": (_texts, "a list of texts"),
        "history_kept": (_whole_number, "a whole number"),
        "watch_heartbeat_s": (_number, "a number"),
        "metrics": (_text_or_none, "HOST:PORT, or nothing"),
        "log_level": (_text, "a text"),
        **{
            name: (_whole_number, "a whole number") if allowed.whole else (_number, "a number")
            for name, allowed in LIMITS.items()
        },
    }[setting.name]
    try:
        return read(setting.value)
    except SettingsError as error:
        raise SettingsError(f"{setting.source}: {setting.name} {error}") from None
    except (TypeError, ValueError, OverflowError):
        raise SettingsError(
            f"{setting.source}: {setting.name} wants {kind}, not {setting.value!r}."
        ) from None


def _text(value: object) -> str:
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError
    return str(value)


def _file(value: object) -> Path:
    text = _text(value)
    refuse_secret(text)
    refuse_no_path(text)
    path = Path(text)
    if is_special(path):
        raise SettingsError(f"wants a file; {path} is a pipe, a device or a socket.")
    return path


def _text_or_none(value: object) -> str:
    return "" if value == "" else _text(value)


def _path(value: object) -> Path:
    path = _text(value)
    if "://" in path:
        raise SettingsError(
            f"wants the path of an SQLite file; {path.partition('://')[0]} databases are not "
            "served yet."
        )
    refuse_no_path(path)
    return Path(path)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    return float(value)


def _whole_number(value: object) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _texts(value: object) -> tuple[str, ...]:
    """Read a list; from the environment and flags, texts with commas between them."""
    if isinstance(value, str):
        return tuple(text for text in map(str.strip, value.split(",")) if text)
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return tuple(_text(text) for text in value)

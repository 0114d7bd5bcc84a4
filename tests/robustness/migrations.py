"""Migrations from every earlier version, interrupted wherever that can be."""

import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from calling import Caller
from disk_points import see_sound
from faulty_disk import KILLED, TORN, DiskFault, FaultyDisk, made_library
from launching import LOADED, Launched, Launcher
from trial import Trial

from registry_server.store import migrations, schema
from registry_server.store.engines import writing_engine
from registry_server.vocabulary.identity import Spelling

GENRES = 40
EACH_AT_LEAST = 2
"""Interruptions of each version, however little time there is."""
EXIT_NEWER = 76
SERVED_EACH = 10
"""Of so many interruptions, one is followed by a start of the server."""

Content = dict[str, list[tuple[object, ...]]]
"""Each table's columns, and its rows."""


@dataclass(frozen=True, eq=False)
class Older:
    """A database of an earlier version, what is in it, and what a migration makes of that."""

    version: str
    path: Path
    before: Content
    after: Content
    statements: int
    writes: int


@dataclass(frozen=True)
class Interruption:
    """Where a migration ends: at a statement, or in a write to the disk."""

    how: str
    number: int


class Migrations:
    """Interrupts migrations, and sees what is there then."""

    def __init__(self, trial: Trial, launcher: Launcher, *, has_faults: bool) -> None:
        self._trial = trial
        self._launcher = launcher
        self._has_faults = has_faults
        self._folder = trial.folder / "migrated"
        self.database = self._folder / "registry.db"
        self._disk = FaultyDisk(trial.folder / "control", self.database)
        self._counted = trial.folder / "statements"

    def older(self, version: str) -> Older:
        """Make a database of *version*, with something in every table it has."""
        path = self._trial.folder / f"of-{version}.db"
        make_older(path, version)
        before = content_of(path)
        self._lay_down(path)
        self._disk.heal()
        launched = self._migrate("DIED", 0)
        if launched.wait():
            self._trial.fault("other", f"from {version}: {launched.said}")
        statements = int(self._counted.read_text())
        self._trial.figure(f"statements from {version}", str(statements))
        writes = self._disk.counts["write"] if self._has_faults else 0
        return Older(version, path, before, content_of(self.database), statements, writes)

    def interruptions(self, older: Older) -> Iterator[Interruption]:
        """Give every place where a migration of *older* can end, in no order."""
        all_of_them = [
            *(
                Interruption(how, number)
                for how in ("DIED", "FAILED")
                for number in range(1, older.statements + 1)
            ),
            *(
                Interruption(how, number)
                for how in ("died in a write", "torn in a write")
                for number in range(1, older.writes + 1)
            ),
        ]
        self._trial.dice.shuffle(all_of_them)
        yield from all_of_them

    def interrupt(self, older: Older, at: Interruption) -> None:
        """End a migration there: the file is the old one or the new one, and a start migrates."""
        what = f"from {older.version}, {at.how} {at.number}"
        self._lay_down(older.path)
        self._disk.heal()
        if "write" in at.how:
            error = TORN if at.how.startswith("torn") else KILLED
            self._disk.fail(DiskFault("write", at.number, error))
            launched = self._migrate("DIED", 0)
        else:
            launched = self._migrate(at.how, at.number)
        code = launched.wait()
        self._trial.count(f"{at.how.lower().replace(' in a write', '')} from {older.version}")
        if "Traceback" in launched.said and at.how != "FAILED":
            self._trial.fault("other", f"{what}: {launched.said[-400:]}")
        if code not in ({-signal.SIGKILL} if at.how != "FAILED" else {0, 70, 74}):
            self._trial.fault("other", f"{what}: it ended with {code}: {launched.said[-300:]}")
        self._disk.heal()
        found = content_of(self.database)
        if found not in (older.before, older.after):
            self._trial.fault("lost", f"{what}: the file is neither the old one nor the new one")
        self._trial.count("found old" if found == older.before else "found new")
        if self._trial.dice.randrange(SERVED_EACH):
            again = self._launcher.launch("migrate", "--database", self.database)
            if again.wait():
                self._trial.fault("other", f"{what}: the next start: {again.said}")
            if content_of(self.database) != older.after:
                self._trial.fault("lost", f"{what}: afterwards something is missing")
        else:
            self._serve(what)
        see_sound(self._trial, self.database, what)

    def _serve(self, what: str) -> None:
        server = self._launcher.serve(self.database)
        target = server.target()
        if target is None:
            self._trial.fault("other", f"{what}: the next start: {server.said}")
            return
        with Caller(target) as caller:
            for number in range(1, GENRES + 1):
                answer = caller.look_up(name_of(number))
                if answer is None or answer.genre.id != number:
                    self._trial.fault("lost", f"{what}: {name_of(number)} is {answer}")
        self._trial.count("genres asked for after a start", GENRES)
        server.end()

    def refuse_newer(self) -> None:
        """See that a database of a later version is left as it is, in words."""
        self._lay_down(self._trial.folder / f"of-{schema.HEAD}.db")
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        as_it_was = self.database.read_bytes()
        for name in ("serve", "migrate", "check"):
            listen = ("--listen", "127.0.0.1:0") if name == "serve" else ()
            refused = self._launcher.launch(name, *listen, "--database", self.database)
            code, said = refused.wait(), refused.said
            if code != EXIT_NEWER or "newer genre-registry" not in said or said.count("\n") != 1:
                self._trial.fault("other", f"{name} of a newer version: {code}: {said}")
            self._trial.count("downgrades refused")
        if self.database.read_bytes() != as_it_was:
            self._trial.fault("lost", "a database of a newer version was changed")

    def _migrate(self, how: str, number: int) -> Launched:
        arguments = (how, str(number), self._counted, "migrate", "--database", self.database)
        environment = self._disk.environment
        module = "interrupted_migration"
        return self._launcher.launch(*arguments, environment=environment, module=module)

    def _lay_down(self, older: Path) -> None:
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._folder.mkdir()
        shutil.copy(older, self.database)


def run(trial: Trial) -> None:
    library = made_library(trial.folder)
    loaded = (*LOADED, "alembic.command", "interrupted_migration")
    with Launcher(trial.folder, library, loaded) as launcher:
        suite = Migrations(trial, launcher, has_faults=library is not None)
        versions = [suite.older(version) for version in (*all_versions(), "old-keys")]
        suite.refuse_newer()
        places = {older: suite.interruptions(older) for older in versions if older.statements}
        tried = 0
        while places and (trial.goes_on() or tried < EACH_AT_LEAST):
            tried += 1
            for older, left in list(places.items()):
                at = next(left, None)
                if at is None:
                    del places[older]
                else:
                    suite.interrupt(older, at)
        trial.count("interruptions left untried", sum(1 for each in places.values() for _ in each))


def all_versions() -> list[str]:
    """Return every version there was, the oldest first."""
    return [each.revision for each in reversed(list(_script().walk_revisions()))]


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    script = str(Path(migrations.__path__[0]))
    config.set_main_option("script_location", script.replace("%", "%%"))
    return config


def name_of(number: int) -> str:
    return f"Older {number} xq"


def make_older(path: Path, version: str) -> None:
    """Make a database of *version*: genres, and a row in each table that the version has."""
    config = _config()
    engine = writing_engine(path)
    with engine.begin() as connection:
        config.attributes.update(connection=connection, on_version_apply=lambda **_: None)
        command.upgrade(config, schema.HEAD if version == "old-keys" else version)
    engine.dispose()
    with closing(sqlite3.connect(path)) as old, old:
        for number in range(1, GENRES + 1):
            name = name_of(number)
            spelling = Spelling.of(name)
            old.execute(
                "INSERT INTO genre (id, name, revision, create_time_us, update_time_us, request_id)"
                " VALUES (?, ?, ?, 1, 1, 'a request')",
                (number, name, number),
            )
            _insert(
                old,
                "spelling",
                lookup_key=spelling.fold,
                strict_key=spelling.strict,
                text=name,
                genre_id=number,
                kind="name",
                source="",
            )
            _insert(old, "change", revision=number, kind="created", genre_id=number, time_us=1)
        old.execute(f"UPDATE registry SET revision = {GENRES}, genre_id_last = {GENRES}")
        _insert(old, "parent", child_id=1, parent_id=2)
        _insert(old, "external_id", genre_id=1, whose="discogs", value="1")
        review = {"lookup_key": "a/b", "text": "a/b", "rule": "R7", "raw_value": "a/b"}
        _insert(old, "review", **review, first_seen_us=1, times_seen=2)
        if version == "old-keys":
            old.execute("UPDATE registry SET key_version = 0")
            old.execute("UPDATE spelling SET lookup_key = 'old ' || genre_id WHERE genre_id < 20")
    with closing(sqlite3.connect(path)) as closed:
        closed.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _insert(old: sqlite3.Connection, table: str, **values: object) -> None:
    """Insert a row with those of *values* that the version has columns for; none without any."""
    columns = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    had = {name: value for name, value in values.items() if name in columns}
    if table == "change" and "who" in columns:
        had["who"] = ""
    if had:
        names, marks = ", ".join(had), ", ".join("?" * len(had))
        old.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(had.values()))


def content_of(path: Path) -> Content:
    """Return all that is in a database: its tables, indexes and rows, but for SQLite's own."""
    content: Content = {}
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
        content["sqlite_schema"] = tables
        for name, _ in connection.execute("SELECT name, sql FROM sqlite_schema WHERE type='table'"):
            if not name.startswith(("search", "sqlite_")):
                rows = connection.execute(f"SELECT * FROM {name}").fetchall()
                content[name] = sorted(rows, key=repr)
    return content

"""`genre-registry check`: a sound registry is called sound, and nothing else is."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Server, run, running_server

from registry_server.store import checking
from registry_server.store.failures import DatabaseUnusable
from worker_client import GenreRegistryClient

PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that a server has filled and closed; tests copy it."""
    path = tmp_path_factory.mktemp("used") / "registry.db"
    with running_server(path) as server, GenreRegistryClient(server.target) as registry:
        registry.batch_get_or_create([f"Genre {number} Läuft" for number in range(300)])
        registry.get_or_create("Trip-Hop")
        registry.get_or_create("trip hop")
    return path


@pytest.fixture
def copy(used: Path, database: Path) -> Path:
    """A copy of the used registry, to be broken."""
    shutil.copy(used, database)
    return database


def check(path: Path) -> subprocess.CompletedProcess[str]:
    """Check *path* as an operator does; whatever it holds, the answer is in words."""
    ended = run("genre-registry", "check", "--database", path)
    assert ended.stdout.splitlines()[0] == f"database: {path}"
    assert "Traceback" not in ended.stderr
    assert ("sound" in ended.stdout.splitlines()) == (ended.returncode == 0)
    return ended


def change(path: Path, *statements: str) -> None:
    """Change the file behind the registry's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_registry_in_use_is_sound(server: Server, registry: GenreRegistryClient) -> None:
    """The check runs beside the server, sees what it has answered, and disturbs nothing."""
    registry.batch_get_or_create(["Dub", "Ska", "dub"])
    served = check(server.database)
    registry.get_or_create("Rock")
    server.stop()
    after = check(server.database)

    assert (served.returncode, served.stderr) == (after.returncode, after.stderr) == (0, "")
    assert ["genres: 2" in served.stdout, "genres: 3" in after.stdout] == [True, True]
    assert ["revision 2" in served.stdout, "revision 3" in after.stdout] == [True, True]


def test_a_killed_servers_registry_is_sound(server: Server, registry: GenreRegistryClient) -> None:
    """What was acknowledged counts, wherever the file keeps it."""
    registry.get_or_create("Dub")
    server.kill()

    assert "genres: 1" in check(server.database).stdout


def test_the_check_changes_nothing(copy: Path) -> None:
    """Looking is safe, also when something is wrong."""
    change(copy, "DELETE FROM spelling WHERE genre_id = 7")
    before = copy.read_bytes()

    check(copy)

    assert copy.read_bytes() == before
    assert list(copy.parent.iterdir()) == [copy]


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (
            "UPDATE registry SET revision = revision + 1",
            "the registry is at revision 302, its journal holds 301 changes up to 301",
        ),
        (
            "DELETE FROM change WHERE revision = 7",
            "the registry is at revision 301, its journal holds 300 changes up to 301",
        ),
        (
            "UPDATE registry SET genre_id_last = 300",
            "genre 301 has an id that was not given out yet",
        ),
        ("DELETE FROM spelling WHERE genre_id = 7", "genre 7 is not reached by its name"),
        (
            "UPDATE genre SET merged_into_id = 8, survivor_id = 9 WHERE id = 7",
            "genre 7 was merged into 8, but answers with 9",
        ),
        (
            "UPDATE genre SET merged_into_id = 8, survivor_id = 8 WHERE id = 7",
            "is kept as the name of genre 7, which it is not",
        ),
        (
            "INSERT INTO parent VALUES (7, 8), (8, 9), (9, 7)",
            "genre 7 is a kind of itself, by way of its parents",
        ),
        (
            "UPDATE spelling SET kind = 'blocked' WHERE genre_id = 7",
            "is blocked and reaches genre 7, or is neither",
        ),
        (
            "UPDATE genre SET revision = 8 WHERE id = 7",
            "genre 7 has a revision that the journal does not know",
        ),
        (
            "UPDATE spelling SET lookup_key = 'wrong' WHERE text = 'Trip-Hop'",
            "the spelling 'Trip-Hop' is kept under the key 'wrong', which is not its own",
        ),
        ("UPDATE spelling SET text = '' WHERE text = 'Trip-Hop'", "the spelling ''"),
        ("UPDATE genre SET name = 'Dub' WHERE id = 301", "genre 301 is not reached by its name"),
        (
            "INSERT INTO external_id SELECT 7, whose, value FROM external_id",
            "is given to several genres",
        ),
        ("DELETE FROM genre WHERE id = 7", "points to no genre"),
        ("DELETE FROM registry", "registry"),
    ],
    ids=lambda text: text.partition(" WHERE")[0],
)
def test_a_broken_promise_is_named(copy: Path, broken: str, line: str) -> None:
    """The operator reads what is wrong and what to do, and scripts see a 1."""
    change(copy, broken)

    ended = check(copy)

    assert ended.returncode == 1
    faults = [each for each in ended.stderr.splitlines() if each.startswith("FAULT: ")]
    assert any(line in fault for fault in faults), ended.stderr
    assert "restore a backup" in ended.stderr.splitlines()[-1]


def zero(path: Path, page: int) -> None:
    """Overwrite a page, counted from 0, with zeros."""
    with path.open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))


def test_a_damaged_file_is_not_sound(copy: Path) -> None:
    """Damage is told as damage, with what to do."""
    zero(copy, copy.stat().st_size // PAGE_BYTES - 1)

    ended = check(copy)

    assert ended.returncode in (1, 70)
    assert "restore a backup" in ended.stderr


def verdict_on(path: Path) -> int:
    """Return the exit code that a check of *path* comes to, without the cost of a process."""
    try:
        return 1 if checking.check(path).faults else 0
    except DatabaseUnusable as error:
        return error.exit_code


def test_damage_is_seen_wherever_it_is(used: Path, database: Path) -> None:
    """Every page counts, and none makes the check itself fail."""
    verdicts = {}
    for page in range(1, used.stat().st_size // PAGE_BYTES):
        shutil.copy(used, database)
        zero(database, page)
        verdicts[page] = verdict_on(database)

    assert len(verdicts) > 10
    assert {page: code for page, code in verdicts.items() if code not in (1, 70)} == {}


def test_a_missing_file_is_called_missing(database: Path) -> None:
    """A mistyped path is neither sound nor made."""
    ended = check(database)

    assert ended.returncode == 66
    assert f"There is no database {database}" in ended.stderr
    assert not database.exists()


@pytest.mark.parametrize(
    ("broken", "exit_code", "line"),
    [
        ("PRAGMA application_id = 7", 65, "is not a genre registry's database"),
        ("UPDATE alembic_version SET version_num = '9999'", 76, "a newer genre-registry"),
    ],
)
def test_a_file_that_is_not_for_this_version_is_called_so(
    copy: Path, broken: str, exit_code: int, line: str
) -> None:
    """A file that can't be judged is not judged, and left as it is."""
    change(copy, broken)
    before = copy.read_bytes()

    ended = check(copy)

    assert ended.returncode == exit_code
    assert line in ended.stderr
    assert copy.read_bytes() == before


def test_genres_that_a_migration_kept_apart_are_no_fault(copy: Path) -> None:
    """What the migration itself did and reported is not damage."""
    change(
        copy,
        "UPDATE registry SET key_version = 0",
        "UPDATE spelling SET lookup_key = 'hip-hop', text = 'hip-hop' WHERE genre_id = 7",
        "UPDATE spelling SET lookup_key = 'hip_hop', text = 'hip_hop' WHERE genre_id = 8",
        "UPDATE genre SET name = 'hip-hop' WHERE id = 7",
        "UPDATE genre SET name = 'hip_hop' WHERE id = 8",
    )

    migrated = run("genre-registry", "migrate", "--database", copy)

    assert "kept apart" in migrated.stdout
    assert check(copy).returncode == 0


@pytest.fixture
def killed(server: Server, registry: GenreRegistryClient) -> Path:
    """The database of a server that was killed, with twenty changes in its WAL."""
    for number in range(20):
        registry.get_or_create(f"Genre {number}")
    server.kill()
    return server.database


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@pytest.mark.parametrize(("byte", "told"), [(20, "its header"), (30_000, "from frame 8 on")])
def test_a_wal_that_is_not_read_to_its_end_is_told(killed: Path, byte: int, told: str) -> None:
    """SQLite drops what is behind a flipped bit and says nothing: the check and a start say it."""
    damaged = bytearray(wal_of(killed).read_bytes())
    damaged[byte] ^= 1
    wal_of(killed).write_bytes(damaged)

    checked = check(killed)
    migrated = run("genre-registry", "migrate", "--database", killed)

    assert "WARNING: registry.db-wal can't be read" in checked.stderr
    assert told in checked.stderr
    assert "WAL: registry.db-wal can't be read" in migrated.stdout
    assert "WARNING" not in check(killed).stderr


def test_a_whole_wal_raises_no_concern(killed: Path) -> None:
    """Nor one that begins anew over an older one; what can't be known is said all the same."""
    checked = check(killed)

    assert "can't be read" not in checked.stderr
    assert "not checked: whether registry.db-wal lost its end" in checked.stdout

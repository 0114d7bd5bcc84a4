"""A backup under full load is a moment of the registry, whole or not there at all."""

import asyncio
import fcntl
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest
from conftest import ENDING_S, Server, StartServer, run, running_server
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc

from registry_server.store.surroundings import FSYNC_S_MAX
from worker_client import (
    AsyncGenreRegistryClient,
    BackupRefused,
    Change,
    ChangeType,
    Genre,
    GenreRegistryClient,
    HistoryTrimmed,
    InvalidRequest,
    RegistryError,
)
from worker_client._deadlines import CARD_WRITE_S_MAX

CREATORS = 16
PART = ".genre-registry-*.part"


@contextmanager
def full_load(target: str) -> Iterator[threading.Event]:
    """Have sixteen clients create and one curate; give what is set once all are at it."""
    over, under_way = threading.Event(), threading.Event()
    created = [0] * CREATORS

    def create(worker: int) -> None:
        with GenreRegistryClient(target, cache_size=0) as registry:
            while not over.is_set():
                registry.get_or_create(f"worker {worker} genre {created[worker]}")
                created[worker] += 1
                if min(created) >= 5:
                    under_way.set()

    def curate() -> None:
        with GenreRegistryClient(target, cache_size=0) as registry:
            round_ = 0
            while not over.is_set():
                names = [f"curated {round_} {which}" for which in "abc"]
                one, other, third = (registry.get_or_create(each).genre for each in names)
                registry.add_alias(one.id, f"alias {round_}")
                registry.merge_genres([other.id], one.id)
                if round_ % 2:
                    registry.unmerge_genre(other.id)
                registry.delete_genre(third.id)
                round_ += 1

    with ThreadPoolExecutor(CREATORS + 1) as pool:
        working = [pool.submit(create, worker) for worker in range(CREATORS)]
        working.append(pool.submit(curate))
        try:
            yield under_way
        finally:
            over.set()
            for each in working:
                each.result(ENDING_S)


def journal(registry: GenreRegistryClient, upto: int) -> list[Change]:
    return [each for each in registry.list_history() if each.revision <= upto]


def replayed(registry: GenreRegistryClient, upto: int) -> dict[int, Genre]:
    """Return the genres as of the revision *upto*, as a watcher from the beginning has them."""
    genres: dict[int, Genre] = {}
    for change in registry.watch_genres():
        if change.type is ChangeType.HEARTBEAT or change.revision > upto:
            break
        if change.genre is not None:
            genres[change.genre.id] = change.genre
        if change.type is ChangeType.MERGED:
            genres.pop(change.source_id, None)
    return genres


def restore(backup: Path, database: Path) -> str:
    done = run("genre-registry", "restore", backup, "--database", database)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"database: {database}"
    return done.stdout


def test_a_backup_under_full_load_restores_to_a_prefix_of_the_changes(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """Journal and genres are those of its revision, and its followers are told to list again."""
    with full_load(server.target) as under_way:
        assert under_way.wait(ENDING_S)
        made = [registry.backup(str(tmp_path / f"{at}.db")) for at in range(3)]
        last_acknowledged = registry.get_or_create("after the last").genre.revision
    assert [each.revision for each in made] == sorted({each.revision for each in made})
    assert 0 < made[-1].revision < last_acknowledged
    backup = made[1]
    assert backup.size_bytes == Path(backup.path).stat().st_size
    assert backup.incarnation == registry.list_page().incarnation

    restored = tmp_path / "restored.db"
    said = restore(Path(backup.path), restored)
    checked = run("genre-registry", "check", "--database", restored)
    assert (checked.returncode, checked.stderr) == (0, "")

    with (
        running_server(restored) as second,
        GenreRegistryClient(second.target, cache_size=0) as again,
    ):
        page = again.list_page()
        assert page.revision == backup.revision
        assert page.incarnation != backup.incarnation
        assert page.incarnation in said
        assert journal(again, backup.revision) == journal(registry, backup.revision)
        assert len(journal(again, backup.revision)) == backup.revision
        there = {genre.id: genre for genre in again.list_genres(show_deleted=True)}
        assert there == replayed(registry, backup.revision)
        with pytest.raises(HistoryTrimmed):
            next(again.watch_genres(backup.revision, backup.incarnation))
        assert again.search_genres("curated 0 a")[0].name == "curated 0 a"
        assert again.get_or_create("after").genre.revision == backup.revision + 1


def test_both_clients_and_the_command_make_backups(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """A folder's backups have names of their own, by time and revision."""
    registry.get_or_create("Dub")

    async def back_up() -> str:
        async with AsyncGenreRegistryClient(server.target) as asynchronous:
            return (await asynchronous.backup(str(tmp_path))).path

    made = Path(asyncio.run(back_up()))
    assert (made.parent, made.name.startswith("registry-2")) == (tmp_path, True)
    assert made.name.endswith("Z-r1.db")
    by_worker = ("genrectl", "--target", server.target, "backup", tmp_path / "by genrectl.db")
    assert "revision 1, " in run(*by_worker).stdout
    assert run(*by_worker).returncode == 4
    commanded = back_up_by_command(server.database, tmp_path / "by command.db")
    assert commanded.returncode == 0, commanded.stderr
    assert (tmp_path / "by command.db").exists()


def test_the_command_finds_a_server_on_a_socket(
    database: Path, start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the path was given from another folder."""
    monkeypatch.chdir(tmp_path)
    start_server("unix:registry.sock")
    monkeypatch.chdir("/")
    done = back_up_by_command(database, tmp_path / "b.db")

    assert done.returncode == 0, done.stderr


def test_a_replaced_database_is_not_backed_up(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """What lies there now is not what was acknowledged."""
    shutil.copy(server.database, tmp_path / "other.db")
    (tmp_path / "other.db").rename(server.database)
    with pytest.raises(RegistryError) as refused:
        registry.backup(str(tmp_path / "b.db"), deadline_s=3)

    assert refused.value.reason in ("STORAGE_FAILED", "")
    assert server.process.wait(ENDING_S) == 74
    assert not (tmp_path / "b.db").exists()


def back_up_by_command(
    database: Path, target: Path, *flags: str
) -> subprocess.CompletedProcess[str]:
    """Back up as an operator does; the database is named first, and errors are in words."""
    done = run("genre-registry", "backup", target, "--database", database, *flags)
    assert done.stdout.splitlines()[0] == f"database: {database}"
    assert "Traceback" not in done.stderr
    return done


def test_what_is_refused_leaves_nothing(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """Nothing is replaced, least of all the database; the reason says which it was."""
    there = tmp_path / "there.db"
    there.write_text("a diary")
    link = tmp_path / "link.db"
    link.symlink_to(server.database)
    circle = tmp_path / "circle.db"
    circle.symlink_to(circle)
    before = sorted(tmp_path.iterdir())
    cases = [
        ("relative.db", "BACKUP_TARGET_INVALID"),
        ("", "BACKUP_TARGET_INVALID"),
        (str(there), "BACKUP_TARGET_TAKEN"),
        (str(server.database), "BACKUP_TARGET_IS_DATABASE"),
        (str(link), "BACKUP_TARGET_IS_DATABASE"),
        (f"{server.database}-wal", "BACKUP_TARGET_IS_DATABASE"),
        (f"{tmp_path}/nowhere/b.db", "BACKUP_TARGET_UNWRITABLE"),
        (f"{there}/b.db", "BACKUP_TARGET_UNWRITABLE"),
        (f"{tmp_path}/{'x' * 300}.db", "BACKUP_TARGET_UNWRITABLE"),
        (str(circle), "BACKUP_TARGET_TAKEN"),
        ("/proc/b.db", "BACKUP_TARGET_UNWRITABLE"),
    ]
    for target, reason in cases:
        with pytest.raises((BackupRefused, InvalidRequest)) as refused:
            registry.backup(target)
        assert refused.value.reason == reason, target

    assert back_up_by_command(server.database, there).returncode == 73
    assert there.read_text() == "a diary"
    assert sorted(tmp_path.iterdir()) == before
    assert registry.get_or_create("goes on").created


def filled(registry: GenreRegistryClient) -> None:
    """Make the registry so large that a backup takes a while."""
    for part in range(20):
        registry.batch_get_or_create([f"genre {part} {at}" for at in range(1000)])


def appeared(folder: Path) -> Path:
    """Return the unfinished backup in *folder*, as soon as it is there."""
    end_s = time.monotonic() + ENDING_S
    while time.monotonic() < end_s:
        if parts := list(folder.glob(PART)):
            return parts[0]
    raise AssertionError("no backup began")


def test_an_end_in_the_middle_leaves_no_half_backup(
    server: Server, start_server: StartServer, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """Whether the caller leaves or the server is killed; the next backup clears up."""
    folder = tmp_path / "backups"
    folder.mkdir()
    filled(registry)
    with grpc.insecure_channel(server.target) as channel:
        asked = pb_grpc.GenreOperationsStub(channel).Backup
        left = asked.future(pb.BackupRequest(target=str(folder / "left.db")))
        part = appeared(folder)
        left.cancel()
        end_s = time.monotonic() + ENDING_S
        while part.exists() and time.monotonic() < end_s:
            registry.get_or_create("goes on")
        assert list(folder.iterdir()) == []

        killed = asked.future(pb.BackupRequest(target=str(folder / "killed.db")))
        part = appeared(folder)
        server.kill()
        assert isinstance(killed.exception(ENDING_S), grpc.RpcError)
    assert part in folder.iterdir()
    assert not (folder / "killed.db").exists()

    start_server()
    done = back_up_by_command(server.database, folder)
    assert done.returncode == 0, done.stderr
    [backup] = folder.iterdir()
    assert f"{backup}, revision 20001" in done.stdout


def test_a_backup_at_work_is_not_cleared_away(database: Path, tmp_path: Path) -> None:
    """Two databases may be backed up into one folder at the same time."""
    run("genre-registry", "migrate", "--database", database)
    at_work = tmp_path / ".genre-registry-0.part"
    with at_work.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert back_up_by_command(database, tmp_path / "b.db").returncode == 0
        assert at_work.exists()


def test_backups_rotate_and_are_skipped_while_nothing_changed(
    database: Path, start_server: StartServer, tmp_path: Path
) -> None:
    """As the timer calls it: with the server and without, the newest are kept."""
    folder = tmp_path / "new" / "backups"
    flags = ("--keep", "2", "--if-changed")
    for at in range(3):
        server = start_server()
        with GenreRegistryClient(server.target) as registry:
            registry.get_or_create(f"genre {at}")
            if at == 1:
                back_up_by_command(database, folder, *flags)
        server.stop()
        again = back_up_by_command(database, folder, *flags)
        assert again.returncode == 0, again.stderr
        assert ("no backup was made" in again.stdout) == (at == 1)
        assert ("same disk or card" in again.stderr) == (at != 1)

    assert [each.name[-6:] for each in sorted(folder.iterdir())] == ["-r2.db", "-r3.db"]
    assert f"removed: {folder}/registry-" in again.stdout


@pytest.fixture
def backup(database: Path, tmp_path: Path) -> Path:
    """A backup of a registry with two genres."""
    with running_server(database) as server, GenreRegistryClient(server.target) as registry:
        registry.batch_get_or_create(["Dub", "Ska"])
        return Path(registry.backup(str(tmp_path / "backup.db")).path)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_restore_replaces_nothing(
    database: Path, backup: Path, start_server: StartServer
) -> None:
    """Neither what a server has open, nor what lies there, nor a WAL that would be read as its."""
    before = database.read_bytes()
    command = ("genre-registry", "restore", backup, "--database", database)
    server = start_server()
    assert run(*command).returncode == 75
    server.stop()
    there = run(*command)
    assert (there.returncode, f"There is {database} already" in there.stderr) == (73, True)
    assert database.read_bytes() == before

    database.rename(database.with_name("old.db"))
    wal = database.with_name(database.name + "-wal")
    wal.write_bytes(b"what another file's server left")
    assert run(*command).returncode == 73
    wal.unlink()
    restore(backup, database)


FAULTS = [
    ("PRAGMA application_id = 7", 65, "is not a genre registry's database"),
    ("UPDATE alembic_version SET version_num = '9999'", 76, "a newer genre-registry"),
    ("DROP TABLE review", 70, "lacks the table review"),
]


@pytest.mark.parametrize(("broken", "exit_code", "line"), FAULTS, ids=["foreign", "newer", "torn"])
@pytest.mark.parametrize("command", ["backup", "restore", "check", "migrate", "serve"])
def test_an_unusable_database_is_refused_alike_by_every_command(
    backup: Path, tmp_path: Path, command: str, broken: str, exit_code: int, line: str
) -> None:
    """A sentence, one exit code for one cause, and the file as it was."""
    change(backup, broken)
    before = backup.read_bytes()
    target = tmp_path / "new.db"
    arguments = {
        "backup": (target, "--database", backup),
        "restore": (backup, "--database", target),
    }.get(command, ("--database", backup))
    done = run("genre-registry", command, *arguments)

    assert (done.returncode, line in done.stderr) == (exit_code, True), done.stderr
    assert done.stderr.count("\n") == 1
    assert backup.read_bytes() == before
    assert not target.exists()


@pytest.mark.parametrize("command", ["backup", "restore", "check", "migrate", "packs", "serve"])
def test_a_folder_is_called_a_folder(tmp_path: Path, backup: Path, command: str) -> None:
    """Who names one is told which file to name; no word of links or of the disk."""
    folder = tmp_path / "folder"
    folder.mkdir()
    arguments = {"backup": [tmp_path / "new.db"], "restore": [backup]}.get(command, [])
    done = run("genre-registry", command, *arguments, "--database", folder)

    told = done.stderr.removeprefix(f"database: {folder}\n")
    assert (done.returncode, told.count("\n")) == (65, 1), done.stderr
    assert f"{folder} is a folder, and no database" in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_damage_is_neither_backed_up_nor_restored(
    backup: Path, tmp_path: Path, command: str
) -> None:
    """A backup that restores to damage is none."""
    damaged = bytearray(backup.read_bytes())
    damaged[4 * 4096 : -2 * 4096] = bytes(len(damaged) - 6 * 4096)
    backup.write_bytes(damaged)
    target = tmp_path / "new.db"
    arguments = {
        "backup": (target, "--database", backup),
        "restore": (backup, "--database", target),
    }[command]
    done = run("genre-registry", command, *arguments)

    assert (done.returncode, done.stderr.count("\n")) == (70, 1), done.stderr
    assert not target.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("NOT TESTED: full and read-only disks. That takes root, to mount a small one.")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_told_and_left_as_it_was(small_disk: Path, backup: Path) -> None:
    """By whichever command, with an exit code of its own."""
    database = backup.with_name("registry.db")
    (small_disk / "ballast").write_bytes(bytes((1 << 20) - 16384))

    made = back_up_by_command(database, small_disk / "b.db")
    assert (made.returncode, "full; no backup" in made.stderr) == (72, True), made.stderr
    restored = run("genre-registry", "restore", backup, "--database", small_disk / "r.db")
    assert (restored.returncode, "is full" in restored.stderr) == (72, True), restored.stderr
    migrated = run("genre-registry", "migrate", "--database", small_disk / "r.db")
    assert (migrated.returncode, "disk is full" in migrated.stderr) == (72, True), migrated.stderr
    assert [each.name for each in small_disk.glob("*.part")] == []
    assert not (small_disk / "b.db").exists()


def test_a_server_goes_on_when_a_backup_finds_no_room(
    small_disk: Path, server: Server, registry: GenreRegistryClient
) -> None:
    """The target's full disk is not the registry's."""
    (small_disk / "ballast").write_bytes(bytes((1 << 20) - 16384))
    with pytest.raises(BackupRefused) as refused:
        registry.backup(str(small_disk / "b.db"))

    assert refused.value.reason == "BACKUP_DISK_FULL"
    assert registry.get_or_create("goes on").created
    assert [each.name for each in small_disk.iterdir()] == ["ballast"]


def test_a_read_only_disk_is_told(small_disk: Path, backup: Path) -> None:
    """Serving is refused with what to do; looking and backing up need only reading."""
    database = small_disk / "registry.db"
    restore(backup, database)
    database.with_name("registry.db.lock").unlink()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    checked = run("genre-registry", "check", "--database", database)
    assert (checked.returncode, "mounted read-only" in checked.stderr) == (0, True)
    for command in ("serve", "migrate"):
        refused = run("genre-registry", command, "--database", database)
        assert (refused.returncode, refused.stderr.count("\n")) == (77, 1), refused.stderr


@pytest.mark.parametrize("beside", ["", ".lock", "-wal"])
def test_what_lies_on_a_read_only_disk_is_backed_up(
    small_disk: Path, backup: Path, tmp_path: Path, beside: str
) -> None:
    """As the check advises: with a lock file, with an empty WAL, with neither."""
    database = small_disk / "registry.db"
    restore(backup, database)
    database.with_name("registry.db.lock").unlink()
    if beside:
        database.with_name(database.name + beside).touch()
    with read_only(small_disk):
        assert run("genre-registry", "check", "--database", database).returncode == 0
        done = back_up_by_command(database, tmp_path / "saved.db")
    assert done.returncode == 0, done.stderr
    assert run("genre-registry", "check", "--database", tmp_path / "saved.db").returncode == 0


@pytest.mark.parametrize("has_index", [True, False], ids=["with index", "without"])
def test_a_wal_on_a_read_only_disk_is_read_or_named(
    small_disk: Path, backup: Path, tmp_path: Path, has_index: bool
) -> None:
    """What a killed server left in it is never left out: it is copied, or the refusal says how."""
    database = small_disk / "registry.db"
    restore(backup, database)
    with running_server(database) as server, GenreRegistryClient(server.target) as registry:
        registry.get_or_create("in the WAL")
        server.kill()
    if not has_index:
        database.with_name("registry.db-shm").unlink()
    with read_only(small_disk):
        done = back_up_by_command(database, tmp_path / "saved.db")
    if has_index:
        assert (done.returncode, "revision 3, " in done.stdout) == (0, True), done.stderr
    else:
        assert (done.returncode, done.stderr.count("\n")) == (77, 1), done.stderr
        assert "latest changes are in registry.db-wal" in done.stderr


def test_a_read_only_view_of_a_served_database_is_left_to_its_server(
    small_disk: Path, start_server: StartServer, tmp_path: Path
) -> None:
    """A container may see the folder read-only while a server writes it: the server copies it."""
    view = tmp_path / "view"
    view.mkdir()
    server = start_server(database=small_disk / "registry.db")
    with GenreRegistryClient(server.target) as registry:
        registry.get_or_create("Dub")
    subprocess.run(["mount", "--bind", small_disk, view], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", view], check=True)
        done = back_up_by_command(view / "registry.db", tmp_path / "saved.db")
    finally:
        subprocess.run(["umount", "--lazy", view], check=True)
    assert (done.returncode, "revision 1, " in done.stdout) == (0, True), done.stderr


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Have *disk* mounted read-only for as long as the block lasts."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def test_an_upgrade_takes_a_backup_that_a_downgrade_names(database: Path, backup: Path) -> None:
    """Once, beside the file; the refusal holds the very command that goes back."""
    shutil.copy(backup, database)
    change(database, "UPDATE registry SET key_version = 0")
    migrated = run("genre-registry", "migrate", "--database", database)
    assert "backup before the migration: " in migrated.stdout
    [taken] = database.parent.glob("registry.db.before-*")
    assert "nothing was due" in run("genre-registry", "migrate", "--database", database).stdout

    later = taken.rename(database.with_name("registry.db.before-9999.r2"))
    change(database, "UPDATE alembic_version SET version_num = '9999'")
    for command in ("serve", "check", "migrate"):
        refused = run("genre-registry", command, "--database", database)
        assert refused.returncode == 76
        said = f"genre-registry restore {later} --database {database}"
        assert said in refused.stderr

    database.rename(database.with_name("newer.db"))
    _, *words = said.split()
    assert run("genre-registry", *words).returncode == 0
    assert run("genre-registry", "migrate", "--database", database).returncode == 0
    assert run("genre-registry", "check", "--database", database).returncode == 0


@pytest.mark.parametrize(
    ("arrange", "said"),
    [
        (lambda path: path.chmod(0o646), "everybody on this machine may change"),
        (lambda path: path.chmod(0o440), "can't be read and written by its owner: chmod u+rw"),
        (lambda path: path.parent.chmod(0o777), "may change"),
        (lambda path: path.with_name("tokens.json").write_text("[]"), "chmod o= "),
        (
            lambda path: change(path, "UPDATE change SET time_us = 4102444800000000"),
            "the newest change is of 2100-01-01",
        ),
    ],
    ids=["open file", "closed file", "open folder", "open tokens", "clock"],
)
def test_a_check_warns_of_what_will_go_wrong(backup: Path, arrange: object, said: str) -> None:
    """The data is sound; what it lies in is told with what to do."""
    arrange(backup)  # type: ignore[operator]
    done = run("genre-registry", "check", "--database", backup)

    assert done.returncode == 0, done.stderr
    [warning] = done.stderr.splitlines()
    assert warning.startswith("WARNING: ")
    assert said in warning


def test_a_check_times_the_disk_against_the_clients_deadlines(backup: Path) -> None:
    """What the profile allows for stands on both sides, and is the same."""
    done = run("genre-registry", "check", "--database", backup)

    assert FSYNC_S_MAX == CARD_WRITE_S_MAX
    assert "fsync: 50 took " in done.stdout
    assert "RASPBERRY_PI, which allows 400 ms, fits" in done.stdout
    assert not list(backup.parent.glob(PART))


def test_a_server_that_does_not_answer_is_told_apart(server: Server, tmp_path: Path) -> None:
    """The lock says where it listens; another address is another answer."""
    lock = server.database.with_name(server.database.name + ".lock").read_text().splitlines()
    assert lock == [f"process {server.process.pid}", server.target]
    with pytest.raises(RegistryError), GenreRegistryClient("127.0.0.1:1") as nobody:
        nobody.backup(str(tmp_path / "b.db"), deadline_s=0.2)
    done = back_up_by_command(server.database, tmp_path / "b.db", "--address", "127.0.0.1:1")

    assert (done.returncode, done.stderr.count("\n")) == (69, 1)

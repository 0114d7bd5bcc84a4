"""What was answered OK survives the server; a restart costs a worker nothing but time."""

import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import BIN, ENDING_S, Server, StartServer, run_installed, running_server
from sample_library import make_library

from worker_client import GenreRegistryClient, RegistryError, RegistryUnavailable


@pytest.fixture
def as_installed() -> bool:
    """Processes that die and start again are what is tested here."""
    return True


def test_a_kill_between_two_calls_loses_nothing(start_server: StartServer) -> None:
    """Ten servers die without a word; every acknowledged genre is there, under its id."""
    acknowledged: dict[str, int] = {}
    for life in range(10):
        server = start_server()
        with GenreRegistryClient(server.target) as registry:
            for n in range(5):
                genre = registry.get_or_create(f"life {life} genre {n}").genre
                acknowledged[genre.name] = genre.id
        server.kill()

    with GenreRegistryClient(start_server().target) as registry:
        assert {genre.name: genre.id for genre in registry.list_genres()} == acknowledged
    assert sorted(acknowledged.values()) == list(range(1, 51))


def test_a_kill_under_load_loses_nothing_acknowledged(
    server: Server, start_server: StartServer
) -> None:
    """Creators run into the kill; what they were told before it is true after it."""
    acknowledged: dict[str, int] = {}
    enough = threading.Event()

    def create(worker: int) -> None:
        with GenreRegistryClient(server.target) as registry:
            for n in range(100_000):
                name = f"worker {worker} genre {n}"
                try:
                    genre = registry.get_or_create(name, deadline_s=2).genre
                except RegistryError:
                    return
                acknowledged[name] = genre.id
                if len(acknowledged) >= 300:
                    enough.set()

    with ThreadPoolExecutor(4) as pool:
        creating = [pool.submit(create, worker) for worker in range(4)]
        assert enough.wait(ENDING_S)
        server.kill()
        for each in creating:
            each.result(ENDING_S)

    with GenreRegistryClient(start_server().target) as registry:
        kept = {genre.name: genre.id for genre in registry.list_genres()}
    assert acknowledged.items() <= kept.items()
    assert (
        run_installed("genre-registry", "check", "--database", str(server.database)).returncode == 0
    )


def test_a_restart_under_a_scanning_worker_costs_only_time(database: Path, tmp_path: Path) -> None:
    """The server is killed and restarted on its port while a scan runs; no track is lost."""
    library = tmp_path / "music"
    make_library(library, 1500)
    output = tmp_path / "tracks.jsonl"
    with running_server(database) as first:
        scanning = subprocess.Popen(
            [
                *(BIN / "genrectl", "--target", first.target, "scan", library),
                *("--output", output),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        with GenreRegistryClient(first.target) as registry:
            while not registry.list_page().genres:
                assert scanning.poll() is None
        first.kill()
        assert scanning.poll() is None, "the scan ended before the server was killed"
    with running_server(database, first.target) as second:
        _, said = scanning.communicate(timeout=60)
        assert scanning.returncode == 0, said
        with GenreRegistryClient(second.target) as registry:
            names = {genre.id: genre.name for genre in registry.list_genres()}
    tracks = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(tracks) == 1500
    assert all(names[g["id"]] == g["name"] for track in tracks for g in track["genres"])


def test_a_call_waits_for_a_restarting_server(server: Server, database: Path) -> None:
    """Within its deadline a call does not fail because nobody listens just now."""
    server.stop()
    with GenreRegistryClient(server.target) as registry, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(registry.get_or_create, "Patience", deadline_s=20)
        with running_server(database, server.target):
            assert waiting.result(ENDING_S).created


def test_a_replaced_file_is_not_written_to(server: Server, registry: GenreRegistryClient) -> None:
    """An unlinked file takes commits that nobody can read: the server notices and ends."""
    registry.get_or_create("Before")
    server.database.unlink()

    with pytest.raises(RegistryUnavailable):
        registry.get_or_create("After", deadline_s=3)
    assert server.process.wait(ENDING_S) == 74


def test_a_vanished_file_is_not_begun_anew(server: Server, registry: GenreRegistryClient) -> None:
    """The WAL that is left tells that there was one: an empty registry would give ids anew."""
    registry.get_or_create("Before")
    server.database.unlink()
    with pytest.raises(RegistryUnavailable):
        registry.get_or_create("After", deadline_s=3)
    assert server.process.wait(ENDING_S) == 74
    wal = server.database.with_name("registry.db-wal")
    left = wal.read_bytes()

    for command in ("serve", "migrate", "check"):
        refused = run_installed("genre-registry", command, "--database", str(server.database))
        assert (refused.returncode, refused.stderr.count("\n")) == (66, 1), refused.stderr
        assert "registry.db is gone" in refused.stderr.replace(f"{server.database.parent}/", "")
    assert (wal.read_bytes(), server.database.exists()) == (left, False)


def test_a_file_put_in_its_place_is_not_mixed_with_it(
    server: Server, registry: GenreRegistryClient, start_server: StartServer, tmp_path: Path
) -> None:
    """The WAL of the one is never read with the other."""
    registry.get_or_create("Before")
    registry.backup(str(tmp_path / "backup.db"))
    registry.batch_get_or_create([f"genre {number}" for number in range(500)])
    (tmp_path / "backup.db").replace(server.database)
    with pytest.raises(RegistryUnavailable):
        registry.get_or_create("After", deadline_s=3)
    assert server.process.wait(ENDING_S) == 74

    with GenreRegistryClient(start_server().target) as registry:
        assert [genre.name for genre in registry.list_genres()] == ["Before"]


def test_a_vanished_wal_costs_nothing(
    server: Server, registry: GenreRegistryClient, start_server: StartServer
) -> None:
    """The server holds what was in it, moves that into the file, and starts afresh."""
    registry.batch_get_or_create([f"genre {number}" for number in range(50)])
    server.database.with_name("registry.db-wal").unlink()
    with pytest.raises(RegistryUnavailable):
        registry.get_or_create("After", deadline_s=3)
    assert server.process.wait(ENDING_S) == 74

    with GenreRegistryClient(start_server().target) as registry:
        assert len(list(registry.list_genres())) == 50


def test_a_second_scan_writes_nothing(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """Scanning a library again leaves the revision, and the disk, alone."""
    library = tmp_path / "music"
    make_library(library, 200)
    scan = ("genrectl", "--target", server.target, "scan", library, "--output", tmp_path / "out")
    assert run_installed(*map(str, scan)).returncode == 0
    revision, written = registry.list_page().revision, server.written_bytes()
    assert revision > 50

    again = run_installed(*map(str, scan))

    assert again.returncode == 0
    assert "0 of them created" in again.stderr
    assert registry.list_page().revision == revision
    assert server.written_bytes() == written


def test_a_damaged_database_is_not_served(server: Server) -> None:
    """Exit 70 and a sentence; what is wrong is in the log, and the file is left as it is."""
    with GenreRegistryClient(server.target) as registry:
        registry.batch_get_or_create([f"genre {n}" for n in range(1000)])
    server.stop()
    damaged = bytearray(server.database.read_bytes())
    damaged[3 * 4096 :] = bytes(len(damaged) - 3 * 4096)
    server.database.write_bytes(damaged)

    refused = run_installed(
        *("genre-registry", "serve", "--listen", "127.0.0.1:0"),
        *("--database", str(server.database)),
    )

    assert refused.returncode == 70
    assert refused.stderr.startswith("genre-registry: ")
    assert "Traceback" not in refused.stderr

"""Where a server listens, how it refuses to, and how it stops."""

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from conftest import ENDING_S, Server, StartServer, run, run_installed
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

from worker_client import GenreRegistryClient

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def as_installed() -> bool:
    """How a process starts, ends and is told apart is what is tested here."""
    return True


def test_a_second_server_on_the_same_file_is_refused(server: Server) -> None:
    """One process owns a file; the other says which and what to do."""
    second = run_installed(
        *("genre-registry", "serve", "--listen", "127.0.0.1:0"),
        *("--database", str(server.database)),
    )

    assert second.returncode == 75
    assert second.stdout == ""
    assert f"process {server.process.pid}" in second.stderr
    assert "--database" in second.stderr
    assert second.stderr.count("\n") == 1


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_second_name_of_the_file_is_no_way_in(server: Server, tmp_path: Path, link: str) -> None:
    """SQLite finds the WAL by name: two names would be two registries on one file."""
    other = tmp_path / "another name.db"
    getattr(other, link)(server.database)

    second = run_installed(
        *("genre-registry", "serve", "--listen", "127.0.0.1:0"), *("--database", str(other))
    )

    assert second.returncode in (74, 75)
    assert second.stderr.count("\n") == 1
    other.unlink()


def test_a_second_server_on_the_same_port_is_refused(server: Server, tmp_path: Path) -> None:
    """gRPC alone would silently share the port."""
    second = run_installed(
        *("genre-registry", "serve", "--listen", server.target),
        *("--database", str(tmp_path / "another.db")),
    )

    assert second.returncode == 71
    assert f"Can't listen on {server.target}" in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_unix_socket_is_for_its_group(start_server: StartServer, tmp_path: Path) -> None:
    """Containers share it by the file's mode, 0660, whatever the umask."""
    path = tmp_path / "registry.sock"
    server = start_server(f"unix:{path}")

    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with GenreRegistryClient(server.target) as registry:
        assert registry.get_or_create("Rock").created


def test_a_second_server_on_the_same_socket_is_refused(
    start_server: StartServer, tmp_path: Path
) -> None:
    """gRPC alone would silently take the path over."""
    path = tmp_path / "registry.sock"
    first = start_server(f"unix:{path}")

    second = run_installed(
        *("genre-registry", "serve", "--listen", f"unix:{path}"),
        *("--database", str(tmp_path / "another.db")),
    )

    assert second.returncode == 71
    assert f"process {first.process.pid}" in second.stderr
    with GenreRegistryClient(first.target) as registry:
        assert registry.get_or_create("Rock").created


def test_the_socket_of_a_killed_server_is_taken_over(
    start_server: StartServer, tmp_path: Path
) -> None:
    """A dead socket must not keep the next start from listening."""
    target = f"unix:{tmp_path / 'registry.sock'}"
    start_server(target).kill()

    with GenreRegistryClient(start_server(target).target) as registry:
        assert registry.get_or_create("Rock").created


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    """Whatever lies there may be dear to somebody."""
    path = tmp_path / "music.flac"
    path.write_bytes(b"dear")

    refused = run_installed(
        *("genre-registry", "serve", "--listen", f"unix:{path}"),
        *("--database", str(tmp_path / "registry.db")),
    )

    assert refused.returncode == 71
    assert path.read_bytes() == b"dear"


def test_listening_beyond_loopback_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Open to everyone on the network is never an accident."""
    refused = run_installed(
        *("genre-registry", "serve", "--listen", "0.0.0.0:0"),
        *("--database", str(tmp_path / "registry.db")),
    )

    assert refused.returncode == 78
    assert "beyond loopback" in refused.stderr
    assert not (tmp_path / "registry.db").exists()


def test_health_is_told_and_watched(server: Server) -> None:
    """Serving, for the whole server and by service; a watcher learns of the end at once."""
    with grpc.insecure_channel(server.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "genre_registry.v1.GenreRegistry"):
            request = health_pb2.HealthCheckRequest(service=service)
            assert health.Check(request, timeout=5).status == SERVING
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=ENDING_S)
        assert next(watch).status == SERVING
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert next(watch).status == NOT_SERVING
        stopping.join(ENDING_S)
    assert server.process.returncode == 0


def test_a_stop_drains_checkpoints_and_exits_cleanly(server: Server) -> None:
    """SIGTERM under load: every call is answered or refused whole, and the WAL is gone."""
    acknowledged: set[str] = set()
    some, done = threading.Event(), threading.Event()

    def create() -> None:
        with GenreRegistryClient(server.target) as registry:
            for n in range(100_000):
                try:
                    acknowledged.add(registry.get_or_create(f"genre {n}", deadline_s=1).genre.name)
                except Exception:
                    break
                if n == 50:
                    some.set()
        done.set()

    threading.Thread(target=create).start()
    assert some.wait(ENDING_S)
    assert server.stop() == 0
    assert done.wait(ENDING_S)

    leftovers = {path.name for path in server.database.parent.iterdir()}
    assert leftovers == {"registry.db", "registry.db.lock"}
    assert [line["message"] for line in server.lines[-2:]] == ["stopping", "stopped"]
    assert server.lines[-1]["genres_created"] == len(acknowledged) or (
        # The answer to the last one may have been cut off; the genre is kept all the same.
        server.lines[-1]["genres_created"] == len(acknowledged) + 1
    )


def test_who_does_not_heed_when_to_come_back_is_told_to_try_again_to_the_end(
    server: Server,
) -> None:
    """Sixteen callers knock on and on; up to the last connection none hears but UNAVAILABLE."""
    codes: set[tuple[grpc.StatusCode, str]] = set()
    refused = threading.Semaphore(0)
    gone = threading.Event()

    def knock(_worker: int) -> None:
        own = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
        with grpc.insecure_channel(server.target, options=own) as channel:
            stub = GenreRegistryStub(channel)
            while not gone.is_set():
                try:
                    stub.GetOrCreate(pb.GetOrCreateRequest(name="Knocking"), timeout=ENDING_S)
                except grpc.RpcError as error:
                    codes.add((error.code(), error.details() or ""))
                refused.release()

    with ThreadPoolExecutor(16) as pool:
        callers = [pool.submit(knock, worker) for worker in range(16)]
        try:
            for _ in range(160):
                assert refused.acquire(timeout=ENDING_S)
            assert server.stop() == 0
        finally:
            gone.set()
        for caller in callers:
            caller.result(ENDING_S)

    assert {code for code, _ in codes} == {grpc.StatusCode.UNAVAILABLE}, codes
    assert any("shutting down" in details for _, details in codes)


def test_an_open_health_watch_does_not_hold_the_shutdown(server: Server) -> None:
    """The watch is ended, long before the grace for calls under way is over."""
    with grpc.insecure_channel(server.target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING

        server.process.terminate()

        assert server.process.wait(4) == 0  # the grace is 5 s


def test_the_log_is_one_object_a_line(database: Path, start_server: StartServer) -> None:
    """The first line names the address, the file, where the registry stands, what was migrated."""
    database.touch()
    server = start_server()
    hello = server.lines[0]

    assert hello["listen"] == server.target
    assert hello["database"] == str(server.database)
    assert hello["revision"] == 0
    assert hello["level"] == "info"
    assert {"time", "message", "incarnation", "migrated"} <= hello.keys()


def test_a_database_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A plain sentence instead of a traceback."""
    (tmp_path / "file").write_text("not a folder")
    refused = run_installed(
        "genre-registry", "serve", "--database", str(tmp_path / "file" / "registry.db")
    )

    assert refused.returncode == 74
    assert f"File exists: {tmp_path / 'file'}" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_graceful_restart_fails_no_call(
    server: Server, start_server: StartServer, database: Path
) -> None:
    """Callers who come while it stops are told when to come back, and their clients do."""
    stop_calling, warm = threading.Event(), threading.Semaphore(0)
    acknowledged: list[str] = []

    def call(worker: int) -> None:
        with GenreRegistryClient(server.target) as registry:
            n = 0
            while not stop_calling.is_set():
                acknowledged.append(registry.get_or_create(f"worker {worker} {n}").genre.name)
                n += 1
                if n == 20:
                    warm.release()

    with ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(call, worker) for worker in range(8)]
        try:
            for _ in callers:
                assert warm.acquire(timeout=ENDING_S)
            assert server.stop() == 0
            again = start_server(server.target)
            before = len(acknowledged)
            with GenreRegistryClient(again.target) as registry:
                registry.get_or_create("it is back", deadline_s=ENDING_S)
        finally:
            stop_calling.set()
        for caller in callers:
            caller.result(ENDING_S)

    with GenreRegistryClient(again.target) as registry:
        assert set(acknowledged) <= {genre.name for genre in registry.list_genres()}
    assert len(acknowledged) >= before >= 160


@pytest.mark.parametrize("name", ["gen#1.db", "gen?1.db", "gen%411.db", "gen 1.db", "génre.db"])
def test_a_database_may_have_any_name(tmp_path: Path, start_server: StartServer, name: str) -> None:
    """It is that file that is served, locked, checked, backed up and restored, and no other."""
    database = tmp_path / name
    server = start_server(database=database)
    with GenreRegistryClient(server.target) as registry:
        registry.get_or_create("Dub")
    server.stop()

    backup = tmp_path / f"copy of {name}"
    assert run("genre-registry", "backup", str(backup), "--database", str(database)).returncode == 0
    database.unlink()
    assert (
        run("genre-registry", "restore", str(backup), "--database", str(database)).returncode == 0
    )
    checked = run("genre-registry", "check", "--database", str(database))

    assert checked.returncode == 0
    assert "sound" in checked.stdout
    stems = {path.name for path in tmp_path.iterdir()}
    assert all(stem.removeprefix("copy of ").startswith(name) for stem in stems), stems

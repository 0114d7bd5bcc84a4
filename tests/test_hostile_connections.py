"""Whatever a connection sends or leaves unsaid, others are served and nothing piles up."""

import json
import re
import socket
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path

import grpc
import pytest
from conftest import BIN, Server, StartServer

from registry_server.authority import Authority
from registry_server.tokens import add_token
from registry_server.vocabulary.callers import Role
from worker_client import GenreRegistryClient, Tls

ROOT = Path(__file__).parent.parent
CAMPAIGN = ROOT / "scripts/support/flood_campaign.py"
sys.path.append(str(CAMPAIGN.parent))
hostile_frames = import_module("hostile_frames")
HEALTH = "/grpc.health.v1.Health/"


@pytest.mark.parametrize("how", [(), ("--tls",)], ids=["in the clear", "by TLS"])
def test_a_client_is_served_through_a_short_campaign(how: tuple[str, ...]) -> None:
    """Floods, garbage, oversized frames, resets, twice over: answers, no growth, a short log."""
    done = subprocess.run(
        [sys.executable, CAMPAIGN, "--connections", "400", "--rounds", "2", *how],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"log: ([1-9]|1[0-5]) lines", done.stdout)


def test_more_connections_than_allowed_are_closed_at_once(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Whoever is connected is served on; whoever leaves makes room."""
    file = tmp_path / "settings.toml"
    file.write_text("connections_max = 10\n")
    server = start_server(flags=["--settings", str(file)])
    host, _, port = server.target.rpartition(":")
    with GenreRegistryClient(server.target) as registry:
        registry.get_or_create("Dub")
        silent = [socket.create_connection((host, int(port)), timeout=10) for _ in range(9)]

        with socket.create_connection((host, int(port)), timeout=10) as one_too_many:
            assert one_too_many.recv(1) == b""
        assert registry.get_or_create("Ska").created

        for connection in silent:
            connection.close()
        with GenreRegistryClient(server.target) as another:
            assert not another.get_or_create("Dub").created


def test_an_idle_connection_is_closed(start_server: StartServer, tmp_path: Path) -> None:
    """A caller who has nothing to ask holds nothing, and hears of no trouble when it asks again."""
    file = tmp_path / "settings.toml"
    file.write_text("connection_idle_s_max = 1\n")
    server = start_server(flags=["--settings", str(file)])
    with GenreRegistryClient(server.target, cache_size=0) as registry:
        registry.get_or_create("Dub")
        peers = connections_to(server.target)
        deadline_s = time.monotonic() + 10
        while connections_to(server.target) & peers:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)

        assert not registry.get_or_create("Dub").created


def connections_to(target: str) -> set[str]:
    """Return the ports of this machine that are connected to *target*."""
    wanted = f"0100007F:{int(target.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    established = "01"
    return {line[1] for line in lines if line[2] == wanted and line[3] == established}


def test_descriptors_never_run_out(database: Path) -> None:
    """Where only 200 files may be open, the database gets its own, and the log says so once."""
    command = f"ulimit -n 200; exec {BIN}/genre-registry serve --listen 127.0.0.1:0 --database "
    with subprocess.Popen(
        ["sh", "-c", command + str(database)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        target = json.loads(process.stdout.readline())["listen"]
        host, _, port = target.rpartition(":")
        with ExitStack() as stack:
            registry = stack.enter_context(GenreRegistryClient(target))
            registry.get_or_create("Dub")
            for _ in range(300):
                stack.enter_context(socket.create_connection((host, int(port)), timeout=10))

            assert registry.get_or_create("Ska").created
        process.terminate()
        said = [json.loads(line)["message"] for line in process.stdout]

    assert process.returncode == 0
    assert len([each for each in said if "LimitNOFILE" in each]) == 1
    assert said[1:] == ["genre created", "genre created", "stopping", "stopped"]


def resident_kib(server: Server) -> int:
    """Return how much memory the server holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def answered(connection: socket.socket, message: bytes, *, until: bytes) -> bytes:
    """Send *message*, and return what comes back to *until*, or to the end."""
    connection.settimeout(10)
    connection.sendall(message)
    heard = b""
    with suppress(ConnectionError):
        while until not in heard and (part := connection.recv(65_536)):
            heard += part
    return heard


def connected(server: Server, authority: Authority | None = None) -> socket.socket:
    """Connect to *server* without gRPC."""
    if server.target.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(server.target.removeprefix("unix:"))
        return connection
    host, _, port = server.target.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    if authority is None:
        return connection
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(connection, server_hostname=host)


@pytest.mark.parametrize("how", ["in the clear", "by TLS", "over a unix socket"])
def test_a_call_that_grpc_cannot_read_ends_no_service(
    start_server: StartServer, tmp_path: Path, how: str
) -> None:
    """gRPC's own server ends over it; here it is answered, and nobody else notices."""
    authority, listen, flags = None, "127.0.0.1:0", []
    if how == "by TLS":
        authority = Authority(tmp_path / "tls")
        authority.make(["127.0.0.1"], [], days=1)
        certificate, key = map(str, authority.server)
        flags = ["--tls-certificate", certificate, "--tls-key", key]
    elif how == "over a unix socket":
        listen = f"unix:{tmp_path}/registry.sock"
    server = start_server(listen, flags=flags)
    tls = Tls(authority.certificate) if authority else None

    with GenreRegistryClient(server.target, tls=tls, cache_size=0) as registry:
        dub = registry.get_or_create("Dub").genre
        watching = registry.watch_genres()
        assert next(change for change in watching if change.genre).genre == dub
        with connected(server, authority) as held:
            unimplemented = b"grpc-status\x0212"
            for stream in range(1, 11, 2):
                held.sendall(hostile_frames.unreadable_method(stream))
                with connected(server, authority) as connection:
                    message = hostile_frames.unreadable_method()
                    assert unimplemented in answered(connection, message, until=unimplemented)
                assert registry.get_or_create("Dub").genre == dub
            ska = registry.get_or_create("Ska").genre
            assert next(change for change in watching if change.genre).genre == ska

    assert server.stop() == 0
    assert len(server.lines) <= 20


def test_a_message_that_anybody_may_send_holds_little(server: Server) -> None:
    """Of health's, megabytes long and never whole, few are held; who means well is answered."""
    before_kib = resident_kib(server)
    with connected(server) as connection, grpc.insecure_channel(server.target) as channel:
        check = channel.unary_unary(HEALTH + "Check")
        method = (HEALTH + "Check").encode()
        sending = hostile_frames.HalfSender(connection, method, 8 << 20, 100)
        for _ in range(10):
            sending.send_for(0.3)
            assert check(b"", timeout=10) == b"\x08\x01"

        held_kib = resident_kib(server) - before_kib
        assert held_kib < 150 << 10, held_kib


def test_headers_that_are_no_text_leave_few_lines(server: Server) -> None:
    """gRPC writes a traceback for each; the card is spared."""
    for _ in range(30):
        with connected(server) as connection:
            unreadable = hostile_frames.unreadable_header((HEALTH + "Check").encode())
            assert answered(connection, unreadable, until=b"grpc-status")
    with GenreRegistryClient(server.target) as registry:
        registry.get_or_create("Dub")

    assert server.stop() == 0
    assert len(server.lines) <= 25
    assert any(line["message"] == "genre created" for line in server.lines)


def test_nothing_is_read_of_who_shows_no_token(server: Server) -> None:
    """Whoever has no token is refused before the megabytes of a message have come."""
    add_token(server.database.with_name("tokens.json"), "scanner", Role.WORKER)
    with grpc.insecure_channel(server.target) as channel:
        lookup = channel.unary_unary("/genre_registry.v1.GenreRegistry/LookupGenre")
        code = None
        while code is not grpc.StatusCode.UNAUTHENTICATED:  # until the token file was seen
            with pytest.raises(grpc.RpcError) as raised:
                lookup(b"\xff", timeout=10)
            code = raised.value.code()

    refused = b"grpc-status\x0216"
    with connected(server) as connection:
        assert refused in answered(connection, hostile_frames.half_sent(4 << 20), until=refused)


def test_health_bears_what_is_no_message(server: Server) -> None:
    """Bytes that are none are refused as everywhere else, and leave few lines in the log."""
    with grpc.insecure_channel(server.target) as channel:
        for _ in range(100):
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary(HEALTH + "Check")(b"\xff", timeout=10)
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    assert server.stop() == 0
    assert len(server.lines) <= 15


def test_a_host_holds_only_so_many_watches_of_health(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need no token, so they are bounded as a caller's streams are."""
    monkeypatch.setenv("GENRE_REGISTRY_CALLER_STREAMS_MAX", "3")
    server = start_server()
    with grpc.insecure_channel(server.target) as channel:
        watch = channel.unary_stream(HEALTH + "Watch")
        watches = [watch(b"", timeout=60) for _ in range(3)]
        for each in watches:
            assert next(each)
        with pytest.raises(grpc.RpcError) as raised:
            next(watch(b"", timeout=60))
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert channel.unary_unary(HEALTH + "Check")(b"", timeout=10)
        for each in watches:
            each.cancel()

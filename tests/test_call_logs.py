"""The log: a line for what was created, curated or refused, none for what was found."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import BIN, ENDING_S, Server, StartServer, lay_down
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub

from registry_server.observing.call_log import LINES_MAX
from registry_server.tokens import add_token
from registry_server.vocabulary.callers import Role
from worker_client import GenreNotFound, GenreRegistryClient


@pytest.fixture
def stub(server: Server) -> Iterator[GenreRegistryStub]:
    with grpc.insecure_channel(server.target) as channel:
        yield GenreRegistryStub(channel)


def lines_of(server: Server) -> list[dict[str, Any]]:
    """Stop the server and return all that it logged between its first line and the stopping."""
    assert server.stop() == 0
    while not server.lines or server.lines[-1]["message"] != "stopped":
        os.sched_yield()  # the reader of its output has yet to come to the end
    lines = server.lines[1:-1]
    return [line for line in lines if line["message"] != "stopping"]


def test_a_created_genre_has_one_line_and_a_hit_none(
    server: Server, registry: GenreRegistryClient
) -> None:
    """A second scan of a library leaves the log as it was."""
    for _ in range(50):
        for name in ("Dub", "dub", "DUB"):
            registry.get_or_create(name)

    [line] = lines_of(server)

    assert line["message"] == "genre created"
    assert (line["ids"], line["names"], line["count"]) == ([1], ["Dub"], 1)
    assert line["caller"] == "local"
    assert line["level"] == "info"


def test_a_name_is_logged_whatever_encoding_is_set(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON is UTF-8, and what is none of it, as in a path, is escaped."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    server = start_server(as_installed=True)
    with GenreRegistryClient(server.target) as registry:
        registry.get_or_create("J\u00f6dlerei \u97f3")

    [line] = lines_of(server)

    assert line["names"] == ["J\u00f6dlerei \u97f3"]


def test_a_thousand_new_genres_have_one_line(server: Server, registry: GenreRegistryClient) -> None:
    """One commit, one line, with the first of them."""
    registry.batch_get_or_create([f"Genre number {at}" for at in range(1000)])

    [line] = lines_of(server)

    assert (line["message"], line["count"]) == ("genres created", 1000)
    assert line["names"] == [f"Genre number {at}" for at in range(10)]


def test_who_curated_what_is_said(server: Server, registry: GenreRegistryClient) -> None:
    """Each edit has a line; a rehearsal and one that was refused have none of this kind."""
    dub, ska = (registry.get_or_create(name).genre.id for name in ("Dub", "Ska"))
    registry.merge_genres([dub], ska, validate_only=True)
    registry.merge_genres([dub], ska)
    registry.add_alias(ska, "Rocksteady-ish")
    registry.block_spelling("Rubbish")
    with pytest.raises(GenreNotFound):
        registry.delete_genre(999)

    lines = [line for line in lines_of(server) if line["message"] != "genre created"]

    assert [(line["message"], line.get("edit")) for line in lines] == [
        ("curated", "MergeGenres"),
        ("curated", "AddAlias"),
        ("curated", "BlockSpelling"),
        ("call refused", None),
    ]
    assert (lines[0]["source_ids"], lines[0]["id"], lines[0]["caller"]) == ([dub], ska, "local")
    assert (lines[1]["alias"], lines[2]["spelling"]) == ("Rocksteady-ish", "Rubbish")
    assert (lines[3]["method"], lines[3]["reason"]) == ("DeleteGenre", "GENRE_NOT_FOUND")


def test_a_refused_call_can_be_found_by_the_callers_id(
    server: Server, stub: GenreRegistryStub
) -> None:
    """The id comes from the caller, bounded and without what does not belong in one, or is ours."""
    for metadata in ((), (("x-request-id", "job-7 / [31m{" + "x" * 500),)):
        with pytest.raises(grpc.RpcError, match="The name is empty"):
            stub.GetOrCreate(pb.GetOrCreateRequest(), timeout=10, metadata=metadata or None)

    own, given = lines_of(server)

    assert own.keys() == {
        *("time", "level", "message", "request_id", "caller", "method", "code"),
        *("duration_s", "reason"),
    }
    assert (own["method"], own["code"], own["caller"]) == (
        *("GetOrCreate", "INVALID_ARGUMENT"),
        "local",
    )
    assert 0 < own["duration_s"] < 10
    assert len(own["request_id"]) == 16
    assert given["request_id"].startswith("job-7/31mxx")
    assert len(given["request_id"]) == 64


def test_a_flood_of_refusals_leaves_few_lines(server: Server, stub: GenreRegistryStub) -> None:
    """What got no line is counted; another code's first call is still seen."""
    for _ in range(200):
        with pytest.raises(grpc.RpcError):
            stub.GetOrCreate(pb.GetOrCreateRequest(), timeout=10)
    with pytest.raises(grpc.RpcError):
        stub.WatchGenres(pb.WatchGenresRequest(start_revision=99), timeout=10).next()

    lines = lines_of(server)

    refused = [line for line in lines if line["message"] == "call refused"]
    assert [line["code"] for line in refused] == ["INVALID_ARGUMENT"] * LINES_MAX + ["OUT_OF_RANGE"]
    [left_out] = [line for line in lines if line not in refused]
    assert left_out["left_out"] == 200 - LINES_MAX
    assert left_out["of"] == {"GetOrCreate NAME_EMPTY": 200 - LINES_MAX}


def test_what_was_asked_for_and_is_not_there_is_no_refusal(
    server: Server, registry: GenreRegistryClient
) -> None:
    """Whoever looks something up expects that it may not be there."""
    for ask in (lambda: registry.lookup_genre("Nothing"), lambda: registry.get_genre(77)):
        with pytest.raises(GenreNotFound):
            ask()

    assert lines_of(server) == []


def test_debug_logs_every_call(start_server: StartServer) -> None:
    """For whoever wants to see them all, for a while."""
    server = start_server(flags=["--log-level", "debug"])
    with GenreRegistryClient(server.target, cache_size=0) as registry:
        for _ in range(3):
            registry.get_or_create("Dub")

    calls = [line for line in lines_of(server) if line["message"] == "call"]

    assert [(line["method"], line["code"], line["level"]) for line in calls] == [
        ("GetOrCreate", "OK", "debug")
    ] * 3


def test_who_is_refused_for_a_role_is_named(server: Server) -> None:
    """An operator who looks for who tries what finds the caller, not "nobody"."""
    token = add_token(server.database.with_name("tokens.json"), "tv", Role.READER)
    metadata = (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(server.target) as channel:
        stub = GenreRegistryStub(channel)
        code = None
        while code is not grpc.StatusCode.PERMISSION_DENIED:  # until the token file was seen
            with pytest.raises(grpc.RpcError) as refused:
                stub.GetOrCreate(pb.GetOrCreateRequest(name=""), metadata=metadata, timeout=10)
            code = refused.value.code()

    denied = [line for line in lines_of(server) if line.get("code") == "PERMISSION_DENIED"]
    assert [line["caller"] for line in denied] == ["tv"]


def test_output_that_nobody_takes_holds_up_no_call(database: Path) -> None:
    """Whoever starts a server to read its port may leave the rest; what was lost is said."""
    lay_down(database)
    with subprocess.Popen(
        [
            *(BIN / "genre-registry", "serve", "--listen", "127.0.0.1:0"),
            *("--database", database, "--log-level", "debug"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        hello = json.loads(process.stdout.readline())
        with GenreRegistryClient(hello["listen"], cache_size=0) as registry:
            for _ in range(2500):  # some 500 KiB of lines, of which a pipe holds 64
                registry.get_or_create("Dub")
            begun = json.loads(process.stdout.readline())
            # What waits is written now that somebody reads; then there is room for the note.
            lines = [json.loads(process.stdout.readline()) for _ in range(1000)]
            registry.get_or_create("Dub")
            process.send_signal(signal.SIGTERM)
            lines += map(json.loads, process.stdout)
        assert process.wait(ENDING_S) == 0

    assert begun["message"] == "genre created"
    assert [line for line in lines if "were lost: nobody took them" in line["message"]]
    assert lines[-1]["message"] == "stopped"

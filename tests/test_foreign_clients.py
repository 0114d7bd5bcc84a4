"""Clients that are not ours, through reflection alone."""

import json
import subprocess
from pathlib import Path
from typing import Any

from conftest import BIN, Server

SERVICE = "genre_registry.v1.GenreRegistry"
CALL_S = 30


def call(grpcurl: Path, server: Server, method: str, request: object) -> dict[str, Any]:
    """Call a method by name with JSON and return the JSON of the answer."""
    done = subprocess.run(
        [grpcurl, "-plaintext", "-d", json.dumps(request), server.target, f"{SERVICE}/{method}"],
        capture_output=True,
        text=True,
        timeout=CALL_S,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_grpcurl_lists_and_describes(grpcurl: Path, server: Server) -> None:
    """Reflection names the services and shows the contract."""
    listed = subprocess.run(
        [grpcurl, "-plaintext", server.target, "list"], capture_output=True, text=True, check=True
    )
    described = subprocess.run(
        [grpcurl, "-plaintext", server.target, "describe", SERVICE],
        capture_output=True,
        text=True,
        check=True,
    )

    assert {SERVICE, "grpc.health.v1.Health"} <= set(listed.stdout.split())
    assert "rpc GetOrCreate" in described.stdout
    assert described.stdout.count("rpc ") == 10


def test_grpcurl_creates_and_lists(grpcurl: Path, server: Server) -> None:
    """`created` shows when it is false; ids are strings."""
    first = call(grpcurl, server, "GetOrCreate", {"name": "R&B"})
    again = call(grpcurl, server, "GetOrCreate", {"name": "r & b"})
    listed = call(grpcurl, server, "ListGenres", {})

    assert (first["created"], again["created"]) == (True, False)
    assert first["genre"]["id"] == "1"
    assert [genre["name"] for genre in listed["genres"]] == ["R&B"]


def test_buf_curl_creates_and_lists(server: Server) -> None:
    """A second client of another make sees the same."""

    def curl(method: str, request: object) -> dict[str, Any]:
        done = subprocess.run(
            [
                *(BIN / "buf", "curl", "--protocol", "grpc", "--http2-prior-knowledge"),
                *("-d", json.dumps(request), f"http://{server.target}/{SERVICE}/{method}"),
            ],
            capture_output=True,
            text=True,
            timeout=CALL_S,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    assert curl("GetOrCreate", {"name": "Ska"})["created"] is True
    assert curl("GetOrCreate", {"name": "SKA"})["created"] is False
    assert [genre["name"] for genre in curl("ListGenres", {})["genres"]] == ["Ska"]

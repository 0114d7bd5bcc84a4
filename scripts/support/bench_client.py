"""
What the client costs a worker, each beside what it cannot do without: `dict.get`, the same walk
and reading of tags, and a bare gRPC client.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from worker_client import GenreRegistryClient

BIN = Path(sys.executable).parent
LOOKUPS = 200_000
KNOWN = "Hip-Hop"

BARE = """
import sys
import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub
with grpc.insecure_channel(sys.argv[1]) as channel:
    stub = GenreRegistryStub(channel)
    for name in sys.argv[2:]:
        stub.GetOrCreate(pb.GetOrCreateRequest(name=name), timeout=30)
    print(open("/proc/self/status").read())
"""
OURS = """
import sys
from worker_client import GenreRegistryClient
with GenreRegistryClient(sys.argv[1]) as registry:
    for name in sys.argv[2:]:
        registry.get_or_create(name)
    print(open("/proc/self/status").read())
"""


def cached(target: str, _round: int) -> float:
    """Return how many lookups of a remembered name the client answers in a second."""
    with GenreRegistryClient(target) as registry:
        while not registry._cache.names.true:
            registry.get_or_create(KNOWN)
        return _rate(lambda: registry.get_or_create(KNOWN))


def from_dict(_target: str, _round: int) -> float:
    """Return how many lookups a dict answers in a second."""
    names = {KNOWN: 1}
    return _rate(lambda: names.get(KNOWN))


def _rate(look_up: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    for _ in range(LOOKUPS):
        look_up()
    took_s = time.perf_counter() - start_s
    start_s = time.perf_counter()
    for _ in range(LOOKUPS):
        _nothing()
    return LOOKUPS / (took_s - (time.perf_counter() - start_s))


def _nothing() -> None:
    """As costly as the lambda around a lookup, which is not measured."""


def scanned(library: Path) -> Callable[[str, int], float]:
    """Return what measures `genrectl scan` of *library*, in scans a second."""

    def rate(target: str, _round: int) -> float:
        return _run(BIN / "genrectl", "--target", target, "scan", library, "--output", "/dev/null")

    return rate


def unresolved(library: Path) -> Callable[[str, int], float]:
    """Return what measures the same walk, reading and writing, without resolving."""

    def rate(_target: str, _round: int) -> float:
        return _run(sys.executable, Path(__file__).with_name("unresolved_scan.py"), library)

    return rate


def first_call(program: str) -> Callable[[str, int], float]:
    """Return what measures a process from its start to its first answer, in such a second."""

    def rate(target: str, _round: int) -> float:
        return _run(sys.executable, "-c", program, target, KNOWN)

    return rate


def _run(*command: str | Path) -> float:
    start_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return 1 / (time.perf_counter() - start_s)


def memory_over_bare_mib(target: str, names: list[str], times: int) -> float:
    """Return what the client holds over a bare one after asking for *names*, the median."""

    def held_mib(program: str) -> float:
        said = subprocess.run(
            [sys.executable, "-c", program, target, *names],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        [line] = [line for line in said.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) / 1024

    return statistics.median(held_mib(OURS) - held_mib(BARE) for _ in range(times))

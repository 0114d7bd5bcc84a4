"""
The measurement behind `scripts/bench`: ratios in one run, never absolute promises.

Registry and echo are measured in turns, so that a noisy machine disturbs both. Known
names come from h2load, outside Python; new names from Python processes, the same for both.
"""

import argparse
import asyncio
import json
import platform
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import grpc
from bench_client import (
    BARE,
    OURS,
    cached,
    first_call,
    from_dict,
    memory_over_bare_mib,
    scanned,
    unresolved,
)
from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.message import Message
from sample_library import make_albums

from registry_server.packs.reading import shipped_pack

SERVICE = "/genre_registry.v1.GenreRegistry/"
PATH = SERVICE + "GetOrCreate"
BIN = Path(sys.executable).parent
CREATORS = 2
KNOWN = "Hip-Hop"


@dataclass(frozen=True)
class Row:
    """
    One line of the table: what is measured of the registry, against which budget of the
    design; beside the same of the echo server, or beside `baseline` of the registry.
    """

    what: str
    budget: float
    rate: Callable[[str, int], float]
    baseline: Callable[[str, int], float] | None = None


@contextmanager
def serving(*command: str | Path) -> Iterator[str]:
    """Run a server; give its address, which its first line of output names."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        yield (
            f"127.0.0.1:{first.strip()}" if first.strip().isdigit() else json.loads(first)["listen"]
        )
    finally:
        process.terminate()
        process.communicate()


def known_names(in_flight: int, calls: int) -> Callable[[str, int], float]:
    """Return what measures *calls* for one known name, in calls a second."""

    def by_h2load(target: str, _round: int) -> float:
        body = pb.GetOrCreateRequest(name=KNOWN).SerializeToString()
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"\0" + struct.pack(">I", len(body)) + body)
            file.flush()
            said = subprocess.run(
                [
                    *("h2load", "-n", str(calls), "-c", "1", "-m", str(in_flight)),
                    *("-d", file.name, "-H", "content-type: application/grpc"),
                    *("-H", "te: trailers", f"http://{target}{PATH}"),
                ],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        if f"{calls} succeeded" not in said:
            raise RuntimeError(f"h2load saw failures:\n{said}")
        rate = re.search(r"([\d.]+) req/s", said)
        assert rate is not None
        return float(rate[1])

    def by_python(target: str, _round: int) -> float:
        return asyncio.run(_call_all(target, [KNOWN] * calls, in_flight))

    return by_h2load if shutil.which("h2load") else by_python


def new_names(in_flight: int, calls: int) -> Callable[[str, int], float]:
    """Return what measures *calls* for names never heard before, in calls a second."""

    def rate(target: str, round_: int) -> float:
        each = calls // CREATORS
        names = [
            [f"round {round_} {who} genre {n}" for n in range(each)] for who in range(CREATORS)
        ]
        jobs = [(target, share, in_flight // CREATORS) for share in names]
        with ProcessPoolExecutor(CREATORS, get_context("spawn")) as pool:
            return sum(pool.map(_create_all, jobs))

    return rate


def _create_all(job: tuple[str, list[str], int]) -> float:
    return asyncio.run(_call_all(*job))


async def _call_all(target: str, names: list[str], in_flight: int) -> float:
    requests = iter([pb.GetOrCreateRequest(name=name).SerializeToString() for name in names])
    async with grpc.aio.insecure_channel(target) as channel:
        call = channel.unary_unary(PATH)

        async def worker() -> None:
            for request in requests:
                await call(request, timeout=30)

        await channel.channel_ready()
        start_s = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(in_flight)))
        return len(names) / (time.perf_counter() - start_s)


def batches(method: str, request: Message, calls: int) -> Callable[[str, int], float]:
    """Return what measures *calls* of one prepared batch, one in flight, in calls a second."""

    def rate(target: str, _round: int) -> float:
        with grpc.insecure_channel(target) as channel:
            call = channel.unary_unary(SERVICE + method)
            body = request.SerializeToString()
            call(body, timeout=30, wait_for_ready=True)
            start_s = time.perf_counter()
            for _ in range(calls):
                call(body, timeout=30)
            return calls / (time.perf_counter() - start_s)

    return rate


NAMES = [entry.name for entry in shipped_pack("musicbrainz").entries[:1000]]
VALUES = [entry.name for entry in shipped_pack("musicbrainz").entries[:2000]]
"""Raw values of the library that is scanned."""
ROWS = (
    Row("known name, 1 in flight", 0.9, known_names(1, 2_000)),
    Row("known name, 64 in flight", 0.85, known_names(64, 8_000)),
    Row("new names, durable, 64 in flight", 0.5, new_names(64, 3_000)),
    Row(
        "ResolveTags / BatchGetOrCreate",
        0.7,
        batches(
            "ResolveTags",
            pb.ResolveTagsRequest(tag_sets=[pb.TagSet(values=[name]) for name in NAMES]),
            20,
        ),
        batches("BatchGetOrCreate", pb.BatchGetOrCreateRequest(names=NAMES), 20),
    ),
    Row("client: known name / dict.get", 0.2, cached, from_dict),
    Row("client: import, first call / bare", 0.67, first_call(OURS), first_call(BARE)),
)
MEMORY_BUDGET_MIB = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each (default 7)")
    parser.add_argument(
        "--files", type=int, default=20_000, help="to scan; 0 for none (default 20000)"
    )
    asked = parser.parse_args()
    rounds: int = asked.rounds
    if not shutil.which("h2load"):
        print(
            "h2load is missing, so known names come from a Python client too, which flatters "
            "the slower server; on Debian: sudo apt-get install nghttp2-client",
            file=sys.stderr,
        )
    versions = ", ".join(f"{name} {version(name)}" for name in ("grpcio", "protobuf", "sqlalchemy"))
    print(f"Python {platform.python_version()} on {platform.machine()}, {versions}")
    print("what is done in a second, median, beside a bare echo server's, or beside what the row")
    print("says: known tag sets and names, 1000 a call; ratio: median (least to most)")
    print(f"{'':36}{'registry':>11}{'beside':>11}{'ratio':>22}{'budget':>9}")
    with tempfile.TemporaryDirectory(prefix="genre-registry-bench-") as folder:
        ours = serving(
            *(BIN / "genre-registry", "serve", "--listen", "127.0.0.1:0"),
            *("--database", f"{folder}/registry.db"),
        )
        bare = serving(sys.executable, Path(__file__).with_name("echo_server.py"))
        with ours as registry, bare as echo:
            asyncio.run(_call_all(registry, [KNOWN], 1))
            for row in ROWS:
                _measure(row, registry, echo, rounds)
            if asked.files:
                library = Path(folder) / "music"
                make_albums(library, asked.files, VALUES)
                scanned(library)(registry, 0)  # so that its genres are known
                what = f"scan of {asked.files} files / unresolved"
                _measure(
                    Row(what, 0.95, scanned(library), unresolved(library)), registry, echo, rounds
                )
            over_mib = memory_over_bare_mib(registry, NAMES, rounds)
            print(
                f"a client that asked for {len(NAMES)} names holds {over_mib:.1f} MiB more than a "
                f"bare one (budget {MEMORY_BUDGET_MIB})"
            )


def _measure(row: Row, registry: str, echo: str, rounds: int) -> None:
    other = (row.rate, echo) if row.baseline is None else (row.baseline, registry)
    pairs = []
    for round_ in range(rounds):
        # Whoever is first in a round may find the machine busier: take turns.
        both = [(row.rate, registry), other]
        order = both if round_ % 2 else both[::-1]
        measured = [rate(target, round_) for rate, target in order]
        ours, bare = measured if round_ % 2 else measured[::-1]
        pairs.append((ours, bare))
    ratios = sorted(ours / bare for ours, bare in pairs)
    print(
        f"{row.what:36}{statistics.median(ours for ours, _ in pairs):11.4g}"
        f"{statistics.median(bare for _, bare in pairs):11.4g}"
        f"{statistics.median(ratios):9.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}){row.budget:9.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""
A load on a registry, from a process of its own: so many calls in flight, or so many a second.

Bytes go out and come in as they are, so that most of what is measured is the server's; what is
left of it is seen under the same load on a bare echo server.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from typing import Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb

METHOD = "/genre_registry.v1.GenreRegistry/GetOrCreate"
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
WARM_UP = 0.25
"""The share of the time before anything is counted."""


class Load:
    """
    Calls that are made until a moment, and what became of them.

    Args:
        prefix: Begins each name, so that each is new; empty for one that is known.
        deadline_s: What each call may take.
    """

    def __init__(self, calls: list[Any], prefix: str, seconds: float, deadline_s: float) -> None:
        self._calls = itertools.cycle(calls)
        self._prefix = prefix
        self._deadline_s = deadline_s
        self._numbers = itertools.count()
        now_s = time.monotonic()
        self._from_s = now_s + WARM_UP * seconds
        self._until_s = now_s + seconds
        self.counted_s = (1 - WARM_UP) * seconds
        self.took_ms: dict[str, list[float]] = defaultdict(list)
        self.answered = 0
        self.pushed_back = 0
        self.most_in_flight = 0
        self._in_flight = 0

    async def keep(self, in_flight: int) -> None:
        """Have *in_flight* callers, each of which calls again when it was answered."""
        await asyncio.gather(*(self._caller() for _ in range(in_flight)))

    async def bring(self, calls_per_s: float) -> None:
        """Make *calls_per_s*, whatever becomes of them."""
        due_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while due_s < self._until_s:
                while due_s <= time.monotonic():
                    group.create_task(self._call(due_s))
                    due_s += 1 / calls_per_s
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _caller(self) -> None:
        away_s = 0.0
        while (now_s := time.monotonic() + away_s) < self._until_s:
            await asyncio.sleep(away_s)
            away_s = await self._call(now_s)

    async def _call(self, began_s: float) -> float:
        """Make a call that was due at *began_s*; return how long to stay away after it."""
        name = f"{self._prefix} {next(self._numbers)}" if self._prefix else "Rock"
        request = pb.GetOrCreateRequest(name=name).SerializeToString()
        outcome, away_s = "OK", 0.0
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            await next(self._calls)(request, timeout=self._deadline_s)
        except grpc.aio.AioRpcError as error:
            outcome = error.code().name
            pushback = dict(error.trailing_metadata() or ()).get("grpc-retry-pushback-ms")
            if pushback is not None:
                self.pushed_back += time.monotonic() >= self._from_s
                away_s = int(pushback) / 1000
        finally:
            self._in_flight -= 1
        ended_s = time.monotonic()
        if ended_s >= self._from_s:
            self.took_ms[outcome].append(1000 * (ended_s - began_s))
            self.answered += outcome == "OK" and ended_s <= self._until_s
        return away_s


def spread_of(took_ms: list[float]) -> list[float]:
    """Return the median, the 99th percentile and the most."""
    ordered = sorted(took_ms)
    return [ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1]]


async def load(asked: argparse.Namespace) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        calls: list[Any] = []
        for _ in range(asked.connections):
            channel = grpc.aio.insecure_channel(asked.target, options=OWN_CONNECTION)
            calls.append((await stack.enter_async_context(channel)).unary_unary(METHOD))
            await channel.channel_ready()
        cpu_s, wall_s = time.process_time(), time.monotonic()
        load = Load(calls, asked.prefix, asked.seconds, asked.deadline_s)
        await (load.bring(asked.calls_per_s) if asked.calls_per_s else load.keep(asked.in_flight))
        took_s = time.monotonic() - wall_s
        return {
            "per_s": load.answered / load.counted_s,
            "counts": Counter({outcome: len(took) for outcome, took in load.took_ms.items()}),
            "ms": {outcome: spread_of(took) for outcome, took in load.took_ms.items() if took},
            "pushed_back": load.pushed_back,
            "most_in_flight": load.most_in_flight,
            "busy": (time.process_time() - cpu_s) / took_s,
            "wall_s": took_s,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--deadline-s", type=float, default=10)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--calls-per-s", type=float, default=0)
    json.dump(asyncio.run(load(parser.parse_args())), sys.stdout)


if __name__ == "__main__":
    main()

"""
The network: clients of every kind ask for the same names, in many spellings, over connections that
are late, stall, swallow and end; and all they saw must be what one registry can have shown.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from callers import (
    PATIENCE_S,
    Caller,
    Clocked,
    Plain,
    Twice,
    Watching,
    Worker,
    Workers,
    ask_again,
    key_of,
)
from history import Fault, History, Kept
from serving import serving
from trial import Trial
from weather import Proxy

from worker_client import AsyncGenreRegistryClient

NAMES_A_ROUND = 25
LOSS = "0.03"
"""The share of packets that is lost, both ways."""
LOSSY_SHARE = 0.25
"""Of the suite's time."""
CLOCKS: Sequence[dict[str, str]] = (
    {"CLOCK_SHIFT_S": "86400"},
    {"CLOCK_SHIFT_S": "-100000000"},
    {"CLOCK_SHIFT_S": "7200", "CLOCK_JUMPS_MS": "150"},
)
"""A day ahead, years behind, and one that jumps by hours all the time."""
SPELLINGS: Sequence[Callable[[int], str]] = (
    lambda number: f"Made Up {number}",
    lambda number: f"made-up {number}",
    lambda number: f"MADE_UP  {number}",
    lambda number: f" Made up-{number}\u200b",
)


async def campaign(trial: Trial, target: str, *, is_stormy: bool, clock: Path | None) -> None:
    """Have every kind of client ask, round after round, by a proxy if it *is_stormy*."""
    history = History()
    async with AsyncExitStack() as stack:
        addresses = [target, target]
        if is_stormy:
            proxies = [Proxy(target, trial.dice, trial.counts) for _ in addresses]
            addresses = [await stack.enter_async_context(each.opened()) for each in proxies]
        callers: list[Caller] = [
            *(Plain(address, history) for address in 2 * addresses),
            Twice(addresses, history),
            Workers(addresses[0], history),
            *(Worker(address, history) for address in addresses),
        ]
        if clock is not None:
            callers += [
                Clocked(addresses[1], history, {**wrong, "LD_PRELOAD": str(clock)})
                for wrong in CLOCKS
            ]
            trial.count("clients with wrong clocks", len(CLOCKS))
        for caller in callers:
            await stack.enter_async_context(caller)
        watching = [Watching(addresses[at % 2], f"watcher {at}", history) for at in range(3)]
        for watcher in watching:
            await stack.enter_async_context(watcher)
        rounds = 0
        while not rounds or trial.goes_on():
            await _round(trial, callers, rounds)
            rounds += 1
            trial.count("rounds")
        await _look_at_the_end(trial, target, history, watching)
    trial.count("tries without an answer", sum(bool(each.error) for each in history.asked))
    trial.judge(history)


async def _round(trial: Trial, callers: Sequence[Caller], rounds: int) -> None:
    """Have all *callers* ask for the same new names, each in an order and a spelling of its own."""
    numbers = range(rounds * NAMES_A_ROUND, (rounds + 1) * NAMES_A_ROUND)

    async def ask(caller: Caller, dice: random.Random) -> None:
        shuffled = [(number, dice.choice(SPELLINGS)(number)) for number in numbers]
        dice.shuffle(shuffled)
        began_s = time.monotonic()
        await caller.ask(shuffled)
        trial.count(type(caller).__name__.lower() + ": names", len(shuffled))
        late_s = time.monotonic() - began_s - caller.allowed_s(len(shuffled))
        if late_s > 0:
            trial.fault("late", f"{type(caller).__name__} was {late_s:.1f} s past its deadlines")

    await asyncio.gather(
        *(ask(each, random.Random(trial.dice.getrandbits(32))) for each in callers)
    )


async def _look_at_the_end(
    trial: Trial, target: str, history: History, watching: Sequence[Watching]
) -> None:
    """
    List what is kept, wait until every watcher has seen all of it, and ask for each genre who
    created it.
    """
    trial.count("requests repeated at the end", await ask_again(target, history))
    created = {each.key for each in history.creations}
    for key in {each.key for each in history.acknowledged} - created:
        trial.fault("wrong", f"{key}: no request that may have created it is told that it did")
    async with AsyncGenreRegistryClient(target, cache_size=0) as registry:
        page = await registry.list_page(page_size=1)
        history.kept = [
            Kept(genre.id, key_of(genre.name), genre.revision)
            async for genre in registry.list_genres()
        ]
    trial.count("revisions", page.revision)
    for watcher in watching:
        try:
            await asyncio.wait_for(watcher.reach(page.revision), PATIENCE_S)
        except TimeoutError:
            trial.fault("lost", f"{watcher.name} is at {watcher.revision} of {page.revision}")


def built_clock(folder: Path) -> Path | None:
    """Return the library that gives a process a wrong clock; None where there is no compiler."""
    if shutil.which("cc") is None:
        return None
    library = folder / "wrong_clock.so"
    source = Path(__file__).with_name("wrong_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def by_losing_packets(trial: Trial, seconds: float) -> None:
    """Run the same in a network of its own, in which packets are lost; without a proxy."""
    tools = [shutil.which(name) for name in ("unshare", "ip", "iptables")]
    if os.geteuid() or not all(tools):
        trial.count("packet loss: skipped, for root and iptables", 1)
        return
    lossy = f"iptables -A INPUT -i lo -m statistic --mode random --probability {LOSS} -j DROP"
    done = subprocess.run(
        [
            *("unshare", "--net", "sh", "-ec", f'ip link set lo up; {lossy}; exec "$@"', "sh"),
            *(sys.executable, __file__, str(trial.dice.getrandbits(32)), str(seconds)),
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    told = json.loads(done.stdout)
    for what, number in told["counts"].items():
        trial.count(f"packets lost: {what}", number)
    # Judged already: what counts for the whole suite counts here too.
    for what in ("names asked for", "acknowledged", "acknowledged creates", "changes watched"):
        trial.count(what, told["counts"].get(what, 0))
    trial.faults += [Fault(*each) for each in told["faults"]]


def main() -> None:
    """Run where packets are lost already, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("seconds", type=float)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), asked.seconds, asked.seed)
        with serving(trial.folder / "server") as server:
            asyncio.run(campaign(trial, server.target, is_stormy=False, clock=None))
    faults = [(fault.kind, fault.sentence) for fault in trial.faults]
    json.dump({"counts": trial.counts, "faults": faults}, sys.stdout)


def run(trial: Trial) -> None:
    # Else each client tells of every connection that was lost.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    by_losing_packets(trial, LOSSY_SHARE * trial.seconds)
    with serving(trial.folder / "server") as server:
        clock = built_clock(trial.folder)
        if clock is None:
            trial.count("wrong clocks: skipped, for a C compiler")
        asyncio.run(campaign(trial, server.target, is_stormy=True, clock=clock))


if __name__ == "__main__":
    main()

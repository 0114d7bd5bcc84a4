"""
Overload: as many calls in flight as give the most answers, three and ten times as many, and more
a second than can be answered.

The load comes from processes of their own. Since they share the machine's cores with the server,
each figure stands beside that of a bare echo server under the same load.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1.genre_registry_pb2_grpc import GenreRegistryStub
from load import OWN_CONNECTION
from restarted_server import Server
from serving import DEADLINE_S, Health, serving
from trial import Trial

HERE = Path(__file__).parent
ECHO = HERE.parents[1] / "scripts/support/echo_server.py"
TRIED_IN_FLIGHT = (16, 32, 64, 128)
TIMES = (1, 3, 10)
GOODPUT_MIN = 0.8
"""Of the rate at the peak, with ten times as many calls in flight."""
REFUSED_MS_MAX = 50.0
RECOVERED_S_MAX = 2.0
GROWTH_MIB_MAX = 8.0
GENRE_MIB = 0.001
"""What a new genre may take of memory while the cache has room for it."""
OPEN_DEADLINE_S = 2.0
RECOVERED_TIMES = 3.0
"""A call that takes at most as many times what it took before the load: all is well again."""
EXPECTED = {"OK", "UNAVAILABLE"}


@dataclass
class Loaded:
    """What one load came to; times in milliseconds: median, 99th percentile, most."""

    per_s: float
    counts: dict[str, int]
    ms: dict[str, list[float]]
    pushed_back: int
    most_in_flight: int
    busy: float
    wall_s: float


class Overload:
    """One trial of one server and of the echo beside it."""

    def __init__(self, trial: Trial, server: Server, echo: str, step_s: float) -> None:
        self._trial = trial
        self._server = server
        self._echo = echo
        self._step_s = step_s
        self._loads = 0
        self._created = 0
        self._settled_mib = 0.0
        self.peak_per_s: dict[str, float] = {}

    def peak(self, kind: str) -> int:
        """Return how many calls in flight give the most answers a second."""
        per_s = {count: self._load(kind, count).per_s for count in TRIED_IN_FLIGHT}
        best = max(per_s, key=lambda count: per_s[count])
        self.peak_per_s[kind] = per_s[best]
        self._trial.figure(f"{kind}: in flight at the peak", str(best))
        return best

    def closed(self, kind: str, at_peak: int, rounds: int) -> None:
        """Compare one, three and ten times as many calls in flight, side by side."""
        runs: dict[int, list[Loaded]] = {times: [] for times in TIMES}
        echoes: dict[int, list[Loaded]] = {times: [] for times in TIMES}
        with Health(self._server.target) as health:
            for _ in range(rounds):
                for times in TIMES:
                    runs[times].append(self._load(kind, times * at_peak))
        for times in TIMES:
            echoes[times].append(self._load("echo", times * at_peak))
        per_s = {times: statistics.median(run.per_s for run in runs[times]) for times in TIMES}
        for times in TIMES:
            self._tell(f"{kind}, {times} x {at_peak}", runs[times])
            self._tell(f"echo, {times} x {at_peak}", echoes[times])
        goodput = per_s[10] / per_s[1]
        self._trial.figure(f"{kind}: goodput at 10 x", f"{goodput:.2f}")
        if goodput < GOODPUT_MIN:
            self._trial.fault("slow", f"{kind}: goodput at 10 x is {goodput:.2f} of that at 1 x")
        self._look_at(health, kind)

    def opened(self, kind: str, calls_per_s: float) -> None:
        """Bring more calls a second than can be answered; only reported."""
        more = ("--calls-per-s", str(calls_per_s), "--deadline-s", str(OPEN_DEADLINE_S))
        with Health(self._server.target) as health:
            run = self._load(kind, 0, *more, is_open=True)
        self._tell(f"{kind}, open loop {calls_per_s:.0f}/s", [run])
        late = run.counts.get("DEADLINE_EXCEEDED", 0) / max(1, sum(run.counts.values()))
        self._trial.figure(f"{kind}, open loop, past 2 s deadline", f"{late:.0%}")
        self._look_at(health, f"{kind}, open loop")

    def recover(self, kind: str, in_flight: int) -> None:
        """End a load at once, with all its calls under way, and see when all is well again."""
        with grpc.insecure_channel(self._server.target, options=OWN_CONNECTION) as channel:
            stub: Any = GenreRegistryStub(channel)
            before_s = statistics.median(_took_s(stub) for _ in range(50))
            process = subprocess.Popen(self._command(kind, in_flight), stdout=subprocess.DEVNULL)
            time.sleep(self._step_s)
            process.kill()
            process.wait()
            ended_s = time.monotonic()
            while statistics.median(_took_s(stub) for _ in range(9)) > RECOVERED_TIMES * before_s:
                if time.monotonic() - ended_s > 10 * RECOVERED_S_MAX:
                    break
            recovered_s = time.monotonic() - ended_s
        self._trial.count("loads ended at once")
        self._trial.figure(f"{kind}: recovered after", f"{recovered_s:.2f} s")
        if recovered_s > RECOVERED_S_MAX:
            self._trial.fault("slow", f"{kind}: recovered {recovered_s:.1f} s after the load ended")

    def again(self, kind: str, in_flight: int) -> None:
        """Load it once more, for what that leaves behind."""
        self._load(kind, in_flight)

    def refuse(self, in_flight: int, what: str) -> None:
        """Bring so many new names that some are refused, and see how soon they are."""
        with Health(self._server.target) as health:
            run = self._load("new", in_flight)
        self._tell(what, [run])
        if self._echo:
            self._tell(f"echo, {in_flight}", [self._load("echo", in_flight)])
        self._trial.count("refused", run.counts.get("UNAVAILABLE", 0))
        if "UNAVAILABLE" not in run.ms:
            self._trial.fault("status", f"{what}: nobody was refused")
        elif run.ms["UNAVAILABLE"][1] > REFUSED_MS_MAX:
            told = spread(run.ms["UNAVAILABLE"])
            self._trial.fault("slow", f"{what}: refusals took {told} (p50/p99/most)")
        self._look_at(health, what)

    def look_at_memory(self) -> None:
        """Compare with what was held when this was first asked."""
        resident_mib = self._server.resident_mib()
        if not self._settled_mib:
            self._settled_mib, self._created = resident_mib, 0
            return
        grown_mib = resident_mib - self._settled_mib
        self._trial.figure(f"MiB grown, {self._created:,} genres more", f"{grown_mib:.1f}")
        if grown_mib > GROWTH_MIB_MAX + GENRE_MIB * self._created:
            self._trial.fault("memory", f"{grown_mib:.1f} MiB more after {self._created} genres")

    def _load(self, kind: str, in_flight: int, *more: str, is_open: bool = False) -> Loaded:
        done = subprocess.run(
            [*self._command(kind, in_flight), *more], stdout=subprocess.PIPE, check=True
        )
        run = Loaded(**json.loads(done.stdout))
        if kind == "echo":
            return run
        self._created += run.counts.get("OK", 0) if kind == "new" else 0
        for outcome, number in run.counts.items():
            self._trial.count(f"{kind}: {outcome}", number)
        if run.pushed_back < run.counts.get("UNAVAILABLE", 0):
            self._trial.fault("status", f"{kind}: refused without saying when to come back")
        if odd := set(run.counts) - EXPECTED - ({"DEADLINE_EXCEEDED"} if is_open else set()):
            kind_of_fault = "late" if "DEADLINE_EXCEEDED" in odd else "status"
            self._trial.fault(kind_of_fault, f"{kind}, {in_flight} in flight: {sorted(odd)}")
        return run

    def _command(self, kind: str, in_flight: int) -> list[str]:
        self._loads += 1
        target = self._echo if kind == "echo" else self._server.target
        prefix = ("--prefix", f"Load {self._loads}") if kind == "new" else ()
        return [
            *(sys.executable, str(HERE / "load.py"), target, *prefix),
            *("--in-flight", str(in_flight), "--seconds", str(self._step_s)),
            *("--deadline-s", str(DEADLINE_S)),
        ]

    def _tell(self, what: str, runs: list[Loaded]) -> None:
        """Write down the rate, and how long answers and refusals took; the worst of the runs."""
        per_s = statistics.median(run.per_s for run in runs)
        busy = statistics.median(run.busy for run in runs)
        self._trial.figure(what, f"{per_s:.0f}/s")
        self._trial.figure(f"{what}, load's share of a core", f"{busy:.0%}")
        for outcome, name in (("OK", "answered"), ("UNAVAILABLE", "refused")):
            took = [run.ms[outcome] for run in runs if outcome in run.ms]
            if took:
                worst = [max(each[at] for each in took) for at in range(3)]
                self._trial.figure(f"{what}, {name}", spread(worst))

    def _look_at(self, health: Health, during: str) -> None:
        self._trial.count("health checks", len(health.took_ms))
        ordered = sorted(health.took_ms)
        worst = [ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1]]
        self._trial.figure(f"{during}: health", spread(worst))
        if health.failed:
            self._trial.fault("health", f"{during}: {len(health.failed)} x {health.failed[0]}")


def spread(ms: list[float]) -> str:
    """Say a median, a 99th percentile and the most."""
    return "/".join(f"{each:.0f}" for each in ms) + " ms"


def _took_s(stub: Any) -> float:
    began_s = time.monotonic()
    stub.GetOrCreate(pb.GetOrCreateRequest(name="Rock"), timeout=DEADLINE_S)
    return time.monotonic() - began_s


@contextmanager
def echoing() -> Iterator[str]:
    """Give the address of a bare echo server."""
    process = subprocess.Popen([sys.executable, str(ECHO)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.communicate()


def refusals(trial: Trial, echo: str, at_peak: int, step_s: float) -> None:
    """Let in as many calls as give the peak, and bring ten times as many."""
    with serving(trial.folder / "refusing", calls_in_flight_max=at_peak) as server:
        refusing = Overload(trial, server, echo, step_s)
        refusing.refuse(10 * at_peak, f"{at_peak} let in, {10 * at_peak} come")
    with serving(trial.folder / "small", calls_in_flight_max=4) as server:
        small = Overload(trial, server, echo, step_s)
        small.refuse(40, "4 let in, 40 come")


def run(trial: Trial) -> None:
    step_s = min(8.0, max(1.0, trial.seconds / 60))
    rounds = 3 if trial.seconds > 60 else 1
    with serving(trial.folder / "server") as server, echoing() as echo:
        overload = Overload(trial, server, echo, step_s)
        at_peak = {}
        for kind in ("known", "new"):
            at_peak[kind] = overload.peak(kind)
            overload.closed(kind, at_peak[kind], rounds)
            overload.look_at_memory()
            overload.recover(kind, 10 * at_peak[kind])
        while True:
            for kind in ("known", "new"):
                overload.again(kind, 10 * at_peak[kind])
            overload.look_at_memory()
            if not trial.goes_on():
                break
        for kind in ("known", "new"):
            overload.opened(kind, 1.5 * overload.peak_per_s[kind])
        refusals(trial, echo, at_peak["new"], step_s)

"""
Crashes: `kill -9` at random moments under load, again and again, of servers over one registry;
then over the next.

What clients were told while servers came and went is held against the rules of one history, and
against all that the registry holds in the end; the file is checked as each kill left it. A
killed process loses nothing that the kernel has taken: whether the disk has it is for power cuts.
"""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from forked_commands import run_forked
from genre_registry.v1 import genre_registry_pb2 as pb
from genre_registry.v1 import genre_registry_pb2_grpc as pb_grpc
from history import Asked, History, Kept
from killed_server import SERVER_S_MAX, NotStarted, Server
from made_up import Names, key_of
from recording import CHANNEL, Caller, Watcher, until
from recording_worker import join
from trial import Trial

CALLERS = 8
PAUSE_S = 0.03
"""How long a caller waits between two calls at most."""
WATCHERS = 3
WORKERS = (0, 10_000)
"""Worker processes, by how much each remembers."""
NEW_A_SECOND = 400.0
ROUNDS = 30
"""Kills of servers over one registry, before the next is made."""
KILLS_OF_THE_FIRST = 2
"""Kills while the first server over a registry makes it."""
MOMENTS = {"load": 5, "acknowledged": 3, "checkpoint": 3, "start-up": 3, "shutdown": 3}
"""When a server is killed, and how likely."""
ROUNDS_LEAST = len(MOMENTS)
CAUGHT_UP_S = 30
PORTS = (20_000, 32_000)
"""Below those that the system gives to others while our server is away."""


def run(trial: Trial) -> None:
    """Kill servers over one registry after another."""
    trial.count("kills", 0)
    number = 0
    while number == 0 or trial.goes_on():
        number += 1
        folder = trial.folder / f"registry-{number}"
        folder.mkdir()
        asyncio.run(Crashing(trial, folder, trial.dice.randrange(1 << 30)).run())
        shutil.rmtree(folder)


class Crashing:
    """The crashes of one registry, and what was seen of it."""

    def __init__(self, trial: Trial, folder: Path, seed: int) -> None:
        self._trial = trial
        self._dice = random.Random(seed)
        self._folder = folder
        self._server = Server(folder, f"127.0.0.1:{_free_port(self._dice)}")
        names = Names(seed, time.monotonic(), NEW_A_SECOND)
        self._callers = [
            Caller(at, self._server.target, names, self._throw(), PAUSE_S) for at in range(CALLERS)
        ]
        self._watchers = [
            Watcher(self._server.target, self._throw(), leaving=at > 0) for at in range(WATCHERS)
        ]
        self._workers = [
            subprocess.Popen(
                [
                    *(sys.executable, Path(__file__).with_name("recording_worker.py")),
                    *("--target", self._server.target, "--output", self._notes(at)),
                    *("--seed", str(seed), "--began-s", str(names.began_s)),
                    *("--rate", str(NEW_A_SECOND), "--number", str(CALLERS + at)),
                    *("--cache-size", str(cache_size)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for at, cache_size in enumerate(WORKERS)
        ]
        self._checking: asyncio.Task[None] | None = None
        self._start_s = 0.5

    async def run(self) -> None:
        calling = [asyncio.create_task(caller.run()) for caller in self._callers]
        watching = [asyncio.create_task(watcher.run()) for watcher in self._watchers]
        try:
            for _ in range(KILLS_OF_THE_FIRST):
                await self._round("making the registry")
            rounds = 0
            while rounds < ROUNDS_LEAST or (rounds < ROUNDS and self._trial.goes_on()):
                [moment] = self._dice.choices(list(MOMENTS), list(MOMENTS.values()))
                # Each at least once, whatever the dice say.
                await self._round(list(MOMENTS)[rounds] if rounds < len(MOMENTS) else moment)
                rounds += 1
            await self._hold_to_account(calling)
        except NotStarted as refusal:
            self._trial.fault("start", str(refusal))
        finally:
            for task in (*calling, *watching):
                task.cancel()
            for ended in await asyncio.gather(*calling, *watching, return_exceptions=True):
                if isinstance(ended, Exception):
                    self._trial.fault("unexpected", f"a client ended: {ended!r}")
            for worker in self._workers:
                worker.kill()
                worker.communicate()
            self._server.kill()

    async def _round(self, moment: str) -> None:
        """Start a server, kill it at *moment*, and have its file checked as it was left."""
        if moment in ("start-up", "making the registry"):
            self._server.begin()
            await asyncio.sleep(self._dice.uniform(0, 1.1 * self._start_s))
        else:
            self._start_s = await asyncio.to_thread(self._server.start)
            await self._acknowledged(1)
            moment = await self._await(moment)
        await self._kill()
        self._trial.count("kills")
        self._trial.count(f"kills: {moment}")
        await self._look_at_what_is_left()

    async def _await(self, moment: str) -> str:
        """Wait for *moment*, and return which one it became."""
        if moment == "load":
            await asyncio.sleep(self._dice.uniform(0, 0.6))
        elif moment == "acknowledged":
            await self._acknowledged(self._dice.randrange(1, 200))
        elif moment == "shutdown":
            self._server.stop()
            await asyncio.sleep(self._dice.uniform(0, 0.15))
        elif not await self._checkpointed():
            return "load"
        return moment

    async def _checkpointed(self) -> bool:
        """Return as soon as the database itself is written to; False if that is not soon."""
        before = self._server.database.stat().st_mtime_ns
        for caller in self._callers:
            caller.pause_s = 0
        is_written = await asyncio.to_thread(
            until, lambda: self._server.database.stat().st_mtime_ns != before, 1.5
        )
        for caller in self._callers:
            caller.pause_s = PAUSE_S
        return is_written

    async def _acknowledged(self, number: int) -> None:
        """Return as soon as *number* more names were answered, or that takes too long."""

        def noted() -> int:
            return sum(len(caller.asked) for caller in self._callers)

        wanted = noted() + number
        await asyncio.to_thread(until, lambda: noted() >= wanted, 2)

    async def _kill(self) -> None:
        exit_code, said = await asyncio.to_thread(self._server.kill)
        for line in said.splitlines():
            if '"defect"' in line or "Traceback" in line:
                self._trial.fault("defect", said)
        if exit_code not in (0, -signal.SIGKILL):
            self._trial.fault("unexpected", f"a server ended with {exit_code}: {said}")

    async def _look_at_what_is_left(self) -> None:
        """
        Have a copy of what the kill left checked, as no server has mended it yet, while the
        next one starts.
        """
        await self._checked()
        left = self._folder / "left"
        shutil.rmtree(left, ignore_errors=True)
        left.mkdir()
        database = self._server.database
        for path in (database, database.with_name(database.name + "-wal")):
            with suppress(FileNotFoundError):
                shutil.copy(path, left)
        if (left / database.name).exists():
            checked = asyncio.to_thread(self._check, left / database.name)
            self._checking = asyncio.create_task(checked)

    def _check(self, database: Path) -> None:
        command = ("genre-registry", "check", "--database", str(database))
        checked = run_forked(command, timeout_s=SERVER_S_MAX, environment=os.environ)
        self._trial.count("files that check found sound", checked.returncode == 0)
        if checked.returncode:
            said = f"{checked.stdout}{checked.stderr}"
            self._trial.fault("check", f"check ended with {checked.returncode}: {said}")

    async def _checked(self) -> None:
        if self._checking is not None:
            await self._checking

    async def _hold_to_account(self, calling: list[asyncio.Task[None]]) -> None:
        """Let everybody end what they began, and judge what they saw."""
        await asyncio.to_thread(self._server.start)
        for caller in self._callers:
            caller.stopping = True
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        await asyncio.gather(*calling)
        for worker in self._workers:
            # A line that says that it asks no more.
            assert worker.stdout is not None
            await asyncio.to_thread(worker.stdout.readline)
        history = History(key_of=key_of)
        history.kept, history.revision = await self._listed()
        await asyncio.to_thread(self._end_workers, history.revision)
        reached = history.revision
        await asyncio.to_thread(
            until, lambda: all(each.revision >= reached for each in self._watchers), CAUGHT_UP_S
        )
        for at, watcher in enumerate(self._watchers):
            history.watched[f"watcher {at}"] = watcher.changes
            self._unexpected(watcher.unexpected)
        for caller in self._callers:
            history.asked += caller.asked
            self._unexpected(caller.unexpected)
        for at in range(len(WORKERS)):
            self._unexpected(join(history, self._notes(at), f"worker {at}"))
        await self._kill()
        await self._look_at_what_is_left()
        await self._checked()
        cut = {each.call: each.request_id for each in history.asked if _is_cut(each)}
        retried = {e.call: e.request_id for e in history.acknowledged if e.request_id}
        again = set(cut.values()) & set(retried.values())
        self._trial.count("calls cut off or given up", len(cut))
        self._trial.count("of these, answered when tried again", len(again))
        self._trial.judge(history)

    def _end_workers(self, revision: int) -> None:
        """Let the workers' watches see the last change too, and end them."""
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.communicate(f"{revision}\n", timeout=SERVER_S_MAX)
            if worker.returncode != 0:
                self._trial.fault("unexpected", f"a worker ended with {worker.returncode}")

    async def _listed(self) -> tuple[list[Kept], int]:
        """Return all that the registry holds, and its revision."""
        kept, token = [], ""
        async with grpc.aio.insecure_channel(self._server.target, options=CHANNEL) as channel:
            stub: Any = pb_grpc.GenreRegistryStub(channel)
            while True:
                request = pb.ListGenresRequest(page_size=1000, page_token=token, show_deleted=True)
                page = await stub.ListGenres(request, timeout=SERVER_S_MAX, wait_for_ready=True)
                kept += [Kept(each.id, key_of(each.name), each.revision) for each in page.genres]
                token = page.next_page_token
                if not token:
                    return kept, page.revision

    def _unexpected(self, sentences: list[str]) -> None:
        for sentence in sentences:
            self._trial.fault("unexpected", sentence)

    def _notes(self, at: int) -> Path:
        return self._folder / f"worker-{at}.jsonl"

    def _throw(self) -> random.Random:
        return random.Random(self._dice.random())


def _is_cut(asked: Asked) -> bool:
    """Whether a call ended without an answer from the registry."""
    return bool(asked.error) and not asked.is_not_found


def _free_port(dice: random.Random) -> int:
    while True:
        port = dice.randrange(*PORTS)
        with socket.socket() as listening:
            try:
                listening.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

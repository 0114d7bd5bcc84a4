"""
What befalls a database's files: a WAL that is cut or has flipped bits, files that vanish or are
replaced, a disk that is full for a while or can't be written.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calling import Caller
from disk_points import EXIT_FAILED, EXIT_FULL, EXIT_READ_ONLY, FAILED, FULL, see_sound
from history import Asked, History
from launching import Launched, Launcher
from trial import Trial

from registry_server.store.checking import Report, check
from registry_server.store.failures import DatabaseUnusable

CHANGES = 60
DISK_MIB = 2
FILLS = 2
WAL_HEADER_BYTES = 32
FRAME_BYTES = 24 + 4096
"""Of a WAL. Source: https://sqlite.org/fileformat2.html#the_write_ahead_log"""
EXIT_VANISHED = 66


class DamagedWal:
    """A registry whose server was killed, over and over with another damage to its WAL."""

    def __init__(self, trial: Trial, launcher: Launcher) -> None:
        self._trial = trial
        self._launcher = launcher
        self._folder = trial.folder / "damaged"
        self._folder.mkdir()
        self._database = self._folder / "registry.db"
        self._wal = self._folder / "registry.db-wal"
        self._kept = trial.folder / "killed"
        # Closed once: a WAL that is lost as a whole leaves a registry, not an empty file.
        lay_down(trial, launcher, self._database)
        server = launcher.serve(self._database)
        with Caller(_target_of(server)) as caller:
            for number in range(CHANGES):
                caller.create(f"Change {number} xq")
            self._asked = caller.asked
        server.end(signal.SIGKILL)
        shutil.copytree(self._folder, self._kept)

    def damage(self) -> None:
        """Damage it somewhere; what is served is what was there at some moment."""
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder)
        wal, dice = bytearray(self._wal.read_bytes()), self._trial.dice
        is_cut = dice.random() < 0.3
        if is_cut:
            del wal[dice.randrange(len(wal)) :]
        else:
            for _ in range(dice.randint(1, 3)):
                near = 32 if dice.random() < 0.1 else len(wal)
                wal[dice.randrange(near)] ^= 1 << dice.randrange(8)
        self._wal.write_bytes(wal)
        self._trial.count("WALs cut off" if is_cut else "WALs with flipped bits")
        told = self._judgement()
        server = self._launcher.serve(self._database)
        with Caller(_target_of(server), call=1000) as reader:
            kept = {each.key: each.genre_id for each in reader.kept()}
            watched = reader.watched()
            prefix = self._asked[: len(kept)]
            if kept != {each.key: each.genre_id for each in prefix}:
                self._trial.fault("wrong", f"what is served is no prefix: {sorted(kept.values())}")
            if not reader.create("Afterwards xq"):
                self._trial.fault("other", f"nothing can be created afterwards: {reader.errors}")
            after = History(prefix + reader.asked, {"afterwards": watched}, kept=reader.kept())
        self._trial.judge(after)
        server.end()
        see_sound(self._trial, self._database, "after a damaged WAL")
        lost = len(self._asked) - len(prefix)
        self._trial.count("changes that went with a WAL", lost)
        if lost and wal and not any("registry.db-wal" in each or "damage" in each for each in told):
            self._trial.fault("other", f"{lost} changes were lost, and the check said {told}")
        if self._leaves_a_trace(wal) and not any("can't be read" in each for each in told):
            self._trial.fault("other", f"{lost} changes lie there unread; the check said {told}")

    def _leaves_a_trace(self, wal: bytearray) -> bool:
        """Whether a change lies in *wal* that was whole, from the first damage on."""
        whole = (self._kept / "registry.db-wal").read_bytes()
        damaged = next(at for at, byte in enumerate(whole) if wal[at : at + 1] != bytes([byte]))
        if damaged < WAL_HEADER_BYTES:
            return len(wal) >= WAL_HEADER_BYTES
        first = damaged - (damaged - WAL_HEADER_BYTES) % FRAME_BYTES
        for at in range(first, len(wal) - FRAME_BYTES + 1, FRAME_BYTES):
            ends_a_change = whole[at + 4 : at + 8] != bytes(4)
            if ends_a_change and wal[at : at + 16] == whole[at : at + 16]:
                return True
        return False

    def _judgement(self) -> list[str]:
        """Return what the check says of it, whatever that is."""
        try:
            report = check(self._database)
        except DatabaseUnusable as error:
            report = Report((), (f"damage: {error}",))
        return [*report.facts, *report.faults, *report.concerns]


def lay_down(trial: Trial, launcher: Launcher, database: Path) -> None:
    """Lay down an empty registry, which is made once."""
    empty = trial.folder / "empty.db"
    if not empty.exists():
        launcher.launch("migrate", "--database", empty).wait()
    shutil.copy(empty, database)


def try_lost_files(trial: Trial, launcher: Launcher) -> None:
    """Have the database, or its WAL, vanish or be replaced under a server."""
    for what in ("database vanishes", "WAL vanishes", "database is replaced", "WAL is replaced"):
        folder = trial.folder / f"lost-{trial.dice.randrange(1 << 30)}"
        folder.mkdir()
        database, other = folder / "registry.db", folder / "other.db"
        lay_down(trial, launcher, database)
        lay_down(trial, launcher, other)
        server = launcher.serve(database)
        lost = database if "database" in what else folder / "registry.db-wal"
        with Caller(_target_of(server)) as caller:
            caller.create_all([f"Before {number} xq" for number in range(50)])
            other.replace(lost) if "replaced" in what else lost.unlink()
            caller.create("While it is gone xq")
            if caller.errors != [FAILED]:
                trial.fault("other", f"{what}: callers were told {caller.errors}")
        if (code := server.wait()) != EXIT_FAILED:
            trial.fault("other", f"{what}: it ended with {code}")
        trial.count(what)
        again = launcher.serve(database)
        target = again.target()
        if what == "database vanishes":
            if target is not None or again.wait() != EXIT_VANISHED:
                trial.fault("lost", f"{what}: an empty registry took its place")
            continue
        assert target is not None, again.said
        with Caller(target) as reader:
            kept, watched = reader.kept(), reader.watched()
        asked = [] if what == "database is replaced" else caller.asked
        if what == "database is replaced" and kept:
            trial.fault("wrong", f"{what}: the other file was mixed with {len(kept)} genres")
        trial.judge(History(list(asked), {"afterwards": watched}, kept=kept))
        again.end()
        see_sound(trial, database, what)


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small disk; None where that is not allowed."""
    folder.mkdir(exist_ok=True)
    mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def try_full_disk(trial: Trial, launcher: Launcher) -> None:
    """Fill a small disk under a server, make room, and go on; then mount it read-only."""
    with _small_disk(trial.folder / "small") as folder:
        if folder is None:
            trial.count("NOT TRIED: full disks, which takes root")
            return
        database, ballast = folder / "registry.db", folder / "ballast"
        server = launcher.serve(database)
        asked: list[Asked] = []
        with Caller(_target_of(server)) as caller:
            for fill in range(FILLS):
                _until_full(trial, caller, ballast, fill)
                ballast.unlink(missing_ok=True)
                if not caller.create(f"Room again {fill} xq"):
                    trial.fault("other", f"there is room again, and a call fails: {caller.errors}")
                trial.count("disks filled and emptied")
            asked += caller.asked
            _fill(ballast)
        if code := server.end():
            trial.fault("other", f"on a full disk it ended with {code}")
        ended = launcher.serve(database)
        if ended.target() is None and ended.wait() != EXIT_FULL:
            trial.fault("other", f"a start on a full disk ended with {ended.code}: {ended.said}")
        ended.end()
        ballast.unlink()
        _read_only(trial, launcher, folder, database)
        _compare(trial, launcher, database, asked)


def _until_full(trial: Trial, caller: Caller, ballast: Path, fill: int) -> None:
    """Create until the disk is full; then reads go on."""
    _fill(ballast, free_bytes=trial.dice.randrange(0, 400_000))
    for number in range(10_000):
        size = trial.dice.choice((1, 1, 20))
        names = [f"Fill {fill} {number} {part} xq" for part in range(size)]
        if not (caller.create_all(names) if size > 1 else caller.create(names[0])):
            break
    if caller.errors[-1:] != [FULL]:
        trial.fault("other", f"a full disk was told as {caller.errors[-1:]}")
    before = len(caller.errors)
    found = [each for each in caller.asked if each.genre_id]
    for each in trial.dice.sample(found, min(5, len(found))):
        caller.look_up(each.name)
    caller.kept()
    if len(caller.errors) > before:
        trial.fault("other", f"a full disk keeps from reading: {caller.errors[before:]}")


def _fill(ballast: Path, free_bytes: int = 0) -> None:
    """Leave *free_bytes* of a disk."""
    disk = os.statvfs(ballast.parent)
    size = disk.f_bavail * disk.f_frsize - free_bytes
    if size > 0:
        with ballast.open("ab") as file:
            file.write(bytes(size))


def _read_only(trial: Trial, launcher: Launcher, folder: Path, database: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    refused = launcher.serve(database)
    if refused.target() is not None or refused.wait() != EXIT_READ_ONLY:
        trial.fault("other", f"on a read-only disk a start ended with {refused.code}")
    see_sound(trial, database, "on a read-only disk")
    trial.count("read-only disks")
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)


def _compare(trial: Trial, launcher: Launcher, database: Path, asked: list[Asked]) -> None:
    """See that all that was *asked* and answered is there."""
    server = launcher.serve(database)
    with Caller(_target_of(server)) as reader:
        history = History(asked, {"afterwards": reader.watched()}, kept=reader.kept())
    trial.judge(history)
    server.end()
    see_sound(trial, database, "after a full disk")


def _target_of(server: Launched) -> str:
    target = server.target()
    assert target is not None, server.said
    return target

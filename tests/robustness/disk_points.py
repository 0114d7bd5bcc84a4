"""
One scripted run of a server after the other, each with another write, fsync or cut that fails:
what is told meanwhile, how the server ends, and what a start without faults finds.
"""

import errno
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from calling import Caller
from faulty_disk import KILLED, KINDS, TORN, DiskFault, FaultyDisk
from genre_registry.v1 import genre_registry_pb2 as pb
from history import History
from launching import Launched, Launcher
from trial import Trial

from registry_server.store.checking import check
from registry_server.store.failures import DatabaseUnusable

KNOWN = [f"Known {number} xq" for number in range(30)]
EDITS = 50
"""Changes in the WAL of the server that was killed, which the next start moves into the file."""
FULL = "RESOURCE_EXHAUSTED STORAGE_FULL"
FAILED = "UNAVAILABLE STORAGE_FAILED"
GONE = {"UNAVAILABLE", "UNAVAILABLE SHUTTING_DOWN"}
"""What a server that has ended, or is about to, leaves a caller with."""
EXIT_FULL, EXIT_FAILED, EXIT_READ_ONLY = 72, 74, 77
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EROFS": errno.EROFS}
ERRORS |= {"killed": KILLED, "torn": TORN}
_NAMES = {error: name for name, error in ERRORS.items()}


@dataclass
class Expected:
    """What a script was told of its edits: what must be so afterwards, or may be if it failed."""

    description: bool = False
    alias: bool = False
    merged: bool = False


class DiskPoints:
    """The scripted run of one registry, ever anew from the same files."""

    def __init__(self, trial: Trial, launcher: Launcher) -> None:
        self._trial = trial
        self._launcher = launcher
        self._folder = trial.folder / "points"
        self._folder.mkdir()
        self._database = self._folder / "registry.db"
        self._kept = trial.folder / "at-the-start"
        self.disk = FaultyDisk(trial.folder / "control", self._database)
        self._prepare()

    def _prepare(self) -> None:
        """Keep the files of a server that was killed, with all that it wrote in its WAL."""
        server = self._serve()
        target = server.target()
        assert target is not None, server.said
        with Caller(target) as caller:
            caller.create_all(KNOWN)
            for number in range(EDITS):
                caller.create(f"Before {number} xq")
            assert not caller.errors, caller.errors
        server.end(signal.SIGKILL)
        shutil.copytree(self._folder, self._kept)

    def all_points(self) -> Iterator[DiskFault]:
        """Give every fault, in no order: first those that pass, then those that last."""
        counts = self._count()
        for kind, number in counts.items():
            self._trial.figure(f"{kind}s of the script", str(number))
        once = [
            DiskFault(kind, number, error)
            for kind in KINDS
            for number in range(1, counts[kind] + 1)
            for error in self._errors(kind)
        ]
        lasting = [
            DiskFault(each.kind, each.number, each.error, lasting=True)
            for each in once
            if each.error > 0
        ]
        for faults in (once, lasting):
            self._trial.dice.shuffle(faults)
            yield from faults

    @staticmethod
    def _errors(kind: str) -> list[int]:
        of_kind = {"write": ("EIO", "ENOSPC", "EROFS", "killed", "torn")}
        return [ERRORS[name] for name in of_kind.get(kind, ("EIO", "ENOSPC", "killed"))]

    def _count(self) -> dict[str, int]:
        """Return how many of each kind a run without a fault has; see that all goes well in it."""
        self._lay_down()
        self.disk.heal()
        server = self._serve()
        caller, _ = self._play(server)
        code = server.end()
        if caller.errors or code:
            self._trial.fault("other", f"without a fault: {caller.errors}, exit code {code}")
        return self.disk.counts

    def try_point(self, fault: DiskFault) -> None:
        """Run the script with *fault*, then see that everything it was told is so."""
        lasting = ", lasting" if fault.lasting else ""
        what = f"{fault.kind} {fault.number} {_NAMES[fault.error]}{lasting}"
        self._lay_down()
        self.disk.fail(fault)
        server = self._serve()
        caller, expected = self._play(server)
        code = server.end()
        if not self.disk.failed:
            self._trial.count("points that a run did not come to")
        self._trial.count(
            f"{fault.kind} failed" if fault.error > 0 else f"killed in a {fault.kind}"
        )
        for told in caller.errors:
            self._trial.count(f"told {told}")
        for wrong in self._wrong(fault, caller.errors, server, code):
            self._trial.fault("other", f"{what}: {wrong}; {server.said[-300:]}")
        self.disk.heal()
        self._recover(what, caller, expected)

    def _wrong(
        self, fault: DiskFault, errors: list[str], server: Launched, code: int
    ) -> Iterator[str]:
        """Give what is not as stated in how the server answered and ended."""
        full = fault.error == errno.ENOSPC
        allowed = {FULL, FAILED} if full else {FAILED}
        for at, told in enumerate(errors):
            if told not in allowed | GONE:
                yield f"a call was told {told}"
            if told in GONE and fault.error > 0 and FAILED not in errors[:at]:
                listened = server.logged != ""
                if listened:
                    yield f"a call was told {told} by no failed server"
        if FULL in errors and not fault.lasting and errors.count(FULL) > 1:
            yield "a disk that was full once was taken for full again"
        if fault.error < 0:
            codes = {-signal.SIGKILL} if self.disk.failed else {0}
        elif FAILED in errors:
            codes = {EXIT_FAILED}
        elif "listens on" in server.logged:
            codes = {0}
        else:
            # SQLite tells no reason where its index of the WAL can't be made longer.
            codes = {EXIT_FULL, EXIT_FAILED} | (set() if full else {EXIT_READ_ONLY})
        if code not in codes:
            yield f"it ended with {code}, not {sorted(codes)}"
        if "Traceback" in server.said:
            yield "it ended with a traceback"

    def _play(self, server: Launched) -> tuple[Caller, Expected]:
        """Play the script; return who played it, and what it was told."""
        expected = Expected()
        target = server.target()
        caller = Caller(target or "127.0.0.1:1", call=1)
        if target is None:
            return caller, expected
        with caller:
            tell, curation = caller.tell, caller.curation
            self._read(caller)
            caller.create("First xq")
            caller.create("Second xq")
            described = pb.UpdateGenreRequest(genre=pb.Genre(id=1, description="so"))
            expected.description = tell(curation.UpdateGenre, described) is not None
            alias = pb.AddAliasRequest(genre_id=2, alias="Other than known xq")
            expected.alias = tell(curation.AddAlias, alias) is not None
            caller.create_all([f"Batch {number} xq" for number in range(20)])
            merge = pb.MergeGenresRequest(source_ids=[3], target_id=4)
            expected.merged = tell(curation.MergeGenres, merge) is not None
            self._read(caller)
            caller.create("Third xq")
        return caller, expected

    def _read(self, caller: Caller) -> None:
        """Ask what needs no writing: it is answered for as long as the server is there."""
        before = len(caller.errors)
        caller.look_up(KNOWN[7])
        caller.tell(caller.registry.GetGenre, pb.GetGenreRequest(id=8))
        caller.tell(caller.registry.ListGenres, pb.ListGenresRequest(page_size=5))
        if FULL in caller.errors[before:]:
            self._trial.fault("other", "a read was told that the disk is full")

    def _recover(self, what: str, caller: Caller, expected: Expected) -> None:
        """Start without a fault, and compare."""
        server = self._serve()
        target = server.target()
        if target is None:
            self._trial.fault("lost", f"{what}: the next start ended: {server.said}")
            return
        with Caller(target) as reader:
            kept, watched = reader.kept(), reader.watched()
            known = {each.key for each in kept} - {each.key for each in caller.asked}
            history = History(caller.asked, {"afterwards": watched}, kept=kept, known=known)
            history.known |= {each.key for each in caller.asked if each.rpc == "LookupGenre"}
            self._trial.judge(history)
            if len(kept) < len(KNOWN) + EDITS:
                self._trial.fault("lost", f"{what}: {len(kept)} genres are left")
            self._compare(what, reader, expected)
            if not reader.create(f"After {what} xq"):
                self._trial.fault("other", f"{what}: nothing could be created afterwards")
        if code := server.end():
            self._trial.fault("other", f"{what}: the healed server ended with {code}")
        see_sound(self._trial, self._database, what)

    def _compare(self, what: str, reader: Caller, expected: Expected) -> None:
        def genre(number: int) -> pb.GetGenreResponse:
            answer: pb.GetGenreResponse = reader.registry.GetGenre(pb.GetGenreRequest(id=number))
            return answer

        is_so: dict[str, tuple[bool, Callable[[], bool]]] = {
            "description": (expected.description, lambda: genre(1).genre.description == "so"),
            "alias": (expected.alias, lambda: bool(genre(2).genre.aliases)),
            "merge": (expected.merged, lambda: genre(3).redirected_from_id == 3),
        }
        for edit, (was_told, is_there) in is_so.items():
            self._trial.count("edits acknowledged", int(was_told))
            if was_told and not is_there():
                self._trial.fault("lost", f"{what}: the {edit} was acknowledged, and is gone")

    def _lay_down(self) -> None:
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder)

    def _serve(self) -> Launched:
        return self._launcher.serve(self._database, self.disk.environment)


def see_sound(trial: Trial, database: Path, what: str) -> None:
    """Have the check look at *database*; what it finds is a fault."""
    trial.count("checks")
    try:
        found = check(database).faults
    except DatabaseUnusable as error:
        found = (str(error),)
    for each in found:
        trial.fault("lost", f"{what}: check: {each}")

"""A disk that fails or dawdles on demand: a small library, made here, that processes preload."""

import mmap
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

KINDS = ("write", "sync", "truncate")
KILLED = -1
"""In place of an error: the process dies before it is done."""
TORN = -2
"""The same, with half of it done."""
_NONE = len(KINDS)
_COUNTS, _FAULT, _FAILED, _DELAY = 0, 3, 7, 8
_WORDS = 9
_WORD_BYTES = 8


@dataclass(frozen=True, slots=True)
class DiskFault:
    """
    What fails: the *number*-th of its *kind*, counted from 1, and if it is *lasting* all that
    follow; with an errno, or by the process's death.
    """

    kind: str
    number: int
    error: int
    lasting: bool = False


def made_library(folder: Path) -> Path | None:
    """Return the library, compiled into *folder*; None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "faulty_disk.so"
    source = Path(__file__).with_name("faulty_disk.c")
    command = [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    return library


class FaultyDisk:
    """What happens to the files whose paths begin with *files*, for processes in `environment`."""

    def __init__(self, control: Path, files: Path) -> None:
        control.write_bytes(bytes(_WORDS * _WORD_BYTES))
        self.environment = {
            "FAULTY_DISK_CONTROL": str(control),
            "FAULTY_DISK_FILES": str(files),
        }
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), 0)
        self.heal()

    def heal(self) -> None:
        """Let all go well from now on, and count anew."""
        self._put(_COUNTS, 0, 0, 0, _NONE, 0, 0, 0, 0)

    def fail(self, fault: DiskFault) -> None:
        """Have *fault* happen, counting from now on."""
        last = 2**62 if fault.lasting else fault.number
        self.heal()
        self._put(_FAULT + 1, fault.number, last, fault.error)
        self._put(_FAULT, KINDS.index(fault.kind))

    def slow_down(self, sync_s: float) -> None:
        """Have every sync take so much longer."""
        self._put(_DELAY, int(sync_s * 1e6))

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind there were."""
        return dict(zip(KINDS, self._words(_COUNTS, len(KINDS)), strict=True))

    @property
    def failed(self) -> int:
        """How many failed."""
        return self._words(_FAILED, 1)[0]

    def close(self) -> None:
        self._control.close()

    def _put(self, at: int, *words: int) -> None:
        end = at + len(words)
        self._control[at * _WORD_BYTES : end * _WORD_BYTES] = struct.pack(f"={len(words)}q", *words)

    def _words(self, at: int, number: int) -> tuple[int, ...]:
        return struct.unpack_from(f"={number}q", self._control, at * _WORD_BYTES)

"""The disk fails: at every write, at every sync, full, read-only, damaged, or with files gone."""

from itertools import count

from disk_files import DamagedWal, try_full_disk, try_lost_files
from disk_points import DiskPoints
from faulty_disk import made_library
from launching import Launcher
from trial import Trial

POINTS_AT_LEAST = 2
DAMAGED_EACH = 3
"""One damaged WAL for so many points."""
OTHERS_EACH = 40
"""One round of lost files and a full disk for so many points."""


def run(trial: Trial) -> None:
    library = made_library(trial.folder)
    with Launcher(trial.folder, library) as launcher:
        damaged = DamagedWal(trial, launcher)
        points = None if library is None else DiskPoints(trial, launcher)
        if points is None:
            trial.count("NOT TRIED: failing writes and syncs, for there is no cc")
        faults = iter(()) if points is None else points.all_points()
        for at in count():
            if at >= POINTS_AT_LEAST and not trial.goes_on():
                break
            fault = next(faults, None)
            if fault is not None and points is not None:
                points.try_point(fault)
            if at % DAMAGED_EACH == 0 or fault is None:
                damaged.damage()
            if at % OTHERS_EACH == 1:
                try_lost_files(trial, launcher)
                try_full_disk(trial, launcher)

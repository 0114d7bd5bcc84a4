"""The disk fails: at every write, at every sync, full, read-only, damaged, or with files gone."""

from disk_points import DiskPoints
from faulty_disk import made_library
from launching import Launcher
from trial import Trial

POINTS_AT_LEAST = 4


def run(trial: Trial) -> None:
    library = made_library(trial.folder)
    if library is None:
        trial.count("NOT TRIED: faults, for there is no cc")
        return
    with Launcher(trial.folder, library) as launcher:
        points = DiskPoints(trial, launcher)
        for at, fault in enumerate(points.all_points()):
            if at >= POINTS_AT_LEAST and not trial.goes_on():
                break
            points.try_point(fault)

"""What comes and goes leaves nothing in the server."""

from pathlib import Path

import pytest
import soak
from trial import Trial


def test_waves_of_watchers_scans_and_curation_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The short form of `scripts/torture --suite soak`: a few short waves. Memory is left to the
    long one, for a server's first waves make what later ones use again.
    """
    monkeypatch.setattr(soak, "WAVE_S", 0.2)
    monkeypatch.setattr(soak, "SCANNERS", 3)
    monkeypatch.setattr(soak, "WAVES_LEAST", 4)
    monkeypatch.setattr(soak, "RESIDENT_MIB_MAX", 16.0)
    trial = Trial(tmp_path, seconds=0, seed=1)

    soak.run(trial)

    assert not trial.faults
    assert trial.counts["waves"] == 4
    assert trial.counts["changes watched"] > 0
    assert trial.counts["calls: curation"] > 0
    assert trial.counts["calls: ResolveTags"] > 20

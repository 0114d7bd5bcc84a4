"""A short run of the failing disk, and proof that its faults do happen."""

from pathlib import Path

import disk
from trial import Trial


def test_a_failing_disk_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """A few writes and syncs fail, a WAL is damaged, files vanish, a small disk fills up."""
    trial = Trial(tmp_path, 0, seed=5)

    disk.run(trial)

    assert trial.faults == []
    assert trial.counts["acknowledged creates"] > 100
    assert trial.counts["database vanishes"] == 1
    if not any(what.startswith("NOT TRIED: failing") for what in trial.counts):
        assert any("failed" in what or "killed" in what for what in trial.counts)

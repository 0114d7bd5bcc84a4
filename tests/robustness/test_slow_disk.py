"""A short run of the slow disk."""

from pathlib import Path

import pytest
import slow_disk
from trial import Trial


def test_a_slow_disk_delays_no_more_than_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, and who can't be served in time is not written for."""
    monkeypatch.setattr(slow_disk, "SYNCS_S", (0.2,))
    monkeypatch.setattr(slow_disk, "LEVEL_S_LEAST", 0.3)
    trial = Trial(tmp_path, 0, seed=5)

    slow_disk.run(trial)

    if "NOT TRIED: slow fsyncs, for there is no cc" in trial.counts:
        pytest.skip("NOT TESTED: slow fsyncs. That takes cc, to make a library.")
    # How long it takes is measured where nothing else runs.
    assert [fault for fault in trial.faults if fault.kind != "slow"] == []
    assert trial.counts["acknowledged creates"] > 100

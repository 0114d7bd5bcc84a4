"""The hostile input, shortly: every RPC with odd messages of every kind."""

from pathlib import Path

from hostile import run
from trial import Trial


def test_what_is_odd_is_refused_in_words(tmp_path: Path) -> None:
    """Only the contract's statuses, no defect, a short log, and nothing stays behind."""
    trial = Trial(tmp_path, 0, 1)

    run(trial, times=2)

    assert not trial.faults
    for what in ("extreme values", "raw bytes", "a flipped bit", "connections of odd frames"):
        assert trial.counts[what] > 0, what
    for status in ("OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"):
        assert trial.counts[f"answered {status}"] > 0, status

"""Servers that are killed under load lose nothing that they acknowledged."""

from pathlib import Path

import crash
import pytest
from trial import Trial


def test_kills_at_every_moment_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short form of `scripts/torture --suite crash`: one registry, a kill of each kind."""
    monkeypatch.setattr(crash, "CALLERS", 4)
    monkeypatch.setattr(crash, "WORKERS", ())
    monkeypatch.setattr(crash, "KILLS_OF_THE_FIRST", 1)
    trial = Trial(tmp_path, seconds=0, seed=1)

    crash.run(trial)

    assert not trial.faults
    assert trial.counts["kills"] == 1 + crash.ROUNDS_LEAST
    assert trial.counts["files that check found sound"] >= crash.ROUNDS_LEAST
    assert trial.counts["acknowledged creates"] > 20
    assert trial.counts["changes watched"] > trial.counts["acknowledged creates"]

"""A short run of interrupted migrations."""

from pathlib import Path

import migrations
from trial import Trial


def test_an_interrupted_migration_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """From each version, two interruptions; and a newer version's file is left alone."""
    trial = Trial(tmp_path, 0, seed=5)

    migrations.run(trial)

    assert trial.faults == []
    assert trial.counts["downgrades refused"] == 3
    assert trial.counts["found old"] + trial.counts["found new"] == 8

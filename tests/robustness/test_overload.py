"""The overload, shortly: many more calls than are let in are answered or refused in words."""

from pathlib import Path

from overload import Overload
from serving import serving
from trial import Trial


def test_ten_times_as_many_calls_are_served_or_refused(tmp_path: Path) -> None:
    """Nothing is late, nothing has an odd status, health is answered, and then all is well."""
    trial = Trial(tmp_path, 0, 1)

    with serving(tmp_path / "server", calls_in_flight_max=16) as server:
        overload = Overload(trial, server, "", 1.0)
        overload.refuse(160, "16 let in, 160 come")
        overload.recover("known", 160)

    # What is only slow may be so on a busy machine.
    assert not [fault for fault in trial.faults if fault.kind != "slow"]
    for what in ("new: OK", "new: UNAVAILABLE", "health checks", "loads ended at once"):
        assert trial.counts[what] > 0, what

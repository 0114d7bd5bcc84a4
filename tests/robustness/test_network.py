"""The network, shortly: one round of every kind of client over connections that fail them."""

import asyncio
from pathlib import Path

import network
import pytest
from serving import serving
from trial import Trial


def test_nothing_is_lost_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a request is cut off or sent twice, there is one genre and one creator."""
    monkeypatch.setattr(network, "NAMES_A_ROUND", 10)
    monkeypatch.setattr(network, "CLOCKS", network.CLOCKS[-1:])
    trial = Trial(tmp_path, 0, 1)

    with serving(tmp_path / "server") as server:
        clock = network.built_clock(tmp_path)
        asyncio.run(network.campaign(trial, server.target, is_stormy=True, clock=clock))

    assert not trial.faults
    assert trial.counts["acknowledged"] > 30
    assert trial.counts["acknowledged creates"] >= 10
    assert trial.counts["changes watched"] >= 30
    assert sum(number for what, number in trial.counts.items() if "connections: " in what) > 5

"""Scanners at work while a curator mends and the server dies; `scripts/scan-campaign` in short."""

from pathlib import Path

from scan_campaign import campaign


def test_nothing_fails_is_lost_doubled_or_misled(tmp_path: Path) -> None:
    """Eight scanners, renames, merges and deletes, two kills: every id leads where it was meant."""
    report = campaign(tmp_path, scanners=8, files=150, kills=2, curator_pause_s=0.05, seed=7)

    assert report.faults == []
    assert report.kills == 2
    assert report.tracks == 8 * 150
    assert report.deeds["rename"] > 0
    assert report.deeds["merge"] > 0

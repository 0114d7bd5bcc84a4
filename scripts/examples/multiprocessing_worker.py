"""
A plain worker: processes that take tracks from a pool, and one client in each.

    python multiprocessing_worker.py 127.0.0.1:50051
"""

import sys
from multiprocessing import Pool

from worker_client import GenreRegistryClient, TagContainer, TagSet

registry = GenreRegistryClient(sys.argv[1])  # opens nothing yet; each process opens its own
TRACKS = {
    "one.flac": TagSet(("Trip-Hop; Electronic",), TagContainer.VORBIS),
    "two.mp3": TagSet(("(17)",), TagContainer.ID3V23),
    "three.m4a": TagSet(("trip hop", "Rock"), TagContainer.MP4),
}


def genres_of(track: str) -> tuple[str, list[int]]:
    """Return a track's genre ids; this runs in a process of the pool."""
    [tags] = registry.resolve_tags([TRACKS[track]])
    return track, [found.genre.id for found in tags.genres]


if __name__ == "__main__":
    with Pool(2) as pool:
        for track, ids in pool.imap(genres_of, TRACKS):
            print(track, *ids)

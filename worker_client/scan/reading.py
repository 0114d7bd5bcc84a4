"""
Reading genre tags, all values as the file holds them, with mutagen.

Runs in processes that never load gRPC. A file that can't be read is an answer, not an
exception: one odd file must not end a scan.
"""

import os
import signal
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import mutagen
from mutagen.apev2 import APENoHeaderError, APEv2
from mutagen.asf import ASFTags
from mutagen.id3 import ID3
from mutagen.mp4 import MP4Tags

from worker_client._values import TagContainer, TagSet

AUDIO_SUFFIXES = (
    *(".aif", ".aiff", ".ape", ".asf", ".dsf", ".flac", ".m4a", ".m4b", ".mp3", ".mp4", ".mpc"),
    *(".oga", ".ogg", ".opus", ".spx", ".tta", ".wav", ".wma", ".wv"),
)
"""The files that a scan reads, by the end of their name, in any case."""


@dataclass(frozen=True, slots=True)
class Track:
    """One audio file: its raw genre values, or why it could not be read."""

    path: str
    tags: TagSet
    error: str | None = None


def audio_files(folder: Path) -> Iterator[str]:
    """
    Give the path of every audio file below *folder*, in a stable order.

    Links to folders are not followed. A folder that can't be listed is given as itself, so
    that reading it fails and is reported.
    """
    unlisted: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=lambda e: unlisted.append(e.filename)):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(AUDIO_SUFFIXES):
                yield os.path.join(parent, name)  # noqa: PTH118 # a Path each would double the cost
    yield from unlisted


def live_with_the_parent() -> None:
    """Set up a reading process: Ctrl-C is the parent's to answer, and its end is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def read_tracks(paths: Sequence[str]) -> list[Track]:
    """Return the track that each of *paths* is."""
    return [read_track(path) for path in paths]


def read_track(path: str) -> Track:
    """Return the track at *path*, with its error if it could not be read."""
    try:
        return Track(path, _genre_values(path))
    except Exception as error:  # mutagen raises whatever a broken file makes it trip over
        reason = str(error) or type(error).__name__
        return Track(path, TagSet(()), reason.replace(path, "the file"))


def _genre_values(path: str) -> TagSet:
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 # a Path each would double the cost
        raise ValueError("not a regular file")
    audio: Any = mutagen.File(path)
    if audio is None:
        raise ValueError("not an audio file of a known kind")
    tags = audio.tags
    if isinstance(tags, ID3):
        if tags.version >= (2,):
            # Once more, as written: mutagen translates older versions while loading.
            audio = type(audio)(path, translate=False)
        return _from_id3(audio.tags)
    if isinstance(tags, MP4Tags):
        return TagSet(_texts(audio, "\xa9gen"), TagContainer.MP4)
    if isinstance(tags, APEv2):
        return TagSet(_texts(audio, "Genre"), TagContainer.APE)
    if isinstance(tags, ASFTags):
        return TagSet(_texts(audio, "WM/Genre"), TagContainer.ASF)
    if tags is not None:
        return TagSet(_texts(audio, "genre"), TagContainer.VORBIS)
    try:
        # An MP3 may carry nothing else.
        return TagSet(_texts(APEv2(path), "Genre"), TagContainer.APE)  # type: ignore[no-untyped-call]
    except APENoHeaderError:
        return TagSet(())


def _from_id3(tags: Any) -> TagSet:
    if tags.version < (2,):
        container = TagContainer.ID3V1
    elif tags.version >= (2, 4):
        container = TagContainer.ID3V24
    else:
        container = TagContainer.ID3V23
    texts = tuple(str(text) for frame in tags.getall("TCON") for text in frame.text)
    return TagSet(texts, container)


def _texts(audio: Any, name: str) -> tuple[str, ...]:
    """Return all values of one field, which is a list in every kind of tag."""
    return tuple(str(value) for value in audio.get(name, ()))

"""
Reading genre tags, all values as the file holds them, with mutagen.

A file that can't be read is an answer, not an
exception: one odd file must not end a scan.
"""

import os
import stat
from typing import Any

import mutagen
from mutagen.apev2 import APENoHeaderError, APEv2
from mutagen.asf import ASFTags
from mutagen.id3 import ID3
from mutagen.mp4 import MP4Tags

from worker_client._values import TagContainer, TagSet
from worker_client.scan.tracks import Track


def read_track(path: str) -> Track:
    """Return the track at *path*, with its error if it could not be read."""
    try:
        return Track(path, _genre_values(path))
    except Exception as error:  # mutagen raises whatever a broken file makes it trip over
        reason = error.strerror if isinstance(error, OSError) else str(error)
        reason = reason or type(error).__name__
        return Track(path, TagSet(()), reason.replace(path, "the file"))


def _genre_values(path: str) -> TagSet:
    mode = os.stat(path).st_mode  # noqa: PTH116 # a Path each would double the cost
    if stat.S_ISDIR(mode):
        os.scandir(path).close()  # which says why it could not be listed
    if not stat.S_ISREG(mode):
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

"""Which files a scan reads, and in which order."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

AUDIO_SUFFIXES = (
    *(".aif", ".aiff", ".ape", ".asf", ".dsf", ".flac", ".m4a", ".m4b", ".mp3", ".mp4", ".mpc"),
    *(".oga", ".ogg", ".opus", ".spx", ".tta", ".wav", ".wma", ".wv"),
)
"""The files that a scan reads, by the end of their name, in any case."""


def audio_files(folder: Path) -> Iterator[str]:
    """
    Give the path of every audio file below *folder*, in a stable order, as they are found.

    Links to folders are followed, after all folders that are really there, so that a link
    that is added or removed changes no other path. Each folder is visited once, however many
    names it has, and loops end. A folder that can't be listed is given as itself, so that
    reading it fails and is reported.
    """
    visited: set[tuple[int, int]] = set()
    links = deque([str(folder)])
    while links:
        # A stack of our own: folders may lie deeper than Python calls itself.
        folders = [links.popleft()]
        while folders:
            path = folders.pop()
            try:
                if not _is_first_visit(path, visited):
                    continue
                inner, linked, files = _entries(path)
            except OSError:
                yield path
                continue
            prefix = os.path.join(path, "")  # noqa: PTH118 # a Path each would double the cost
            for name in files:
                yield prefix + name
            folders += (prefix + name for name in reversed(inner))
            links += (prefix + name for name in linked)


def _is_first_visit(path: str, visited: set[tuple[int, int]]) -> bool:
    status = os.stat(path)  # noqa: PTH116 # a Path each would double the cost
    identity = (status.st_dev, status.st_ino)
    if identity in visited:
        return False
    visited.add(identity)
    return True


def _entries(path: str) -> tuple[list[str], list[str], list[str]]:
    """Return the names of the folders, links to folders, and audio files in *path*, sorted."""
    folders: list[str] = []
    links: list[str] = []
    files: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_symlink() and _leads_to_a_folder(entry):
                links.append(entry.name)
            elif entry.name.lower().endswith(AUDIO_SUFFIXES):
                files.append(entry.name)
    return sorted(folders), sorted(links), sorted(files)


def _leads_to_a_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # a loop, or what may not be looked at: reading it says why
        return False

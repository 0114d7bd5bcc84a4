"""What a scan knows of one audio file: its tags, and what became of them."""

from dataclasses import dataclass

from worker_client._values import ResolvedTags, TagSet


@dataclass(frozen=True, slots=True)
class Track:
    """One audio file: its raw genre values, or why it could not be read."""

    path: str
    tags: TagSet
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of one track.

    `resolved` is None if it has no tags or an `error`, which is of reading if the track's
    own, else of resolving.
    """

    track: Track
    resolved: ResolvedTags | None = None
    error: str | None = None

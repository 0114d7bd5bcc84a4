"""What the caches came to, in plain integers."""

from dataclasses import dataclass


@dataclass(slots=True)
class LookUps:
    """
    Look-ups since the start, by what was looked up: a spelling exactly as written, a tag set
    as it came, a fold key. Tag sets that were answered whole are not looked into any further.
    """

    spelling_hits: int = 0
    spelling_misses: int = 0
    tag_set_hits: int = 0
    tag_set_misses: int = 0
    key_hits: int = 0
    key_misses: int = 0
    read: int = 0
    """Of the missed keys, those that the database then knew."""

    @property
    def existing(self) -> int:
        """Names and parts of tags for which there was a genre already."""
        return self.spelling_hits + self.key_hits + self.read

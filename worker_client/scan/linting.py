"""The lint of a library: what its tags would become, gathered tag by tag from a dry run."""

from collections import Counter
from dataclasses import dataclass, field

from worker_client._near import near_pairs
from worker_client._values import DroppedPart, ResolvedGenre, ResolvedTags, ReviewPart
from worker_client.scan.tracks import Outcome


@dataclass(slots=True, eq=False)
class NamedGenre:
    """
    A genre that tags of the library name.

    Attributes:
        id: 0 if a scan would create it.
        pack: The reference pack that knows it; "" if none does.
        spellings: How often it was written in which way, counted once a track.
    """

    id: int
    name: str
    pack: str
    spellings: Counter[str] = field(default_factory=Counter)

    @property
    def tracks(self) -> int:
        """How many tracks have it."""
        return self.spellings.total()


Values = tuple[tuple[str, ...], tuple[NamedGenre, ...]]
"""The raw values of a tag, and the genres that they become."""
NearPair = tuple[NamedGenre, NamedGenre]
"""Two genres whose names nearly agree, the more frequent first."""


class Lint:
    """
    What the tags of a library would become; everything is counted, most frequent first.

    `unread` and `unresolved` are all the files that failed, with the reason.
    """

    def __init__(self) -> None:
        self.unread: dict[str, str] = {}
        self.unresolved: dict[str, str] = {}
        self._genres: dict[int | str, NamedGenre] = {}
        self._values: Counter[Values] = Counter()
        self._dropped: Counter[DroppedPart] = Counter()
        self._review: Counter[ReviewPart] = Counter()

    def add_outcome(self, outcome: Outcome) -> None:
        """Count one track, or keep why it failed."""
        track = outcome.track
        if outcome.error is not None:
            failed = self.unresolved if track.error is None else self.unread
            failed[track.path] = outcome.error
        elif outcome.resolved is not None:
            self.add(track.tags.values, outcome.resolved)

    def add(self, values: tuple[str, ...], resolved: ResolvedTags) -> None:
        """Count one track: its raw *values*, and what they resolved to."""
        genres = tuple(self._named(each) for each in resolved.genres)
        self._values[values, genres] += 1
        self._dropped.update(resolved.dropped)
        self._review.update(resolved.review)

    @property
    def genres(self) -> list[NamedGenre]:
        """Every genre once, those of most tracks first."""
        return sorted(dict.fromkeys(self._genres.values()), key=lambda g: (-g.tracks, g.name))

    @property
    def values(self) -> list[tuple[Values, int]]:
        """Raw values with their genres, and how many tracks have just these."""
        return sorted(self._values.items(), key=lambda each: (-each[1], each[0][0]))

    @property
    def dropped(self) -> list[tuple[DroppedPart, int]]:
        """What would be dropped, and how many times."""
        return sorted(self._dropped.items(), key=lambda e: (-e[1], e[0].text, e[0].reason))

    @property
    def review(self) -> list[tuple[ReviewPart, int]]:
        """What would be left whole for a curator, and how many times."""
        return sorted(self._review.items(), key=lambda e: (-e[1], e[0].text, e[0].rule))

    @property
    def near_duplicates(self) -> list[NearPair]:
        """
        Genres whose names nearly agree, though not by any rule of identity.

        Two that reference packs know are two on purpose, and not among them.
        """
        genres = self.genres
        return sorted(
            (
                (genres[a], genres[b])
                for a, b in near_pairs([genre.name for genre in genres])
                if not (genres[a].pack and genres[b].pack)
            ),
            key=lambda pair: (-pair[0].tracks - pair[1].tracks, pair[0].name, pair[1].name),
        )

    @property
    def respelled(self) -> list[NamedGenre]:
        """Genres that are written in more than one way."""
        return [genre for genre in self.genres if len(genre.spellings) > 1]

    def _named(self, each: ResolvedGenre) -> NamedGenre:
        """
        Return the genre that *each* is, with its spelling counted.

        By its id, and by its key before it has one: another scan may create it meanwhile.
        """
        genre = each.genre
        named = self._genres.get(genre.id or each.key) or self._genres.get(each.key)
        if named is None:
            named = NamedGenre(genre.id, genre.name, each.pack)
        named.id = named.id or genre.id
        self._genres[genre.id or each.key] = self._genres[each.key] = named
        named.spellings[each.spelling] += 1
        return named

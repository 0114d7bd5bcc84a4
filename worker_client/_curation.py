"""What curators call, for plain worker processes."""

from collections.abc import Iterable, Iterator, Mapping

from worker_client import _curation_calls
from worker_client._connection import Connection
from worker_client._curation_values import (
    Change,
    MergedGenres,
    Review,
    SettledReview,
    Settlement,
    UnmergedGenre,
)
from worker_client._values import Genre, Resolution


class Curation(Connection):
    """
    Mends that hold for ever, whatever is scanned afterwards.

    *expected_revision* is that of the genre as it was last read; 0 for any. What is already
    as asked is not changed again.

    Every method that changes something raises:
        GenreNotFound: no genre has the id.
        CurationRefused: the id was merged into another's (GENRE_MERGED), its genre is
            deleted (GENRE_DELETED), or what the method says.
        RevisionMismatch: the genre has changed since *expected_revision*.
        InvalidName: a text can be no genre's name.
        StorageFull: the registry's disk is full.
    """

    def update_genre(
        self,
        genre_id: int,
        *,
        name: str | None = None,
        description: str | None = None,
        parent_ids: Iterable[int] | None = None,
        external_ids: Mapping[str, str] | None = None,
        expected_revision: int = 0,
        deadline_s: float | None = None,
    ) -> Genre:
        """
        Return the genre after changing what is not None; each is replaced whole.

        A rename keeps the id and leaves the old name as an alias. A parent or an id
        elsewhere that is taken away is not brought back by a reference pack.

        Args:
            description: At most 2000 characters.
            external_ids: By whose they are: "musicbrainz", "discogs", "lastfm", "spotify",
                "wikidata".

        Raises:
            InvalidRequest: the description is too long, or an id elsewhere is none.
            CurationRefused: SPELLING_TAKEN, EXTERNAL_ID_TAKEN or PARENT_CYCLE.
            SpellingBlocked: *name* was blocked.
        """
        call = _curation_calls.update_genre(
            genre_id,
            name=name,
            description=description,
            parent_ids=parent_ids,
            external_ids=external_ids,
            expected_revision=expected_revision,
        )
        return self._call(call, deadline_s)

    def add_alias(
        self,
        genre_id: int,
        alias: str,
        *,
        expected_revision: int = 0,
        deadline_s: float | None = None,
    ) -> Genre:
        """
        Return the genre after having one more spelling reach it.

        Raises:
            CurationRefused: another genre has the spelling (SPELLING_TAKEN).
            SpellingBlocked: it was blocked.
        """
        call = _curation_calls.add_alias(genre_id, alias, expected_revision=expected_revision)
        return self._call(call, deadline_s)

    def remove_alias(
        self,
        genre_id: int,
        alias: str,
        *,
        expected_revision: int = 0,
        deadline_s: float | None = None,
    ) -> Genre:
        """
        Return the genre after taking a spelling from it, for good: packs can't bring it back.

        Raises:
            GenreNotFound: the spelling does not reach this genre (SPELLING_NOT_FOUND).
            CurationRefused: it is the genre's name (SPELLING_IS_NAME); rename it first.
        """
        call = _curation_calls.remove_alias(genre_id, alias, expected_revision=expected_revision)
        return self._call(call, deadline_s)

    def merge_genres(
        self,
        source_ids: Iterable[int],
        target_id: int,
        *,
        expected_revision: int = 0,
        validate_only: bool = False,
        deadline_s: float | None = None,
    ) -> MergedGenres:
        """
        Join 1 to 1000 genres with another, whose id, name and parents all of them have then.

        Args:
            expected_revision: The target's.
            validate_only: Tell exactly what would change, and change nothing.

        Raises:
            InvalidRequest: no source at all, or more than 1000.
            CurationRefused: a genre would become its own ancestor (PARENT_CYCLE).
        """
        call = _curation_calls.merge_genres(
            source_ids,
            target_id,
            expected_revision=expected_revision,
            validate_only=validate_only,
        )
        return self._call(call, deadline_s)

    def unmerge_genre(self, source_id: int, *, deadline_s: float | None = None) -> UnmergedGenre:
        """
        Make a genre that was merged one of its own again, with what it brought.

        Raises:
            CurationRefused: it is merged into none (GENRE_NOT_MERGED), or its name is
                another's meanwhile (SPELLING_TAKEN).
            SpellingBlocked: its name was blocked meanwhile.
        """
        return self._call(_curation_calls.unmerge_genre(source_id), deadline_s)

    def delete_genre(
        self, genre_id: int, *, expected_revision: int = 0, deadline_s: float | None = None
    ) -> Genre:
        """Take a genre out of use and block its spellings; return it as it is then."""
        call = _curation_calls.delete_genre(genre_id, expected_revision=expected_revision)
        return self._call(call, deadline_s)

    def undelete_genre(
        self, genre_id: int, *, expected_revision: int = 0, deadline_s: float | None = None
    ) -> Genre:
        """Bring a deleted genre back as it was, and return it."""
        call = _curation_calls.undelete_genre(genre_id, expected_revision=expected_revision)
        return self._call(call, deadline_s)

    def block_spelling(self, spelling: str, *, deadline_s: float | None = None) -> Genre | None:
        """
        Have a spelling, and all that share its key, name no genre, whoever asks.

        Returns:
            The genre that lost it as an alias, as it is then; None if there is none.

        Raises:
            CurationRefused: it is a genre's name (SPELLING_IS_NAME): delete or rename that.
        """
        return self._call(_curation_calls.block_spelling(spelling), deadline_s)

    def unblock_spelling(self, spelling: str, *, deadline_s: float | None = None) -> None:
        """
        Free a blocked spelling.

        Raises:
            GenreNotFound: it is not blocked (SPELLING_NOT_FOUND).
            CurationRefused: it is a deleted genre's (GENRE_DELETED): undelete that.
        """
        return self._call(_curation_calls.unblock_spelling(spelling), deadline_s)

    def distinguish_spelling(
        self, spelling: str, genre_id: int = 0, *, deadline_s: float | None = None
    ) -> Resolution:
        """
        Pin a spelling apart from those that share its key, but for case and typography.

        Args:
            genre_id: What it is to reach; 0 for a genre of its own, named so.

        Returns:
            The genre that it reaches now, and whether that is new.

        Raises:
            CurationRefused: a genre's very name is written so (SPELLING_IS_NAME), or it is
                pinned to another genre (SPELLING_TAKEN).
        """
        return self._call(_curation_calls.distinguish_spelling(spelling, genre_id), deadline_s)

    def list_reviews(self, *, show_settled: bool = False) -> Iterator[Review]:
        """Give the compounds that no rule could decide, those seen most often first."""
        token = ""
        while True:
            reviews, token = self._call(
                _curation_calls.list_reviews(token, show_settled=show_settled), None
            )
            yield from reviews
            if not token:
                return

    def settle_review(
        self, text: str, settlement: Settlement, *, deadline_s: float | None = None
    ) -> SettledReview:
        """
        Decide on a compound, for good; to decide anew replaces what was decided.

            registry.settle_review("Rock/Zeuhl", Settlement.expand_into(["Rock", "Zeuhl"]))

        Args:
            text: The compound, in any form that shares its key; it need not be listed.

        Raises:
            GenreNotFound: what it is to be an alias of is not there.
            InvalidRequest: nothing was decided, or the names are more than 100.
            CurationRefused: SPELLING_TAKEN.
            SpellingBlocked: one of the names was blocked.
        """
        return self._call(_curation_calls.settle_review(text, settlement), deadline_s)

    def list_history(self, genre_id: int = 0) -> Iterator[Change]:
        """
        Give the changes of one genre, also of one merged or deleted, or of all for 0.

        The latest comes first; the journal is never trimmed.
        """
        token = ""
        while True:
            changes, token = self._call(
                _curation_calls.list_history(token, genre_id=genre_id), None
            )
            yield from changes
            if not token:
                return

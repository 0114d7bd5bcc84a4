"""
Curation: what curators ask for is checked here, and made in its turn by the `catalogue`;
beside it what they read: reviews and history.
"""

from collections.abc import Collection, Sequence

from registry_server.catalogue import Catalogue
from registry_server.outcomes import History, Reviews
from registry_server.page_token import INT64_MAX, PageToken
from registry_server.requests import check_batch, page_size_of
from registry_server.storage import Store
from registry_server.vocabulary import wishes
from registry_server.vocabulary.curation_refusals import (
    DESCRIPTION_LENGTH_MAX,
    DescriptionTooLong,
    RevisionNegative,
    SettlementMissing,
    UpdateMaskInvalid,
    check_external_id,
)
from registry_server.vocabulary.edits import Decision, Edited
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.refusals import (
    BatchTooLarge,
    GenreNotFound,
    InvalidName,
)
from registry_server.vocabulary.tags import PARTS_MAX

MASKED = ("name", "description", "parent_ids", "external_ids")
"""The fields of a genre that a curator may replace."""
PARENTS_MAX = 100
"""Most parents of one genre."""


class Curation:
    """Changes what scans never do; *who* is the caller's name, for the journal."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue

    async def update_genre(
        self,
        genre: Genre,
        mask: Collection[str],
        expected_revision: int,
        *,
        deadline_s: float,
        who: str,
    ) -> Edited:
        """
        Replace those fields of a genre that *mask* names.

        Args:
            genre: The id, and the fields as they are to be.

        Raises:
            UpdateMaskInvalid: there is no such field, or it is not a curator's.
            InvalidName, DescriptionTooLong, ExternalIdInvalid: a value can't be.
        """
        for path in mask:
            if path not in MASKED:
                raise UpdateMaskInvalid(path, MASKED)
        _check_revision(expected_revision)
        external_ids = dict(genre.external_ids) if "external_ids" in mask else None
        if external_ids is not None:
            for whose, value in external_ids.items():
                check_external_id(whose, value)
        if len(genre.description) > DESCRIPTION_LENGTH_MAX:
            raise DescriptionTooLong(len(genre.description))
        if len(genre.parent_ids) > PARENTS_MAX:
            raise BatchTooLarge(
                len(genre.parent_ids), field="genre.parent_ids", size_max=PARENTS_MAX
            )
        edit = wishes.UpdateGenre(
            genre.id,
            self._spelling(genre.name, "genre.name") if "name" in mask else None,
            genre.description.strip() if "description" in mask else None,
            tuple(dict.fromkeys(genre.parent_ids)) if "parent_ids" in mask else None,
            external_ids,
            expected_revision,
            who=who,
        )
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def add_alias(
        self, genre_id: int, alias: str, expected_revision: int, *, deadline_s: float, who: str
    ) -> Edited:
        """Have *alias* reach a genre."""
        _check_revision(expected_revision)
        spelling = self._spelling(alias, "alias")
        edit = wishes.AddAlias(genre_id, spelling, expected_revision, who=who)
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def remove_alias(
        self, genre_id: int, alias: str, expected_revision: int, *, deadline_s: float, who: str
    ) -> Edited:
        """Have *alias* reach a genre no more."""
        _check_revision(expected_revision)
        spelling = self._spelling(alias, "alias")
        edit = wishes.RemoveAlias(genre_id, spelling, expected_revision, who=who)
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def merge_genres(
        self,
        source_ids: Sequence[int],
        target_id: int,
        expected_revision: int,
        *,
        validate_only: bool,
        deadline_s: float,
        who: str,
    ) -> Edited:
        """Merge genres into *target_id*; with *validate_only* say what would change."""
        check_batch(source_ids, field="source_ids")
        _check_revision(expected_revision)
        edit = wishes.MergeGenres(
            tuple(source_ids), target_id, expected_revision, validate_only, who=who
        )
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def unmerge_genre(self, source_id: int, *, deadline_s: float, who: str) -> Edited:
        """Undo the merging of a genre."""
        return await self._catalogue.edit(
            wishes.UnmergeGenre(source_id, who=who), deadline_s=deadline_s
        )

    async def delete_genre(
        self, genre_id: int, expected_revision: int, *, deadline_s: float, who: str
    ) -> Edited:
        """Take a genre out of use."""
        _check_revision(expected_revision)
        edit = wishes.DeleteGenre(genre_id, expected_revision, who=who)
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def undelete_genre(
        self, genre_id: int, expected_revision: int, *, deadline_s: float, who: str
    ) -> Edited:
        """Bring a deleted genre back."""
        _check_revision(expected_revision)
        edit = wishes.UndeleteGenre(genre_id, expected_revision, who=who)
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def block_spelling(self, spelling: str, *, deadline_s: float, who: str) -> Edited:
        """Have a spelling name no genre."""
        edit = wishes.BlockSpelling(self._spelling(spelling, "spelling"), who=who)
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def unblock_spelling(self, spelling: str, *, deadline_s: float, who: str) -> Edited:
        """Free a blocked spelling."""
        edit = wishes.UnblockSpelling(self._spelling(spelling, "spelling"), who=who)
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def distinguish_spelling(
        self, spelling: str, genre_id: int, *, deadline_s: float, who: str
    ) -> Edited:
        """Pin a spelling apart from those that share its key."""
        edit = wishes.DistinguishSpelling(self._spelling(spelling, "spelling"), genre_id, who=who)
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def settle_review(
        self,
        text: str,
        decision: Decision,
        *,
        target_id: int = 0,
        names: Sequence[str] = (),
        deadline_s: float,
        who: str,
    ) -> Edited:
        """
        Decide on a compound.

        Raises:
            SettlementMissing: nothing was decided, or an expansion has no names.
            BatchTooLarge: it has more than 100.
        """
        if decision is Decision.NONE or (decision is Decision.EXPAND and not names):
            raise SettlementMissing
        if len(names) > PARTS_MAX:
            raise BatchTooLarge(len(names), field="expand.names", size_max=PARTS_MAX)
        spelling = self._spelling(text, "text")
        into = [self._spelling(name, f"expand.names[{at}]") for at, name in enumerate(names)]
        edit = wishes.SettleReview(spelling, decision, target_id, tuple(into), who=who)
        return await self._catalogue.edit(edit, deadline_s=deadline_s)

    async def reviews(self, page_size: int, page_token: str, *, show_settled: bool) -> Reviews:
        """
        Return a page of compounds that no rule could decide, those seen most often first.

        Raises:
            PageSizeNegative: *page_size* is below 0.
            PageTokenInvalid: *page_token* is none of this listing's.
        """
        size_max = page_size_of(page_size)
        named = f"reviews/{int(show_settled)}"
        token = PageToken.of(page_token, named) if page_token else None
        after = (token.after, token.key) if token else (INT64_MAX, "")
        with self._catalogue.watching_storage():
            found = await self._store.reviews(after, size_max + 1, show_settled=show_settled)
        page = found[:size_max]
        following: object = ""
        if len(found) > size_max:
            following = PageToken(named, page[-1].times_seen, 0, "", page[-1].key)
        return Reviews(tuple(page), str(following))

    async def history(self, genre_id: int, page_size: int, page_token: str) -> History:
        """
        Return a page of the journal, the latest change first; of one genre unless it is 0.

        Raises:
            GenreNotFound: no genre ever had *genre_id*.
            PageSizeNegative: *page_size* is below 0.
            PageTokenInvalid: *page_token* is none of this listing's.
        """
        size_max = page_size_of(page_size)
        named = f"history/{genre_id}"
        before = PageToken.of(page_token, named).after if page_token else INT64_MAX
        with self._catalogue.watching_storage():
            if genre_id and not await self._store.genres([genre_id]):
                raise GenreNotFound.with_id(genre_id)
            found = await self._store.history(genre_id, before, size_max + 1)
        page = found[:size_max]
        following = PageToken(named, page[-1].revision, 0, "") if len(found) > size_max else ""
        return History(tuple(page), str(following))

    def _spelling(self, text: str, field: str) -> Spelling:
        try:
            return self._catalogue.knowledge.spelling(text)
        except InvalidName as refusal:
            refusal.field = field
            raise


def _check_revision(expected_revision: int) -> None:
    if expected_revision < 0:
        raise RevisionNegative("expected_revision")

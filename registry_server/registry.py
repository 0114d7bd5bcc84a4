"""
The registry: what is decided of names and ids, between the wire and the store.

What raw tag values come to is decided by `tag_resolver`, beside it; both reach genres
through the `catalogue`.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from registry_server.catalogue import Catalogue, created_by
from registry_server.hot_cache import Known
from registry_server.outcomes import Listing, PackImport, Resolution
from registry_server.packs.musicbrainz import read_genre_all
from registry_server.packs.reading import AUTHORITY, pack_of, shipped_pack
from registry_server.page_token import PageToken
from registry_server.requests import Telling, check_batch, check_request_id, page_size_of
from registry_server.storage import Store
from registry_server.vocabulary.curation_refusals import SpellingBlocked
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.knowledge import Knowledge, Pack
from registry_server.vocabulary.refusals import (
    REQUEST_ID_LENGTH_MAX,
    DeadlinePassed,
    GenreNotFound,
    InvalidName,
    PackUnknown,
    PageSizeNegative,
    PageTokenInvalid,
    RegistryError,
    StorageFull,
)

SEARCH_LIMIT_DEFAULT = 20
SEARCH_LIMIT_MAX = 100
INDEXED_A_TURN = 2000
"""Changes that the index to search by follows in one transaction, before others write."""


class Registry:
    """Owns the vocabulary: at most one genre to a key, however many ask at once."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        knowledge_with: Callable[[Sequence[Pack]], Knowledge],
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._knowledge_with = knowledge_with
        self._indexing = asyncio.Lock()

    def hit(self, name: str, request_id: str) -> Known | None:
        """
        Return the genre that *name*, exactly as written, is known to reach, unless this
        logical request may have created it or cannot be answered: then ask in full.
        """
        known = self._catalogue.by_spelling(name)
        if known is None or len(request_id) > REQUEST_ID_LENGTH_MAX:
            return None
        if created_by(request_id, known):
            return None
        self._catalogue.look_ups.spelling_hits += 1
        return known

    async def get_or_create(
        self, name: str, request_id: str, *, deadline_s: float, who: str = ""
    ) -> Resolution:
        """
        Return the genre that *name* reaches, created if nothing did.

        Raises:
            InvalidName: *name* can be no genre's name.
            SpellingBlocked: it names none, as a curator decided.
        """
        [outcome] = await self.get_or_create_all([name], request_id, deadline_s=deadline_s, who=who)
        if isinstance(outcome, RegistryError):
            raise outcome
        return outcome

    async def get_or_create_all(
        self, names: Sequence[str], request_id: str, *, deadline_s: float, who: str = ""
    ) -> list[Resolution | RegistryError]:
        """
        Return the genre that each of *names* reaches, created if nothing did, or why
        it names none; all in one transaction. *who* is the caller's name, for the journal.

        Raises:
            BatchTooLarge: more than 1000 names.
            RequestIdTooLong: more than 64 characters.
        """
        check_batch(names, field="names")
        check_request_id(request_id)
        knowledge = self._catalogue.knowledge
        found = [
            self._catalogue.by_spelling(name) or _spelling_or_refusal(name, knowledge)
            for name in names
        ]
        spellings = [spelling for spelling in found if isinstance(spelling, Spelling)]
        self._catalogue.look_ups.spelling_misses += len(spellings)
        reached = await self._catalogue.reach(
            spellings,
            request_id,
            deadline_s=deadline_s,
            who=who,
        )
        refused = 0
        telling = Telling()
        outcomes: list[Resolution | RegistryError] = []
        for name, outcome in zip(names, found, strict=True):
            if isinstance(outcome, Spelling):
                granted = reached[outcome.fold]
                if not granted.known.genre.is_active:
                    outcomes.append(_blocked(outcome, granted.known.genre))
                    continue
                self._catalogue.remember(name, granted.known, knowledge)
                outcomes.append(telling.once(granted))
            elif isinstance(outcome, Known):
                outcomes.append(telling.once(Resolution(outcome, created_by(request_id, outcome))))
            else:
                refused += 1
                outcomes.append(outcome)
        self._catalogue.look_ups.spelling_hits += len(names) - len(spellings) - refused
        return outcomes

    async def lookup(self, name: str, *, deadline_s: float) -> Genre:
        """
        Return the genre that *name* reaches; never creates.

        Raises:
            InvalidName: *name* can be no genre's name.
            GenreNotFound: nothing is named so.
            SpellingBlocked: it names none, as a curator decided.
        """
        spelling = self._catalogue.knowledge.spelling(name)
        found, _ = await self._catalogue.find([spelling], deadline_s=deadline_s)
        if spelling.fold not in found:
            raise GenreNotFound.named(spelling.text)
        genre = found[spelling.fold].known.genre
        if not genre.is_active:
            raise _blocked(spelling, genre)
        return genre

    async def search(self, query: str, limit: int, *, deadline_s: float) -> list[Genre]:
        """
        Return the genres that *query* finds, the best first.

        Args:
            limit: Most genres to return; 0 means 20, more than 100 means 100.

        Raises:
            InvalidName: *query* can't be a part of a name.
            PageSizeNegative: *limit* is below 0.
        """
        if limit < 0:
            raise PageSizeNegative("limit")
        try:
            spelling = Spelling.of(query)
        except InvalidName as refusal:
            refusal.field = "query"
            raise
        with self._catalogue.watching_storage():
            await self._make_searchable(deadline_s)
            size_max = min(limit or SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX)
            return await self._store.search(spelling.text, size_max)

    async def _make_searchable(self, deadline_s: float) -> None:
        """Have a search see everything; a scan of a new library does not wait for that."""
        async with self._indexing:
            while await self._store.unsearchable():
                if asyncio.get_running_loop().time() > deadline_s:
                    raise DeadlinePassed
                try:
                    await self._store.make_searchable(INDEXED_A_TURN)
                except StorageFull:
                    # Found is what was there before the disk was full.
                    return

    async def genre(self, genre_id: int) -> Genre:
        """
        Return the genre that answers to this id: another one's after a merge.

        Raises:
            GenreNotFound: none does.
        """
        [outcome] = await self.genres([genre_id])
        if isinstance(outcome, GenreNotFound):
            raise outcome
        return outcome

    async def genres(self, ids: Sequence[int]) -> list[Genre | GenreNotFound]:
        """
        Return the genre that answers to each of *ids*, or that none does.

        Raises:
            BatchTooLarge: more than 1000 ids.
        """
        check_batch(ids, field="ids")
        with self._catalogue.watching_storage():
            found = await self._store.genres(set(ids))
        return [found.get(genre_id) or GenreNotFound.with_id(genre_id) for genre_id in ids]

    async def listing(
        self, page_size: int, page_token: str, *, parent_id: int = 0, show_deleted: bool = False
    ) -> Listing:
        """
        Return a page of genres.

        Args:
            page_size: Most genres to return; 0 means 100, more than 1000 means 1000.
            page_token: Where the last page ended; "" for the first.
            parent_id: Only genres that are a kind of this one; 0 for all.
            show_deleted: Deleted ones too.

        Raises:
            PageSizeNegative: *page_size* is below 0.
            PageTokenInvalid: *page_token* is not one of this registry's, for this listing.
            GenreNotFound: no genre answers to *parent_id*.
        """
        size_max = page_size_of(page_size)
        named = f"genres/{parent_id}/{int(show_deleted)}"
        token = PageToken.of(page_token, named) if page_token else None
        parent = await self.genre(parent_id) if parent_id else None
        with self._catalogue.watching_storage():
            page = await self._store.page(
                token.after if token else 0,
                size_max,
                parent.id if parent else 0,
                show_deleted=show_deleted,
            )
        revision, incarnation = page.state.revision, page.state.incarnation
        if token is not None:
            if token.incarnation != incarnation or token.revision > revision:
                raise PageTokenInvalid
            revision = token.revision
        following = PageToken(named, page.genres[-1].id, revision, incarnation) if page.more else ""
        return Listing(page.genres, str(following), revision, incarnation)

    async def import_pack(
        self, name: str, documents: Sequence[bytes], *, deadline_s: float
    ) -> PackImport:
        """
        Have the pack that *documents* hold take the place of the one of its name, for good.

        Args:
            documents: What MusicBrainz's web service answered to genre/all, page by page.

        Raises:
            PackUnknown: only "musicbrainz" can be imported.
            PackInvalid: *documents* are no such answer, or not all of it.
        """
        if name != AUTHORITY:
            raise PackUnknown(name, [AUTHORITY])
        # Newer than the one that came with the server, whatever the clock says.
        today = datetime.now(UTC).date().isoformat()
        version = max(today, shipped_pack(name).version)
        # Some thousand keys to compute: not on the event loop.
        imported = await asyncio.to_thread(read_genre_all, documents, version=version)
        knowledge = await asyncio.to_thread(
            lambda: self._knowledge_with([pack_of(name, imported.content)])
        )
        changed, state = await self._catalogue.adopt(
            knowledge, (name, imported.content), deadline_s=deadline_s
        )
        return PackImport(
            imported.version, imported.genres, imported.skipped, len(changed), state.revision
        )


def _blocked(spelling: Spelling, genre: Genre) -> SpellingBlocked:
    return SpellingBlocked(spelling.text, genre.id)


def _spelling_or_refusal(name: str, knowledge: Knowledge) -> Spelling | InvalidName:
    try:
        return knowledge.spelling(name)
    except InvalidName as refusal:
        return refusal

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
from registry_server.requests import Telling, check_batch, check_request_id
from registry_server.storage import Store
from registry_server.vocabulary.genre import Genre
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.knowledge import Knowledge, Pack
from registry_server.vocabulary.refusals import (
    REQUEST_ID_LENGTH_MAX,
    GenreNotFound,
    InvalidName,
    PackUnknown,
    PageSizeNegative,
    PageTokenInvalid,
)

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1000


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

    def hit(self, name: str, request_id: str) -> Known | None:
        """
        Return the genre that *name*, exactly as written, is known to reach, unless this
        logical request may have created it or cannot be answered: then ask in full.
        """
        known = self._catalogue.by_spelling(name)
        if known is None or len(request_id) > REQUEST_ID_LENGTH_MAX:
            return None
        return None if created_by(request_id, known) else known

    async def get_or_create(self, name: str, request_id: str, *, deadline_s: float) -> Resolution:
        """
        Return the genre that *name* reaches, created if nothing did.

        Raises:
            InvalidName: *name* can be no genre's name.
        """
        [outcome] = await self.get_or_create_all([name], request_id, deadline_s=deadline_s)
        if isinstance(outcome, InvalidName):
            raise outcome
        return outcome

    async def get_or_create_all(
        self, names: Sequence[str], request_id: str, *, deadline_s: float
    ) -> list[Resolution | InvalidName]:
        """
        Return the genre that each of *names* reaches, created if nothing did, or why
        it can be no name; all in one transaction.

        Raises:
            BatchTooLarge: more than 1000 names.
            RequestIdTooLong: more than 64 characters.
        """
        check_batch(names, field="names")
        check_request_id(request_id)
        knowledge = self._catalogue.knowledge
        found = [self._catalogue.by_spelling(name) or _spelling_or_refusal(name) for name in names]
        reached = await self._catalogue.reach(
            (spelling for spelling in found if isinstance(spelling, Spelling)),
            request_id,
            deadline_s=deadline_s,
        )
        telling = Telling()
        outcomes: list[Resolution | InvalidName] = []
        for name, outcome in zip(names, found, strict=True):
            if isinstance(outcome, Spelling):
                granted = reached[outcome.fold]
                self._catalogue.remember(name, granted.known, knowledge)
                outcomes.append(telling.once(granted))
            elif isinstance(outcome, Known):
                outcomes.append(telling.once(Resolution(outcome, created_by(request_id, outcome))))
            else:
                outcomes.append(outcome)
        return outcomes

    async def lookup(self, name: str, *, deadline_s: float) -> Genre:
        """
        Return the genre that *name* reaches; never creates.

        Raises:
            InvalidName: *name* can be no genre's name.
            GenreNotFound: nothing is named so.
        """
        spelling = Spelling.of(name)
        found, _ = await self._catalogue.find([spelling], deadline_s=deadline_s)
        if spelling.fold not in found:
            raise GenreNotFound.named(spelling.text)
        return found[spelling.fold].known.genre

    async def genre(self, genre_id: int) -> Genre:
        """
        Return the genre that has this id.

        Raises:
            GenreNotFound: none has.
        """
        [outcome] = await self.genres([genre_id])
        if isinstance(outcome, GenreNotFound):
            raise outcome
        return outcome

    async def genres(self, ids: Sequence[int]) -> list[Genre | GenreNotFound]:
        """
        Return the genre that has each of *ids*, or that none has.

        Raises:
            BatchTooLarge: more than 1000 ids.
        """
        check_batch(ids, field="ids")
        with self._catalogue.watching_storage():
            found = await self._store.genres(set(ids))
        return [found.get(genre_id) or GenreNotFound.with_id(genre_id) for genre_id in ids]

    async def listing(self, page_size: int, page_token: str) -> Listing:
        """
        Return a page of all genres.

        Args:
            page_size: Most genres to return; 0 means 100, more than 1000 means 1000.
            page_token: Where the last page ended; "" for the first.

        Raises:
            PageSizeNegative: *page_size* is below 0.
            PageTokenInvalid: *page_token* is not one of this registry's.
        """
        if page_size < 0:
            raise PageSizeNegative
        size_max = min(page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        token = PageToken.of(page_token) if page_token else None
        with self._catalogue.watching_storage():
            page = await self._store.page(token.after_id if token else 0, size_max)
        revision, incarnation = page.state.revision, page.state.incarnation
        if token is not None:
            if token.incarnation != incarnation or token.revision > revision:
                raise PageTokenInvalid
            revision = token.revision
        next_token = str(PageToken(page.genres[-1].id, revision, incarnation)) if page.more else ""
        return Listing(page.genres, next_token, revision, incarnation)

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


def _spelling_or_refusal(name: str) -> Spelling | InvalidName:
    try:
        return Spelling.of(name)
    except InvalidName as refusal:
        return refusal

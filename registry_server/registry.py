"""
The registry: what is decided, between the wire and the store.

A hit is answered from the hot cache, without awaiting anything. A miss is folded
and looked up by key, then asked of a reader unless the cache holds every key, then
claimed from the writer; both serve everything that waits in one round.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager

from registry_server.hot_cache import Known, Recent
from registry_server.outcomes import Listing, Resolution, ResolvedPart, ResolvedTags
from registry_server.page_token import PageToken
from registry_server.rounds import Rounds
from registry_server.storage import Store
from registry_server.vocabulary.genre import Claim, Genre
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.refusals import (
    BATCH_SIZE_MAX,
    NAME_LENGTH_MAX,
    REQUEST_ID_LENGTH_MAX,
    BatchTooLarge,
    GenreNotFound,
    InvalidName,
    PageSizeNegative,
    PageTokenInvalid,
    RequestIdTooLong,
    StorageFailed,
)
from registry_server.vocabulary.tags import split

HOT_SPELLINGS_MAX = 16_384
"""
Spellings, and as many keys, in each of two generations of the hot cache: some 10 MiB with
the names that people give, ten times that if each were as long as a name may be.
"""
TAG_SETS_A_TURN = 16
"""Tag sets that are split before other callers have their turn: 10 ms of the longest."""
PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1000
WAITING_CALLS_MAX = 1024
"""Calls that may wait for a reader, and for the writer, before others are refused."""


class Registry:
    """Owns the vocabulary: at most one genre to a key, however many ask at once."""

    def __init__(self, store: Store, *, on_storage_failure: Callable[[], None]) -> None:
        self._store = store
        self._on_storage_failure = on_storage_failure
        self._by_spelling = Recent(HOT_SPELLINGS_MAX)
        self._by_key = Recent(HOT_SPELLINGS_MAX)
        self._warmed = False
        self._reading = Rounds[str, Known | None](self._read, waiting_max=WAITING_CALLS_MAX)
        self.created = 0
        """Genres created since the start."""
        self.raced = 0
        """Claims that another call, at the same moment, was first to make."""
        self._granting = Rounds[Claim, tuple[Known, bool]](
            self._grant, waiting_max=WAITING_CALLS_MAX
        )

    async def warm_up(self) -> None:
        """
        Take every key into the cache if all fit, as those of most libraries do.

        Then a key that is not there is new: no reader needs to be asked.
        """
        with self._watching_storage():
            found = await self._store.all_keys(HOT_SPELLINGS_MAX)
        for key, genre in (found or {}).items():
            self._know(key, genre)
        self._warmed = found is not None

    async def close(self) -> None:
        """Serve what waits and take no more."""
        await self._granting.close()
        await self._reading.close()

    def hit(self, name: str, request_id: str) -> Known | None:
        """
        Return the genre that *name*, exactly as written, is known to reach, unless this
        logical request may have created it or cannot be answered: then ask in full.
        """
        known = self._by_spelling.get(name)
        if known is None or len(request_id) > REQUEST_ID_LENGTH_MAX:
            return None
        return None if _created_by(request_id, known) else known

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
        _check_batch(names, field="names")
        _check_request_id(request_id)
        found = [self._by_spelling.get(name) or _spelling_or_refusal(name) for name in names]
        reached = await self._reach(
            (spelling for spelling in found if isinstance(spelling, Spelling)),
            request_id,
            deadline_s,
        )
        telling = _Telling()
        outcomes: list[Resolution | InvalidName] = []
        for name, outcome in zip(names, found, strict=True):
            if isinstance(outcome, Spelling):
                granted = reached[outcome.fold]
                self._remember(name, granted.known)
                outcomes.append(telling.once(granted))
            elif isinstance(outcome, Known):
                outcomes.append(telling.once(Resolution(outcome, _created_by(request_id, outcome))))
            else:
                outcomes.append(outcome)
        return outcomes

    async def resolve_tags(
        self, tag_sets: Sequence[Sequence[str]], request_id: str, *, deadline_s: float
    ) -> list[ResolvedTags]:
        """
        Return the genres that the raw values of each tag set name, created where
        nothing reached them, all in one transaction.

        Raises:
            BatchTooLarge: more than 1000 tag sets.
            RequestIdTooLong: more than 64 characters.
        """
        _check_batch(tag_sets, field="tag_sets")
        _check_request_id(request_id)
        splits = []
        for at, values in enumerate(tag_sets, 1):
            splits.append(split(values))
            if at % TAG_SETS_A_TURN == 0:
                await asyncio.sleep(0)
        reached = await self._reach(
            (part.spelling for each in splits for part in each.parts), request_id, deadline_s
        )
        telling = _Telling()
        return [
            ResolvedTags(
                tuple(
                    ResolvedPart(
                        telling.once(reached[part.spelling.fold]), part.spelling, part.rule
                    )
                    for part in each.parts
                ),
                each.dropped,
            )
            for each in splits
        ]

    async def lookup(self, name: str, *, deadline_s: float) -> Genre:
        """
        Return the genre that *name* reaches; never creates.

        Raises:
            InvalidName: *name* can be no genre's name.
            GenreNotFound: nothing is named so.
        """
        spelling = Spelling.of(name)
        known = self._by_key.get(spelling.fold)
        if known is None and not self._knows_all:
            [known] = await self._reading.ask([spelling.fold], deadline_s=deadline_s)
        if known is None:
            raise GenreNotFound.named(spelling.text)
        return known.genre

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
        _check_batch(ids, field="ids")
        with self._watching_storage():
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
        with self._watching_storage():
            page = await self._store.page(token.after_id if token else 0, size_max)
        revision, incarnation = page.state.revision, page.state.incarnation
        if token is not None:
            if token.incarnation != incarnation or token.revision > revision:
                raise PageTokenInvalid
            revision = token.revision
        next_token = str(PageToken(page.genres[-1].id, revision, incarnation)) if page.more else ""
        return Listing(page.genres, next_token, revision, incarnation)

    async def _reach(
        self, spellings: Iterable[Spelling], request_id: str, deadline_s: float
    ) -> dict[str, Resolution]:
        """Return what each of *spellings* reaches, by fold key; the first of a key is claimed."""
        reached: dict[str, Resolution] = {}
        missing: dict[str, Spelling] = {}
        for spelling in spellings:
            key = spelling.fold
            if (known := self._by_key.get(key)) is not None:
                reached[key] = Resolution(known, _created_by(request_id, known))
            else:
                missing.setdefault(key, spelling)
        if missing and not self._knows_all:
            read = await self._reading.ask(list(missing), deadline_s=deadline_s)
            for key, found in zip(list(missing), read, strict=True):
                if found is not None:
                    reached[key] = Resolution(found, _created_by(request_id, found))
                    del missing[key]
        if not missing:
            return reached
        claims = [Claim(spelling, request_id) for spelling in missing.values()]
        granted = await self._granting.ask(claims, deadline_s=deadline_s)
        for key, (known, made) in zip(missing, granted, strict=True):
            reached[key] = Resolution(known, made or _created_by(request_id, known))
        return reached

    @property
    def _knows_all(self) -> bool:
        """Whether a key that is not in the cache is nowhere."""
        return self._warmed and self._by_key.complete

    async def _read(self, keys: list[str]) -> list[Known | None]:
        with self._watching_storage():
            found = await self._store.find(set(keys))
        known = {key: self._know(key, genre) for key, genre in found.items()}
        return [known.get(key) for key in keys]

    async def _grant(self, claims: list[Claim]) -> list[tuple[Known, bool]]:
        with self._watching_storage():
            granted = await self._store.grant(claims)
        made = sum(each.made for each in granted)
        self.created += made
        self.raced += len(granted) - made
        return [
            (self._know(claim.spelling.fold, each.genre), each.made)
            for claim, each in zip(claims, granted, strict=True)
        ]

    def _know(self, key: str, genre: Genre) -> Known:
        """Return the one cached value for a key, made of *genre* if there is none."""
        known = self._by_key.get(key)
        if known is None:
            known = Known(genre)
            self._by_key.put(key, known)
        return known

    def _remember(self, name: str, known: Known) -> None:
        # A name's length is checked trimmed; what is remembered must be bounded too.
        if len(name) <= NAME_LENGTH_MAX:
            self._by_spelling.put(name, known)

    @contextmanager
    def _watching_storage(self) -> Iterator[None]:
        try:
            yield
        except StorageFailed:
            self._on_storage_failure()
            raise


class _Telling:
    """Within one call, only the first mention of a created genre is told so."""

    def __init__(self) -> None:
        self._told: set[int] = set()

    def once(self, resolution: Resolution) -> Resolution:
        if not resolution.created:
            return resolution
        genre_id = resolution.known.genre.id
        if genre_id in self._told:
            return Resolution(resolution.known, created=False)
        self._told.add(genre_id)
        return resolution


def _created_by(request_id: str, known: Known) -> bool:
    return request_id != "" and known.genre.request_id == request_id


def _spelling_or_refusal(name: str) -> Spelling | InvalidName:
    try:
        return Spelling.of(name)
    except InvalidName as refusal:
        return refusal


def _check_batch(items: Sized, *, field: str) -> None:
    if len(items) > BATCH_SIZE_MAX:
        raise BatchTooLarge(len(items), field=field)


def _check_request_id(request_id: str) -> None:
    if len(request_id) > REQUEST_ID_LENGTH_MAX:
        raise RequestIdTooLong(len(request_id))

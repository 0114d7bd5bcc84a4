"""
The catalogue: which genre a spelling reaches, in memory first, then by asking the store.

What is not in the cache is asked of a reader, unless the cache holds every key, and then
claimed from the writer; both serve everything that waits in one round.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from registry_server.change_feed import ChangeFeed
from registry_server.hot_cache import HOT_SPELLINGS_MAX, HotCache, Known
from registry_server.observing.change_log import note_created, note_edits
from registry_server.observing.figures import LookUps
from registry_server.outcomes import Resolution
from registry_server.rounds import Rounds, Watching
from registry_server.storage import Store
from registry_server.tally import Tally
from registry_server.vocabulary.edits import Edit, Edited, Imported
from registry_server.vocabulary.genre import Claim, Genre, RegistryState, Sighting
from registry_server.vocabulary.identity import Spelling
from registry_server.vocabulary.knowledge import Knowledge
from registry_server.vocabulary.refusals import RegistryError, StorageFailed

if TYPE_CHECKING:  # loaded by whoever makes one
    from registry_server.vocabulary.records import Filling

WAITING_CALLS_MAX = 1024
"""Calls that may wait for a reader, and for the writer, before others are refused."""
WAITING_IMPORTS_MAX = 4

Whole = Callable[[], Awaitable[Any]]
"""What is done as a whole, while nobody else writes."""


class Catalogue:
    """
    Reaches genres by their spellings, and creates them: at most one to a key, however many
    ask at once.
    """

    def __init__(
        self,
        store: Store,
        knowledge: Knowledge,
        *,
        feed: ChangeFeed,
        on_storage_failure: Callable[[], None],
        watching: Watching | None = None,
    ) -> None:
        self.knowledge = knowledge
        """What curators decided and the packs in force know; another one after each edit."""
        self.created = 0
        """Genres created since the start."""
        self.raced = 0
        """Claims that another call, at the same moment, was first to make."""
        self.look_ups = LookUps()
        self._store = store
        self._on_storage_failure = on_storage_failure
        self._feed = feed
        self._hot = HotCache()
        self._tally = Tally()
        writing = asyncio.Lock()
        self._reading = Rounds[str, Known | None](self._read, waiting_max=WAITING_CALLS_MAX)
        self._alone = Rounds[Whole, Any](
            self._serve_alone, waiting_max=WAITING_IMPORTS_MAX, turn=writing
        )
        self._granting = Rounds[
            Claim | Sighting | Edit, tuple[Known, bool] | Edited | RegistryError | None
        ](self._write, waiting_max=WAITING_CALLS_MAX, turn=writing, watching=watching)

    async def warm_up(self) -> None:
        """
        Take every key into the cache if all fit, as those of most libraries do.

        Then a key that is not there is new: no reader needs to be asked.
        """
        with self.watching_storage():
            self._hot.warm_up(await self._store.all_keys(HOT_SPELLINGS_MAX))

    async def close(self) -> None:
        """Serve what waits, note what was counted, and take no more."""
        for rounds in (self._alone, self._granting, self._reading):
            await rounds.close()
        if counted := self._tally.counted():
            with suppress(RegistryError):
                await self._store.grant((), counted)

    def waiting(self) -> dict[str, int]:
        """Return how many calls wait, by what they wait for."""
        return {
            "write": self._granting.waiting,
            "read": self._reading.waiting,
            "import": self._alone.waiting,
        }

    def count(self, sighting: Sighting) -> None:
        """
        Count a compound seen again, which is written with whatever is written next, or at
        the end: a second scan of a library leaves the disk alone.
        """
        self._tally.count(sighting)

    def by_spelling(self, name: str) -> Known | None:
        """Return the genre that *name*, exactly as written, is remembered to reach."""
        return self._hot.by_spelling(name)

    def remember(self, name: str, known: Known, knowledge: Knowledge) -> None:
        """
        Have *name*, exactly as written, reach *known* without being folded again, as it does
        by *knowledge*, if that is still in force.
        """
        if knowledge is self.knowledge:
            self._hot.remember(name, known)

    def keeps(self, known: Known) -> bool:
        """Whether *known* is a genre in use that is kept true, and may be remembered."""
        return self._hot.keeps(known)

    async def find(
        self,
        spellings: Iterable[Spelling],
        request_id: str = "",
        *,
        deadline_s: float,
        who: str = "",
    ) -> tuple[dict[str, Resolution], dict[str, Claim]]:
        """
        Return what *spellings* reach, and claims for those that reach nothing, both by fold
        key.
        """
        found: dict[str, Resolution] = {}
        unsure: dict[str, Claim] = {}
        for spelling in spellings:
            key = spelling.fold
            known = self._hot.by_key(key)
            if known is not None:
                found[key] = Resolution(known, created_by(request_id, known), key)
            elif key not in unsure:
                unsure[key] = self.claim(spelling, request_id, who)
        self.look_ups.key_hits += len(found)
        if not unsure:
            return found, {}
        self.look_ups.key_misses += len(unsure)
        keys = list(dict.fromkeys(key for claim in unsure.values() for key in claim.keys))
        if self._hot.knows_all:
            known_by_key = {key: self._hot.by_key(key) for key in keys}
        else:
            read = await self._reading.ask(keys, deadline_s=deadline_s)
            known_by_key = dict(zip(keys, read, strict=True))
        missing: dict[str, Claim] = {}
        for own_key, claim in unsure.items():
            # By its own key first: what the packs say of it is but the second word.
            for key in claim.keys:
                if (known := known_by_key[key]) is not None:
                    found[own_key] = Resolution(known, created_by(request_id, known), key)
                    break
            else:
                missing[own_key] = claim
        self.look_ups.read += len(unsure) - len(missing)
        return found, missing

    async def reach(
        self,
        spellings: Iterable[Spelling],
        request_id: str,
        *,
        deadline_s: float,
        who: str = "",
        sightings: Sequence[Sighting] = (),
    ) -> dict[str, Resolution]:
        """
        Return what *spellings* reach, by fold key, created where nothing did, and note
        *sightings*, all in one transaction.
        """
        reached, missing = await self.find(spellings, request_id, deadline_s=deadline_s, who=who)
        if missing or sightings:
            claims = missing.values()
            answers = await self._granting.ask([*claims, *sightings], deadline_s=deadline_s)
            for key, answer in zip(missing, answers, strict=False):
                assert isinstance(answer, tuple)
                known, made = answer
                reached[key] = Resolution(known, made or created_by(request_id, known))
        return reached

    async def edit(self, edit: Edit, *, deadline_s: float) -> Edited:
        """
        Make *edit*, in its turn.

        Raises:
            RegistryError: it was refused; nothing was changed.
        """
        [outcome] = await self._granting.ask([edit], deadline_s=deadline_s)
        if isinstance(outcome, RegistryError):
            raise outcome
        assert isinstance(outcome, Edited)
        return outcome

    async def adopt(
        self, knowledge: Knowledge, imported: tuple[str, str], *, deadline_s: float
    ) -> tuple[list[Genre], RegistryState]:
        """
        Have *knowledge*, with the pack *imported*, take the place of what was known; return
        the genres that changed, and where the registry stands then.
        """
        adopted: tuple[list[Genre], RegistryState] = await self._do_alone(
            partial(self._adopt, knowledge, imported), deadline_s
        )
        return adopted

    async def fill(
        self,
        wanted: "Filling",
        knowledge_with: Callable[[Mapping[str, str]], Knowledge],
        *,
        deadline_s: float,
    ) -> Imported:
        """
        Have an empty registry hold what *wanted* says; *knowledge_with* gives what is known
        with the packs that came along.

        Raises:
            RegistryNotEmpty, RecordInvalid: nothing was written.
        """
        filled: Imported = await self._do_alone(
            partial(self._fill, wanted, knowledge_with), deadline_s
        )
        return filled

    async def rehearse(
        self, edits: Callable[[dict[int, int]], Iterator[Edit]], *, deadline_s: float
    ) -> Imported:
        """Return what *edits*, which import, would come to all in all; change nothing."""
        rehearsed: Imported = await self._do_alone(
            lambda: self._store.rehearse(edits, self.knowledge), deadline_s
        )
        return rehearsed

    async def _do_alone(self, whole: Whole, deadline_s: float) -> Any:
        """Do what nobody else may write beside; a caller that goes away does not end it."""
        [outcome] = await self._alone.ask([whole], deadline_s=deadline_s)
        if isinstance(outcome, RegistryError):
            raise outcome
        return outcome

    async def _serve_alone(self, items: list[Whole]) -> list[Any]:
        """Do one after the other; each has an outcome of its own."""
        outcomes: list[Any] = []
        for whole in items:
            try:
                with self.watching_storage():
                    outcomes.append(await whole())
            except RegistryError as refusal:
                outcomes.append(refusal)
        return outcomes

    @contextmanager
    def watching_storage(self) -> Iterator[None]:
        """Tell of a failure of the storage within the block."""
        try:
            yield
        except StorageFailed:
            self._on_storage_failure()
            raise

    def claim(self, spelling: Spelling, request_id: str = "", who: str = "") -> Claim:
        """Return the claim to what *spelling* reaches, with what the packs in force know."""
        return Claim.by(self.knowledge, spelling, request_id, who)

    def _up_to_date(self, claim: Claim) -> Claim:
        if claim.knowledge is self.knowledge:
            return claim
        spelling = self.knowledge.pinned(claim.spelling)
        return self.claim(spelling, claim.request_id, claim.who)

    async def _read(self, keys: list[str]) -> list[Known | None]:
        changes = self._hot.changes
        with self.watching_storage():
            found = await self._store.find(set(keys))
        if changes != self._hot.changes:
            # A genre may have changed since it was read: good for an answer, not to be kept.
            known = {key: Known(genre) for key, genre in found.items()}
        else:
            known = {key: self._hot.know([key], genre) for key, genre in found.items()}
        return [known.get(key) for key in keys]

    async def _write(
        self, items: list[Claim | Sighting | Edit]
    ) -> list[tuple[Known, bool] | Edited | RegistryError | None]:
        """Make the edits of a round, then grant its claims by what is known after them."""
        edits = [item for item in items if isinstance(item, Edit)]
        edited = iter(await self._edit(edits) if edits else ())
        if len(edits) < len(items):
            granted = iter(await self._grant(items))
        return [
            next(edited)
            if isinstance(item, Edit)
            else next(granted)
            if isinstance(item, Claim)
            else None
            for item in items
        ]

    async def _grant(self, items: list[Claim | Sighting | Edit]) -> list[tuple[Known, bool]]:
        # With what is known by now: it may be more than when the caller asked.
        claims = [self._up_to_date(item) for item in items if isinstance(item, Claim)]
        sightings = [item for item in items if isinstance(item, Sighting)]
        counted = self._tally.counted()
        with self.watching_storage():
            grants = await self._store.grant(claims, [*sightings, *counted])
        for sighting in counted:
            self._tally.written(sighting)
        self._hot.renew(grants.changed)
        answers = [(self._hot.know(each.keys, each.genre), each.made) for each in grants.granted]
        made = sum(made for _, made in answers)
        self.created += made
        self.raced += len(answers) - made
        if made:
            note_created(claims, grants.granted)
            self._feed.advance()
        return answers

    async def _edit(self, edits: list[Edit]) -> list[Edited | RegistryError]:
        with self.watching_storage():
            outcomes, effects = await self._store.edit(edits, self.knowledge)
        if not effects.changed and not effects.reached:
            return outcomes
        note_edits(edits, outcomes)
        self.knowledge.curated.take(effects.decided)
        pinned = self.knowledge.curated.pinned
        for strict, is_pinned in effects.pinned.items():
            (pinned.add if is_pinned else pinned.discard)(strict)
        self.knowledge = self.knowledge.renewed()
        self._hot.follow(effects)
        self._feed.advance()
        return outcomes

    async def _adopt(
        self, knowledge: Knowledge, imported: tuple[str, str]
    ) -> tuple[list[Genre], RegistryState]:
        # Keys are about to come that the cache does not know yet.
        was_warm = self._hot.cool_down()
        try:
            changed, state = await self._store.link(
                knowledge.renewed(self.knowledge.curated), imported
            )
        except RegistryError:
            self._hot.keep_warm(was_warm)
            raise
        self.knowledge = knowledge.renewed(self.knowledge.curated)
        # What was remembered may have been reached by way of the old knowledge.
        self._hot.forget_spellings()
        self._hot.renew(changed)
        await self.warm_up()
        self._feed.advance()
        return changed, state

    async def _fill(
        self, wanted: "Filling", knowledge_with: Callable[[Mapping[str, str]], Knowledge]
    ) -> Imported:
        imported = await self._store.fill(wanted, self.knowledge)
        if wanted.validate_only:
            return imported
        knowledge = knowledge_with(await self._store.packs())
        self.knowledge = knowledge.renewed(await self._store.curated())
        self._hot.clear()
        await self.warm_up()
        self._feed.start_anew()
        return imported


def created_by(request_id: str, known: Known) -> bool:
    """Whether this very logical request created the genre."""
    return request_id != "" and known.genre.request_id == request_id

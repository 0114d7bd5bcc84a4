"""The client for plain worker processes."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import cast

from worker_client import _calls
from worker_client._calls import BATCH_SIZE_MAX
from worker_client._connection import Connection
from worker_client._curation import Curation
from worker_client._curation_values import GenreChange
from worker_client._errors import RegistryError, raised
from worker_client._operations import Operations
from worker_client._values import (
    ExplainedStep,
    Genre,
    GenrePage,
    Resolution,
    ResolvedTags,
    TagContainer,
    TagSet,
)
from worker_client._watching import Watch


class GenreRegistryClient(Curation, Operations, Connection):
    """
    Calls one registry; safe to share between threads.

    Connects on the first call, and anew in a forked child. Every call has a deadline,
    within which it waits for a restarting server and retries what may be retried. A watch
    has none.

    A change that was made, and whose answer was lost with the connection, is tried again;
    the second try may then be told of the first: a RevisionMismatch, a spelling that is
    gone, a genre that is merged no more.

    Args:
        target: `HOST:PORT` or `unix:PATH`.
        token: Itself, or the path of the file that holds it, which is read again when it
            changes. None where the registry asks for none. It is never logged or shown; a
            client that is pickled takes it along, or the path.
        tls: The files for TLS, read again when they change; None for none, as on one machine.
        deadlines: How long calls may take, unless one says otherwise.
        cache_size: Spellings, and as many tag sets, that are remembered; 0 for none. What is
            remembered is kept true by a watch: a curator's change is seen within a second
            of its commit, this client's own at once.
        cache_age_s: How long what is remembered serves while the watch is down; then it is
            asked again.

    Every method raises:
        RegistryUnavailable: the registry was not reached within the deadline.
        DeadlineExceeded: it was reached and too slow.
        TokenInvalid: it wants a token, or another one.
        RoleTooLow: what the token is for does not go that far.
        CredentialsUnusable: the file of a token or certificate is not what it should be.
        RegistryDefect: it made a mistake.
    """

    def get_or_create(
        self, name: str, *, request_id: str | None = None, deadline_s: float | None = None
    ) -> Resolution:
        """
        Return the genre of *name*, created if no spelling of it was known.

        Args:
            request_id: Names this logical write, at most 64 characters; made up if None.
                Give your own to be told `created` again by a later call that repeats it.
            deadline_s: Instead of the profile's.

        Raises:
            InvalidName: *name* can be no genre's name.
            SpellingBlocked: a curator said that it names none, or deleted its genre.
            StorageFull: it would be new, and the registry's disk is full.
        """
        if request_id is None:
            known = self._cache.names.true.get(name)
            if known is not None:
                return known
            if self._cache_size:
                return self._ask_one(
                    self._names, name, self._send_name, self._deadlines.write_s, deadline_s
                )
        return self._call(_calls.get_or_create(name, request_id), deadline_s)

    def batch_get_or_create(
        self,
        names: Iterable[str],
        *,
        request_id: str | None = None,
        deadline_s: float | None = None,
    ) -> list[Resolution | RegistryError]:
        """
        Return what `get_or_create` would, or raise, for each of at most 1000 *names*.

        Raises:
            InvalidRequest: more than 1000 names.
            StorageFull: as for `get_or_create`; nothing was created.
        """
        names = list(names)
        if request_id is None and self._shares(names):
            known = list(map(self._cache.names.true.get, names))
            if all(known):
                return cast("list[Resolution | RegistryError]", known)
            return self._ask(
                self._names, names, self._send_names, self._deadlines.batch_s, deadline_s
            )
        return self._call(_calls.batch_get_or_create(names, request_id), deadline_s)

    def resolve_tags(
        self,
        tag_sets: Iterable[TagSet],
        *,
        request_id: str | None = None,
        validate_only: bool = False,
        deadline_s: float | None = None,
    ) -> list[ResolvedTags]:
        """
        Return what each of at most 1000 *tag_sets* names, created where it is new.

        Args:
            validate_only: Answer as if, and write nothing: a genre that would be created
                has the id 0, and `key` tells such genres apart.

        Raises:
            InvalidRequest: more than 1000 tag sets.
            InvalidName: a value holds half of a character; nothing was sent.
            StorageFull: as for `get_or_create`; nothing was created.
        """
        tag_sets = list(tag_sets)
        if request_id is None and not validate_only and self._shares(tag_sets):
            known = list(map(self._cache.tags.true.get, tag_sets))
            if all(known):
                return cast("list[ResolvedTags]", known)
            answers = self._ask(
                self._tags, tag_sets, self._send_tags, self._deadlines.batch_s, deadline_s
            )
            return [raised(answer) for answer in answers]
        call = _calls.resolve_tags(tag_sets, request_id, validate_only=validate_only)
        return self._call(call, deadline_s)

    def explain_spelling(
        self,
        value: str,
        container: TagContainer = TagContainer.UNSPECIFIED,
        *,
        deadline_s: float | None = None,
    ) -> list[ExplainedStep]:
        """
        Return every step from one raw tag value to its genres; never creates.

        Refuses no value: one that names nothing has steps that say why.

        Raises:
            InvalidName: *value* holds half of a character, and can't be sent.
        """
        return self._call(_calls.explain_spelling(value, container), deadline_s)

    def get_genre(self, genre_id: int, *, deadline_s: float | None = None) -> Genre:
        """
        Return the genre that has this id: the surviving one if it was merged, which
        `redirected_from_id` tells; after a delete, one whose `state` says so.

        Raises:
            GenreNotFound: none has.
        """
        return self._call(_calls.get_genre(genre_id), deadline_s)

    def batch_get_genres(
        self, ids: Iterable[int], *, deadline_s: float | None = None
    ) -> list[Genre | RegistryError]:
        """
        Return what `get_genre` would, or raise, for each of at most 1000 *ids*.

        Raises:
            InvalidRequest: more than 1000 ids.
        """
        return self._call(_calls.batch_get_genres(ids), deadline_s)

    def lookup_genre(self, name: str, *, deadline_s: float | None = None) -> Genre:
        """
        Return the genre that *name* reaches; never creates.

        Raises:
            GenreNotFound: none is named so.
            SpellingBlocked: a curator said that none is to be, or deleted its genre.
            InvalidName: *name* can be no genre's name.
        """
        known = self._cache.names.true.get(name)
        if known is not None:
            return known.genre
        if self._cache_size:
            return self._ask_one(
                self._lookups, name, self._send_lookup, self._deadlines.read_s, deadline_s
            ).genre
        return self._call(_calls.lookup_genre(name), deadline_s)

    def list_page(
        self,
        page_token: str = "",
        *,
        page_size: int = 1000,
        parent_id: int = 0,
        show_deleted: bool = False,
        deadline_s: float | None = None,
    ) -> GenrePage:
        """
        Return at most *page_size* genres, by ascending id; 1000 at most.

        Args:
            parent_id: Only genres that are a kind of this one, directly; 0 for all.
            show_deleted: Deleted genres too.

        Raises:
            InvalidRequest: *page_token* is none of this registry's, or of another listing.
            GenreNotFound: no genre has the id *parent_id*.
        """
        call = _calls.list_genres(
            page_size, page_token, parent_id=parent_id, show_deleted=show_deleted
        )
        return self._call(call, deadline_s)

    def list_genres(self, *, parent_id: int = 0, show_deleted: bool = False) -> Iterator[Genre]:
        """Give every genre that `list_page` would, by ascending id, a page at a time."""
        token = ""
        while True:
            page = self.list_page(token, parent_id=parent_id, show_deleted=show_deleted)
            yield from page.genres
            token = page.next_page_token
            if not token:
                return

    def search_genres(
        self, query: str, limit: int = 20, *, deadline_s: float | None = None
    ) -> list[Genre]:
        """
        Return at most *limit* genres whose name or alias is like *query*, the best first.

        Those that begin with it come first, then those that hold it, then those that are
        nearly it. Case and accents do not count; deleted genres are not found.

        Args:
            query: At most 200 characters.
            limit: 1 to 100; 0 means 20.

        Raises:
            InvalidName: *query* is empty or too long.
            InvalidRequest: *limit* is less than 0.
        """
        return self._call(_calls.search_genres(query, limit), deadline_s)

    def watch_genres(
        self, start_revision: int = 0, incarnation: str = "", *, deadline_s: float | None = None
    ) -> Generator[GenreChange, None, None]:
        """
        Give every change after *start_revision*, once and in order, and then those to come.

        Never ends by itself: between changes there is a heartbeat now and then, the first
        once all that had changed was given. When the registry stops, or finds this watcher
        too slow, it goes on from what was given last as soon as it can.

        A listing's `revision` and `incarnation`, with the watch from there, make a copy of
        the vocabulary and keep it true.

        Args:
            start_revision: The last one that is known already; 0 from the beginning.
            incarnation: The one that the revision is of; "" for whichever.
            deadline_s: How long the registry may be away at a time; None for ever. No profile
                says otherwise.

        Raises:
            HistoryTrimmed: the revision is older than the history kept, or of another
                incarnation: list again.
            InvalidRequest: *start_revision* is less than 0.
            RegistryUnavailable: the registry was away for *deadline_s*.
            CallCancelled: the client was closed. To end a watch, close what this returned.
        """
        watch = Watch(start_revision, incarnation, deadline_s=deadline_s, target=self.target)
        return self._watch(watch)

    def _shares(self, items: Sequence[object]) -> bool:
        """Whether *items* may be known; too many are for the registry to refuse."""
        return bool(self._cache_size) and len(items) <= BATCH_SIZE_MAX

    def _send_name(self, names: list[str], deadline_s: float) -> list[Resolution]:
        return [self._call(_calls.get_or_create(name, None), deadline_s) for name in names]

    def _send_names(self, names: list[str], deadline_s: float) -> list[Resolution | RegistryError]:
        return self._call(_calls.batch_get_or_create(names, None), deadline_s)

    def _send_lookup(self, names: list[str], deadline_s: float) -> list[Resolution]:
        return [
            Resolution(self._call(_calls.lookup_genre(name), deadline_s), created=False)
            for name in names
        ]

    def _send_tags(self, tag_sets: list[TagSet], deadline_s: float) -> list[ResolvedTags]:
        return self._call(_calls.resolve_tags(tag_sets, None, validate_only=False), deadline_s)

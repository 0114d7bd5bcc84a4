"""The client for plain worker processes."""

import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import grpc

from worker_client import _calls
from worker_client._config import CHANNEL_OPTIONS, RASPBERRY_PI, TARGET_DEFAULT, Deadlines
from worker_client._errors import RegistryError, error_of_call
from worker_client._values import (
    ExplainedStep,
    Genre,
    GenrePage,
    ImportedPack,
    Resolution,
    ResolvedTags,
    TagContainer,
    TagSet,
)

Answer = TypeVar("Answer")

_STATE_ASKED_S = 0.05
"""How long to wait for the channel to say whether it is connected; it answers at once."""


class GenreRegistryClient:
    """
    Calls one registry; safe to share between threads.

    Connects on the first call, and anew in a forked child. Every call has a deadline,
    within which it waits for a restarting server and retries what may be retried.

    Args:
        target: `HOST:PORT` or `unix:PATH`.
        deadlines: How long calls may take, unless one says otherwise.

    Every method raises:
        RegistryUnavailable: the registry was not reached within the deadline.
        DeadlineExceeded: it was reached and too slow.
        RegistryDefect: it made a mistake.
    """

    def __init__(
        self, target: str = TARGET_DEFAULT, *, deadlines: Deadlines = RASPBERRY_PI
    ) -> None:
        self.target = target
        self._deadlines = deadlines
        self._opening = threading.Lock()
        self._opened: tuple[int, grpc.Channel, _calls.Stubs] | None = None

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
            StorageFull: it would be new, and the registry's disk is full.
        """
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
        Return the genre that has this id.

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
            InvalidName: *name* can be no genre's name.
        """
        return self._call(_calls.lookup_genre(name), deadline_s)

    def list_page(
        self, page_token: str = "", *, page_size: int = 1000, deadline_s: float | None = None
    ) -> GenrePage:
        """
        Return at most *page_size* genres, by ascending id; 1000 at most.

        Raises:
            InvalidRequest: *page_token* is none of this registry's.
        """
        return self._call(_calls.list_genres(page_size, page_token), deadline_s)

    def list_genres(self) -> Iterator[Genre]:
        """Give every genre, by ascending id, a page at a time."""
        page = self.list_page()
        yield from page.genres
        while page.next_page_token:
            page = self.list_page(page.next_page_token)
            yield from page.genres

    def import_pack(
        self, pack: str, documents: Iterable[bytes], *, deadline_s: float | None = None
    ) -> ImportedPack:
        """
        Give the registry a newer version of a reference pack, for good.

        Genres that are there gain what it knows of them; none is renamed or merged. What
        was not answered in time may have been taken in all the same: to repeat it is safe.

        Args:
            pack: Its name ("musicbrainz").
            documents: Every page that MusicBrainz's web service answered to
                genre/all?fmt=json, as it came, in any order; together less than 4 MiB.

        Raises:
            InvalidRequest: there is no such pack (PACK_UNKNOWN), or the documents are not
                the whole of one (PACK_INVALID); nothing was changed.
            StorageFull: the registry's disk is full; nothing was changed.
        """
        return self._call(_calls.import_pack(pack, documents), deadline_s)

    def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            _close_own(opened[0], opened[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, call: _calls.Call[Answer], deadline_s: float | None) -> Answer:
        channel, stubs = self._open()
        timeout_s = call.deadline_s(self._deadlines) if deadline_s is None else deadline_s
        try:
            reply = stubs.method(call)(call.request, timeout=timeout_s)
        except grpc.RpcError as failure:
            raise error_of_call(
                failure, target=self.target, is_connected=partial(_is_connected, channel)
            ) from failure
        return call.meaning(reply)

    def _open(self) -> tuple[grpc.Channel, _calls.Stubs]:
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            with self._opening:
                opened = self._opened
                if opened is None or opened[0] != os.getpid():
                    channel = grpc.insecure_channel(self.target, options=CHANNEL_OPTIONS)
                    opened = self._opened = (os.getpid(), channel, _calls.Stubs(channel))
                    # Before the interpreter ends: gRPC's threads can't end after it.
                    weakref.finalize(self, _close_own, os.getpid(), channel)
        return opened[1], opened[2]


def _close_own(pid: int, channel: grpc.Channel) -> None:
    if pid == os.getpid():
        channel.close()


def _is_connected(channel: grpc.Channel) -> bool:
    """Ask *channel* once whether it is connected; gRPC tells only those who subscribe."""
    told = threading.Event()
    states: list[grpc.ChannelConnectivity] = []

    def hear(state: grpc.ChannelConnectivity) -> None:
        states.append(state)
        told.set()

    channel.subscribe(hear)
    told.wait(_STATE_ASKED_S)
    channel.unsubscribe(hear)
    return states[:1] == [grpc.ChannelConnectivity.READY]

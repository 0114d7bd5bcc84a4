"""How the client for plain worker processes connects, calls, and shares what it learns."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from worker_client import _forking
from worker_client._cache import AGE_S_DEFAULT, SIZE_DEFAULT, Cache
from worker_client._calls import Answer, Call
from worker_client._circuit import Gate
from worker_client._config import TARGET_DEFAULT
from worker_client._credentials import Credentials
from worker_client._curation_values import GenreChange
from worker_client._deadlines import RASPBERRY_PI, Deadlines, ending_s, left_s
from worker_client._errors import (
    CallCancelled,
    CredentialsUnusable,
    RegistryError,
    alone,
    is_unavailable,
    not_landed,
    raised,
)
from worker_client._following import Follower
from worker_client._link import Link
from worker_client._sharing import Asked, Desk, Key, Value
from worker_client._tls import Tls
from worker_client._values import Resolution, ResolvedTags, TagSet
from worker_client._watching import Watch

log = logging.getLogger("worker_client")


class Connection:
    """A link to one registry, opened by the first call, and anew in a forked child."""

    def __init__(
        self,
        target: str = TARGET_DEFAULT,
        *,
        token: str | Path | None = None,
        tls: Tls | None = None,
        deadlines: Deadlines = RASPBERRY_PI,
        cache_size: int = SIZE_DEFAULT,
        cache_age_s: float = AGE_S_DEFAULT,
    ) -> None:
        self.target = target
        self._credentials = Credentials(token, tls)
        self._deadlines = deadlines
        self._cache_size = cache_size
        self._cache_age_s = cache_age_s
        self._start_anew()

    def _start_anew(self) -> None:
        """Begin with nothing open and nothing known, as in a new process."""
        self._opening = threading.Lock()
        self._link: Link | None = None
        self._follower: Follower | None = None
        self._has_asked = False
        self._gate = Gate(self.target)
        self._cache = Cache(self._cache_size, self._cache_age_s)
        self._names = Desk[str, Resolution](self._cache, self._cache.names, Future)
        self._lookups = Desk[str, Resolution](self._cache, self._cache.names, Future)
        self._tags = Desk[TagSet, ResolvedTags](self._cache, self._cache.tags, Future)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """
        Go to another process as what makes a client like this one, with nothing open.

        The token goes with it, or the path of its file; certificates go as paths.
        """
        settings = {
            "token": self._credentials.token,
            "tls": self._credentials.tls,
            "deadlines": self._deadlines,
            "cache_size": self._cache_size,
            "cache_age_s": self._cache_age_s,
        }
        return _made, (type(self), self.target, settings)

    def close(self) -> None:
        """Close the connection, which ends its watches; a later call opens a new one."""
        with self._opening:
            link, self._link = self._link, None
            follower, self._follower = self._follower, None
        if link is not None:
            self._at_end.detach()
            link.close()
        if follower is not None:
            follower.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, call: Call[Answer], deadline_s: float | None) -> Answer:
        ends_s = self._ends_s(call, deadline_s)
        gate = self._gate
        circuit, turn = gate.turn(call.rpc, ends_s)
        while True:
            link = self._open()
            gate.enter(circuit, turn)
            try:
                answer = link.call(call, left_s(ends_s))
            except CallCancelled:
                gate.left(circuit, turn)
                if not link.is_cut_off:
                    raise
            except RegistryError as error:
                may_repeat = is_unavailable(error) and time.monotonic() < ends_s
                if not gate.failed(circuit, error, turn, may_repeat=may_repeat):
                    raise
            except BaseException:
                gate.left(circuit, turn)
                raise
            else:
                gate.answered(circuit)
                return answer
            finally:
                if call.is_curation:
                    # Who changed something sees it at once, whenever the watch hears of it.
                    self._cache.clear()

    def _stream(
        self, call: Call[Answer], deadline_s: float | None
    ) -> Generator[Answer, None, None]:
        """Give what each reply to *call* means; to close this cancels the call."""
        answers = self._open().stream(call, left_s(self._ends_s(call, deadline_s)))
        return self._forgetting(answers) if call.is_curation else answers

    def _forgetting(self, answers: Generator[Answer, None, None]) -> Generator[Answer, None, None]:
        """Give *answers* to a stream of changes, each of which may have made others."""
        with closing(answers):
            try:
                for answer in answers:
                    self._cache.clear()
                    yield answer
            finally:
                self._cache.clear()

    def _watch(self, watch: Watch) -> Generator[GenreChange, None, None]:
        """Give what *watch* hears, connecting anew whenever it must; to close it ends it."""
        while True:
            link = self._open()
            try:
                yield from link.watch(watch)
            except CallCancelled:
                if not link.is_cut_off:
                    raise

    def _ask(
        self,
        desk: Desk[Key, Value],
        keys: Sequence[Key],
        send: Callable[[list[Key], float], Sequence[Value | RegistryError]],
        call_deadline_s: float,
        deadline_s: float | None,
    ) -> list[Value | RegistryError]:
        """
        Return an answer for each of *keys*: known, asked by *send*, or asked by another thread.

        Args:
            send: Takes keys, and how long it may take.
        """
        ends_s = ending_s(call_deadline_s if deadline_s is None else deadline_s)
        self._follow()
        answers = desk.answers(keys)
        try:
            step = next(answers)
            while True:
                if isinstance(step, Asked):
                    try:
                        reply: Any = send(step.keys, left_s(ends_s))
                    except BaseException as failure:
                        step = answers.throw(failure)
                        continue
                else:
                    reply = self._landed(step.flight, ends_s)
                step = answers.send(reply)
        except StopIteration as done:
            told: list[Value | RegistryError] = done.value
            return told

    def _ask_one(
        self,
        desk: Desk[Key, Value],
        key: Key,
        send: Callable[[list[Key], float], Sequence[Value | RegistryError]],
        call_deadline_s: float,
        deadline_s: float | None,
    ) -> Value:
        """As `_ask`, for one *key*."""
        [answer] = self._ask(desk, [key], send, call_deadline_s, deadline_s)
        return raised(alone(answer))

    def _landed(self, flight: "Future[Any]", ends_s: float) -> Any:
        """Wait for what another thread asks."""
        try:
            return flight.result(left_s(ends_s))
        except TimeoutError:
            raise not_landed(self.target, is_connected=self._open().is_connected()) from None

    def _follow(self) -> None:
        """Have the cache kept true, from the second time on that something is asked."""
        if self._follower is None or self._link is None:
            if not self._has_asked:
                self._has_asked = True
                return
            link = self._open()
            with self._opening:
                if self._link is link and self._follower is None:
                    self._follower = Follower(link, self._cache)

    def _ends_s(self, call: Call[Any], deadline_s: float | None) -> float:
        call_deadline_s = call.deadline_s(self._deadlines) if deadline_s is None else deadline_s
        return ending_s(float("inf") if call_deadline_s is None else call_deadline_s)

    def _open(self) -> Link:
        link = self._link
        if link is not None and link.is_outdated():
            link = self._replace(link)
        while link is None:
            # Who comes while another thread forks waits here until that is over.
            with _forking.calling(), self._opening:
                if self._link is None and not _forking.is_under_way():
                    self._use(Link(self.target, self._credentials))
                    _forking.add(self)
                link = self._link
        return link

    def _use(self, link: Link) -> None:
        self._link = link
        # Before the interpreter ends: gRPC's threads can't end after it.
        self._at_end = weakref.finalize(self, link.close)

    def _replace(self, outdated: Link) -> Link | None:
        """Return a link that shows the certificates as they are now; None to open one."""
        with _forking.calling(), self._opening:
            if self._link is not outdated or _forking.is_under_way():
                return self._link
            try:
                link = Link(self.target, self._credentials)
            except CredentialsUnusable as error:
                outdated.keep()
                log.warning("%s The connection stays as it is.", error)
                return outdated
            self._at_end.detach()
            self._use(link)
            follower, self._follower = self._follower, None
        # Who is cut off here goes on with the new one.
        outdated.close_for_another()
        if follower is not None:
            follower.join()
        return link

    def _close_before_fork(self) -> None:
        """As of `_forking.Open`: what is under way on the link is made again on another."""
        with self._opening:
            link, self._link = self._link, None
            self._follower = None
        if link is not None:
            self._at_end.detach()
            link.close_before_fork()

    def _after_fork_in_child(self) -> None:
        """As of `_forking.Open`."""
        self._start_anew()


def _made(kind: Callable[..., Any], target: str, settings: dict[str, Any]) -> Any:
    return kind(target, **settings)

"""What is noted of every call, in plain integers; whoever wants to see them reads them later."""

import asyncio
import re
import secrets
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any

from registry_server.observing.call_log import CallLog, EndedCall, is_remarkable
from registry_server.observing.histogram import CALL_BOUNDS_S, Histogram

if TYPE_CHECKING:  # loaded where traces are wanted
    from registry_server.observing.tracing import Traces

REQUEST_ID_KEY = "x-request-id"
"""The metadata by which a caller names its call, so that it finds it in the log."""
REQUEST_ID_LENGTH_MAX = 64
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._:/+=-]+")

CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
"""gRPC's codes, each at its number."""

refused_for: ContextVar[str] = ContextVar("refused_for", default="")
"""Why the call of this task was refused; set by whoever refuses it."""

Context = Any
Handler = Callable[[Any, Context], Awaitable[Any]]


class MethodFigures:
    """
    What became of the calls of one method: `ended` has those that were not answered, by code.

    `durations` has every call; those of streams last as long as their callers like, and are
    only counted.
    """

    __slots__ = ("durations", "ended", "is_timed")

    def __init__(self, *, is_timed: bool) -> None:
        self.is_timed = is_timed
        self.durations = Histogram(CALL_BOUNDS_S)
        self.ended: dict[str, int] = {}

    def by_code(self) -> dict[str, int]:
        """Return how many calls ended with each code."""
        ended = dict(self.ended)
        return {"OK": max(0, sum(self.durations.counts) - sum(ended.values())), **ended}


class Observer:
    """
    Stands around the handler of every method.

    Args:
        is_counting: Whether somebody reads the figures; without, nothing is counted.
        every_call: Whether each call gets a line in the log.
    """

    def __init__(
        self,
        *,
        is_counting: bool = False,
        every_call: bool = False,
        traces: "Traces | None" = None,
    ) -> None:
        self.methods: dict[str, MethodFigures] = {}
        self.refusals: dict[str, int] = {"OVERLOADED": 0}
        """Refused calls by the reason that they were given."""
        self.traces = traces
        self._is_counting = is_counting
        self._every_call = every_call
        self._log = CallLog(every_call=every_call)

    def around(
        self,
        method: str,
        handler: Handler,
        caller_of: Callable[[Context], str],
        *,
        is_stream: bool = False,
    ) -> Handler:
        """Return *handler* of the full name *method* ("package.Service/Method"), observed."""
        name = method.rpartition("/")[2]
        figures = self.methods.setdefault(name, MethodFigures(is_timed=not is_stream))
        if self.traces is not None:
            handler = self.traces.around(method, handler)
        note_end = self._noting_end(name, figures, caller_of)
        if self._every_call:
            return _logged(handler, note_end)
        if self._is_counting:
            return _counted(handler, figures.durations, note_end)
        return _watched(handler, note_end)

    def close(self) -> None:
        """Say what the log left out."""
        self._log.close()

    def _noting_end(
        self, name: str, figures: MethodFigures, caller_of: Callable[[Context], str]
    ) -> "NoteEnd":
        def note_end(context: Context, duration_s: float, end: BaseException | None) -> None:
            code = "OK" if end is None else _code_of(context, end)
            reason = refused_for.get() if end is not None else ""
            figures.durations.note(duration_s)
            if code != "OK":
                figures.ended[code] = figures.ended.get(code, 0) + 1
            if reason:
                self.refusals[reason] = self.refusals.get(reason, 0) + 1
            if self._every_call or is_remarkable(name, code, reason):
                call = EndedCall(
                    *(name, code, reason, duration_s, caller_of(context)),
                    request_id=_request_id_of(context),
                )
                self._log.note(call)

        return note_end


NoteEnd = Callable[[Context, float, BaseException | None], None]


def _watched(handler: Handler, note_end: NoteEnd) -> Handler:
    """Note only what failed."""

    async def watched(asked: Any, context: Context) -> Any:
        began_s = perf_counter()
        try:
            return await handler(asked, context)
        except BaseException as end:
            note_end(context, perf_counter() - began_s, end)
            raise

    return watched


def _counted(handler: Handler, durations: Histogram, note_end: NoteEnd) -> Handler:
    # Names of this function, not attributes: a hit passes here.
    bounds, counts, look_up, clock = durations.bounds, durations.counts, bisect_left, perf_counter

    async def counted(asked: Any, context: Context) -> Any:
        began_s = clock()
        try:
            reply = await handler(asked, context)
        except BaseException as end:
            note_end(context, clock() - began_s, end)
            raise
        duration_s = clock() - began_s
        counts[look_up(bounds, duration_s)] += 1
        durations.total += duration_s
        return reply

    return counted


def _logged(handler: Handler, note_end: NoteEnd) -> Handler:
    async def logged(asked: Any, context: Context) -> Any:
        began_s = perf_counter()
        try:
            reply = await handler(asked, context)
        except BaseException as end:
            note_end(context, perf_counter() - began_s, end)
            raise
        note_end(context, perf_counter() - began_s, None)
        return reply

    return logged


def _code_of(context: Context, end: BaseException) -> str:
    """Return the code with which the call ended that *end* broke off."""
    if isinstance(end, asyncio.CancelledError):
        remaining_s = context.time_remaining()
        return "CANCELLED" if remaining_s is None or remaining_s > 0 else "DEADLINE_EXCEEDED"
    code = context.code()
    number = code if isinstance(code, int) else code.value[0] if code is not None else 2
    return CODES[number] if 0 < number < len(CODES) else "UNKNOWN"


def _request_id_of(context: Context) -> str:
    """Return the id that the caller gave, without what does not belong in one, or a new one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str):
            cleaned = _NOT_IN_AN_ID.sub("", value[: 4 * REQUEST_ID_LENGTH_MAX])
            if cleaned:
                return cleaned[:REQUEST_ID_LENGTH_MAX]
    return secrets.token_hex(8)

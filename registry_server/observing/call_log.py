"""Lines about calls that came to nothing: enough to see why, too few to fill a card."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field

LINES_MAX = 10
"""Refused calls of one code that get a line of their own within a window."""
WINDOW_S = 60.0
"""After so long the calls of a code that got no line are summed up in one."""

_SERVERS_OWN = frozenset({"INTERNAL", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "UNKNOWN", "DATA_LOSS"})
"""Codes that say that something is the matter here rather than with the caller."""
_ORDINARY = frozenset({("LookupGenre", "NOT_FOUND"), ("GetGenre", "NOT_FOUND")})
"""What is asked for in order to hear that it is not there."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that is over; `reason` is the refusal's, "" for a call that was answered."""

    method: str
    code: str
    reason: str
    duration_s: float
    caller: str
    request_id: str

    def fields(self) -> dict[str, object]:
        """Return what a line says of the call."""
        fields: dict[str, object] = {
            "request_id": self.request_id,
            "caller": self.caller,
            "method": self.method,
            "code": self.code,
            "duration_s": round(self.duration_s, 6),
        }
        return {**fields, "reason": self.reason} if self.reason else fields


@dataclass(slots=True)
class _Window:
    """What was said, and left out, of one code since the window began."""

    lines: int = 0
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)


class CallLog:
    """
    Writes a line for a call that failed, `LINES_MAX` for a code within `WINDOW_S`; what was
    left out is counted by method and reason, and said when the window ends. With *every_call*
    each call gets a line, whatever became of it.
    """

    def __init__(self, *, every_call: bool = False) -> None:
        self._every_call = every_call
        self._windows: dict[str, _Window] = {}

    def note(self, call: EndedCall) -> None:
        """Write a line for *call* if it is to have one; called in the event loop."""
        if self._every_call:
            log.log(_level_of(call), "call", extra=call.fields())
            return
        if not is_remarkable(call.method, call.code, call.reason):
            return
        window = self._windows.get(call.code)
        if window is None:
            window = self._windows[call.code] = _Window()
            asyncio.get_running_loop().call_later(WINDOW_S, self._end, call.code)
        if window.lines < LINES_MAX:
            window.lines += 1
            log.log(_level_of(call), "call refused", extra=call.fields())
        else:
            window.left_out[(call.method, call.reason)] += 1

    def close(self) -> None:
        """Say what was left out up to now."""
        for code in list(self._windows):
            self._end(code)

    def _end(self, code: str) -> None:
        window = self._windows.pop(code, None)
        if window is not None and window.left_out:
            log.warning(
                "%d more calls refused, each without a line of its own",
                window.left_out.total(),
                extra={
                    "code": code,
                    "left_out": window.left_out.total(),
                    "of": {" ".join(key).strip(): n for key, n in window.left_out.most_common(10)},
                    "within_s": WINDOW_S,
                },
            )


def is_remarkable(method: str, code: str, reason: str) -> bool:
    """Whether a call that ended so is worth a line to who looks after the server."""
    if code in ("OK", "CANCELLED") or reason == "SHUTTING_DOWN":
        return False
    return (method, code) not in _ORDINARY


def _level_of(call: EndedCall) -> int:
    if call.code == "OK":
        return logging.DEBUG
    return logging.WARNING if call.code in _SERVERS_OWN else logging.INFO

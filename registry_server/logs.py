"""Logs: one JSON object a line on standard output; plain text where a person watches."""

import atexit
import json
import logging
import queue
import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

OURS = "registry_server"
LINES_WAITING_MAX = 1000
"""Lines that wait to be written before others are lost."""
LIBRARY_LINES_MAX = 10
"""Lines a minute that libraries may write, gRPC's among them: callers make it write them."""
DRAINED_S_MAX = 2.0
"""How long the last lines may take to be written."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _exception(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    """Return where the record's exception arose, or its words where they say all; "" for none."""
    if not record.exc_info:
        return ""
    error = record.exc_info[1]
    if getattr(error, "says_all", False):
        return str(error)
    return formatter.formatException(record.exc_info)


class JsonFormatter(logging.Formatter):
    """`time` (RFC 3339, UTC), `level`, `message`, what the caller added, and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **_extra(record),
        }
        if exception := _exception(record, self):
            entry["exception"] = exception
        return json.dumps(entry, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """The message, then what the caller added."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f"  {name}={value}" for name, value in _extra(record).items())
        level = "" if record.levelno == logging.INFO else record.levelname.lower() + ": "
        text = f"{level}{record.getMessage()}{extra}"
        exception = _exception(record, self)
        return f"{text}\n{exception}" if exception else text


class PatientHandler(logging.Handler):
    """
    Has a thread of its own write to another handler: whoever started the server, read its
    first line, and takes no more of its output holds up that thread, and nobody's call.

    `LINES_WAITING_MAX` lines wait at most; how many were lost beyond that is said later.
    """

    def __init__(self, writing: logging.Handler) -> None:
        super().__init__()
        self._writing = writing
        self._waiting = queue.Queue[logging.LogRecord](LINES_WAITING_MAX)
        self._lost = 0
        self._idle = threading.Condition()
        self._unwritten = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand *record* to the thread, or count it as lost."""
        if self._lost:
            text = f"{self._lost} lines before the next were lost: nobody took them"
            note = logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)
            if not self._put(note):
                self._lost += 1
                return
            self._lost = 0
        if not self._put(record):
            self._lost += 1

    def _put(self, record: logging.LogRecord) -> bool:
        with self._idle:
            try:
                self._waiting.put_nowait(record)
            except queue.Full:
                return False
            self._unwritten += 1
            return True

    def drain(self, wait_s: float) -> bool:
        """Wait until all is written, *wait_s* at most; return whether it is."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._unwritten, wait_s)

    def _write(self) -> None:
        while True:
            self._writing.handle(self._waiting.get())
            with self._idle:
                self._unwritten -= 1
                self._idle.notify_all()


class FewOfLibraries(logging.Filter):
    """Lets `LIBRARY_LINES_MAX` lines of libraries through a minute; says how many it left out."""

    def __init__(self) -> None:
        super().__init__()
        self._minute = 0
        self._written = 0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] == OURS:
            return True
        minute = int(record.created) // 60
        if minute != self._minute:
            self._minute, self._written = minute, 0
        if self._written >= LIBRARY_LINES_MAX:
            self._left_out += 1
            return False
        self._written += 1
        if self._left_out:
            record.left_out = self._left_out
            self._left_out = 0
        return True


def set_up_logging(stream: TextIO = sys.stdout, level: str = "info") -> PatientHandler:
    """
    Send every log line of this process to *stream*, *level* being that of its own; return
    what is to be drained before the process ends in another way than by its end.
    """
    writing = logging.StreamHandler(stream)
    writing.setFormatter(TextFormatter() if stream.isatty() else JsonFormatter())
    handler = PatientHandler(writing)
    handler.addFilter(FewOfLibraries())
    atexit.register(handler.drain, DRAINED_S_MAX)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Those of libraries, asyncio's among them, would say nothing that helps here.
    logging.getLogger(OURS).setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return handler

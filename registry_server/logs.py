"""Logs: one JSON object a line on standard output; plain text where a person watches."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """`time` (RFC 3339, UTC), `level`, `message`, what the caller added, and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """The message, then what the caller added."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f"  {name}={value}" for name, value in _extra(record).items())
        level = "" if record.levelno == logging.INFO else record.levelname.lower() + ": "
        text = f"{level}{record.getMessage()}{extra}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up_logging(stream: TextIO = sys.stdout, level: str = "info") -> None:
    """Send every log line of this process to *stream*, *level* being that of its own."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if stream.isatty() else JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Those of libraries, asyncio's among them, would say nothing that helps here.
    logging.getLogger("registry_server").setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)

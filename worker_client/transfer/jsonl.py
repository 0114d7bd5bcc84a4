"""JSON Lines: a record a line."""

import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TextIO

from worker_client.transfer.records import KINDS, InputWrong, Placed, Record, numbered_lines


def write_jsonl(records: Iterable[Record], file: TextIO) -> None:
    """Write *records* to *file*."""
    for record in records:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_jsonl(file: BinaryIO) -> Iterator[Placed]:
    """
    Give the records of *file*; blank lines are skipped.

    Raises:
        InputWrong: a line is no JSON, or no record.
    """
    for number, line in numbered_lines(file):
        if line.strip():
            yield Placed(_record(line, number), number)


def _record(line: str, number: int) -> Record:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputWrong(
            f"It is no JSON: {error.msg} at column {error.colno}. "
            "Every record is a JSON object on a line of its own.",
            number,
        ) from None
    except (RecursionError, ValueError):  # brackets without end; a number without end
        raise InputWrong("It is no record: it is nested too deep, or too long.", number) from None
    if not isinstance(record, dict):
        raise InputWrong('It is no JSON object such as {"genre": {"name": "Rock"}}.', number)
    if len(record) != 1 or not record.keys() <= set(KINDS):
        raise InputWrong(
            f"A record has one key, and that is one of {', '.join(KINDS)}; "
            f"this has {', '.join(map(repr, record))[:80] or 'none'}.",
            number,
        )
    [(kind, body)] = record.items()
    if not isinstance(body, dict):
        raise InputWrong(f'What "{kind}" holds is no JSON object.', number)
    return record

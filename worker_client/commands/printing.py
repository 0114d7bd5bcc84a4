"""Genres as the commands print them: a line or a table for people, JSON for scripts."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any

import click

from worker_client._tables import aligned, plain, printable
from worker_client._values import Genre, GenreState

Options = dict[str, Any]
"""What was said before the command: "as_json", "target", "deadline_s"."""


def say_json(**held: Any) -> None:
    """Print one JSON object on one line; times, genres and enums within are spelled out."""
    click.echo(json.dumps(held, ensure_ascii=False, default=_plain_value))


def say_value(value: Any) -> None:
    """Print a value of the client's as one JSON object on one line."""
    say_json(**{field.name: getattr(value, field.name) for field in fields(value)})


def genre_object(genre: Genre) -> dict[str, Any]:
    """Return all of *genre* as JSON has it."""
    return {
        "id": genre.id,
        "name": genre.name,
        "state": genre.state.name,
        "aliases": genre.aliases,
        "parent_ids": genre.parent_ids,
        "external_ids": dict(genre.external_ids),
        "description": genre.description,
        "create_time": genre.create_time.isoformat(),
        "update_time": genre.update_time.isoformat(),
        "revision": genre.revision,
    }


def say_genre(options: Options, genre: Genre, note: str = "", **more: Any) -> None:
    """Print *genre*: for people its id and name with *note*, for scripts all and *more*."""
    if options["as_json"]:
        say_json(**genre_object(genre), **more)
        return
    if not note and genre.state is GenreState.DELETED:
        note = "deleted"
    click.echo(f"{genre.id:>6}  {printable(genre.name)}{note and f'  ({note})'}")


def say_rows(
    head: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, right: tuple[int, ...] = (0,)
) -> None:
    """Print a table with *head*; nothing if there are no *rows*."""
    held = list(rows)
    for line in aligned([head, *held], right=right) if held else ():
        click.echo(line)


def card(genre: Genre, names: Mapping[int, str]) -> Iterator[str]:
    """Give the lines that tell all of *genre*; *names* are those of its parents."""
    yield f"{genre.id:>6}  {printable(genre.name)}"
    rows = [
        ("state", genre.state.name.lower() if genre.state is not GenreState.ACTIVE else ""),
        ("aliases", ", ".join(map(printable, genre.aliases))),
        ("kind of", ", ".join(named(each, names) for each in genre.parent_ids)),
        *((whose, printable(value)) for whose, value in sorted(genre.external_ids.items())),
        ("description", printable(genre.description)),
        ("created", moment(genre.create_time)),
        ("changed", f"{moment(genre.update_time)}, revision {genre.revision}"),
    ]
    for line in aligned([row for row in rows if row[1]]):
        yield f"        {line}"


def named(genre_id: int, names: Mapping[int, str]) -> str:
    """Return the id with its name, if that is among *names*."""
    return f"{genre_id} {plain(names[genre_id])}" if genre_id in names else str(genre_id)


def moment(time: datetime) -> str:
    """Return *time* to the second, where the reader is."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain_value(value: Any) -> Any:
    if isinstance(value, Genre):
        return genre_object(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.name
    return {field.name: getattr(value, field.name) for field in fields(value)}

"""What a scan says: a line a track, the report of a dry run, and the summary."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from worker_client._tables import aligned, plain, quoted
from worker_client.scan.linting import Lint, NamedGenre
from worker_client.scan.resolving import Outcome, Summary

ROWS_MAX = 40
"""Rows of one table for people."""
_SHOWN_FAILURES_MAX = 20


def track_line(outcome: Outcome) -> str:
    """Return the JSON of one track."""
    track, resolved = outcome.track, outcome.resolved
    line: dict[str, Any] = {
        "path": track.path,
        "container": track.tags.container.name,
        "raw_values": track.tags.values,
        "genres": [],
    }
    if outcome.error is not None:
        line["error"] = outcome.error
    elif resolved is not None:
        line["genres"] = [
            {"id": each.genre.id, "name": each.genre.name, "created": each.created}
            for each in resolved.genres
        ]
        if resolved.dropped:
            line["dropped"] = [{"text": p.text, "reason": p.reason} for p in resolved.dropped]
        if resolved.review:
            line["review"] = [{"text": p.text, "rule": p.rule} for p in resolved.review]
    return json.dumps(line, ensure_ascii=_is_odd(track.path))


def lint_document(lint: Lint, summary: Summary) -> str:
    """Return the whole report of a dry run as one JSON document, on one line."""
    failed = {**summary.unread, **summary.unresolved}
    document = {
        "tracks": summary.tracks,
        "tagged": summary.tagged,
        "raw_values": summary.raw_values,
        "genres": [
            {**_counted(genre), "spellings": dict(genre.spellings.most_common())}
            for genre in lint.genres
        ],
        "values": [
            {"raw_values": values, "genres": [_named(g) for g in genres], "tracks": tracks}
            for (values, genres), tracks in lint.values
        ],
        "dropped": [
            {"text": part.text, "reason": part.reason, "count": count}
            for part, count in lint.dropped
        ],
        "review": [
            {"text": part.text, "rule": part.rule, "count": count} for part, count in lint.review
        ],
        "near_duplicates": [
            {"genres": [_counted(genre) for genre in pair]} for pair in lint.near_duplicates
        ],
        "unread": summary.unread,
        "unresolved": summary.unresolved,
    }
    return json.dumps(document, ensure_ascii=any(map(_is_odd, failed)))


def _named(genre: NamedGenre) -> dict[str, Any]:
    return {"id": genre.id, "name": genre.name, "new": not genre.id}


def _counted(genre: NamedGenre) -> dict[str, Any]:
    return {**_named(genre), "pack": genre.pack, "tracks": genre.tracks}


def lint_tables(lint: Lint) -> Iterator[str]:
    """Give the report of a dry run as lines for people, long tables cut."""
    yield from _table(
        "What the tags would become",
        ("tracks", "raw values", "", "genres"),
        [
            (str(tracks), _listed(map(quoted, values)), "→", _listed(map(_shown, genres)) or "-")
            for (values, genres), tracks in lint.values
        ],
    )
    yield from _table(
        "What would be dropped",
        ("times", "text", "reason"),
        [(str(count), quoted(part.text), part.reason) for part, count in lint.dropped],
    )
    yield from _table(
        "What would be left whole and wants review",
        ("times", "text", "undecided by"),
        [(str(count), quoted(part.text), part.rule) for part, count in lint.review],
    )
    yield from _table(
        "Near-duplicates",
        ("tracks", "genre", "tracks", "nearly the same"),
        [
            (str(often.tracks), _shown(often), str(seldom.tracks), _shown(seldom))
            for often, seldom in lint.near_duplicates
        ],
    )
    yield from _table(
        "Genres written in more than one way",
        ("tracks", "genre", "spellings"),
        [(str(genre.tracks), _shown(genre), _listed(_spelled(genre))) for genre in lint.respelled],
    )


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        yield f"{title}: nothing."
    else:
        yield f"{title}:"
        numbers = [at for at, name in enumerate(head) if name in ("tracks", "times")]
        for line in aligned([head, *rows[:ROWS_MAX]], right=numbers):
            yield f"  {line}"
        if len(rows) > ROWS_MAX:
            yield f"  and {len(rows) - ROWS_MAX} more; --json shows all"
    yield ""


def _listed(texts: Iterable[str]) -> str:
    return plain(", ".join(texts))


def _shown(genre: NamedGenre) -> str:
    return f"{plain(genre.name)} ({genre.id or 'new'})"


def _spelled(genre: NamedGenre) -> Iterator[str]:
    return (f"{quoted(text)} {count}" for text, count in genre.spellings.most_common())


def summary_lines(summary: Summary, lint: Lint | None) -> Iterator[str]:
    """Give what the scan came to, with what failed; *lint* is there if it was a dry run."""
    if lint is None:
        genres = f"{len(summary.genres)} genres, {summary.created} of them created by this scan"
    else:
        named = lint.genres
        new = sum(not genre.id for genre in named)
        genres = f"{len(named)} genres, {new} of them new; nothing was written"
    yield (
        f"{summary.tracks} tracks, {summary.tagged} with genre tags, "
        f"{summary.raw_values} raw values -> {genres}"
    )
    for reason, count in summary.dropped.most_common():
        yield f"{count} parts dropped: {reason}"
    if compounds := len(summary.review):
        want = "compound wants" if compounds == 1 else "compounds want"
        yield f"{compounds} {want} review"
    for failures, what in ((summary.unread, "read"), (summary.unresolved, "resolved")):
        yield from _failure_lines(failures, what, in_lines=lint is None)


def _failure_lines(failures: dict[str, str], what: str, *, in_lines: bool) -> Iterator[str]:
    if not failures:
        return
    yield f"{len(failures)} files could not be {what}:"
    for path, reason in list(failures.items())[:_SHOWN_FAILURES_MAX]:
        yield f"  {path.encode('utf-8', 'backslashreplace').decode('utf-8')}: {reason}"
    if len(failures) > _SHOWN_FAILURES_MAX:
        where = "their lines hold an error" if in_lines else "--json shows all"
        yield f"  and {len(failures) - _SHOWN_FAILURES_MAX} more; {where}"


def _is_odd(path: str) -> bool:
    """Whether *path* holds bytes that are no UTF-8 and must be escaped to be written."""
    return not path.isascii() and any("\ud800" <= c <= "\udfff" for c in path)

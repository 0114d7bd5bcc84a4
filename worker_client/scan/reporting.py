"""What a scan says: a line a track, the report of a dry run, and the summary."""

import json
from collections.abc import Iterable, Iterator, Sequence
from json.encoder import encode_basestring
from typing import Any

from worker_client._tables import aligned, plain, quoted
from worker_client.scan.linting import Lint, NamedGenre
from worker_client.scan.summary import Summary
from worker_client.scan.tracks import Outcome

ROWS_MAX = 40
"""Rows of one table for people."""


def track_line(outcome: Outcome) -> str:
    """Return the JSON of one track."""
    # Put together by hand: of all that a scan does itself, encoding a dict would take most.
    track, resolved = outcome.track, outcome.resolved
    genres = more = ""
    if outcome.error is not None:
        more = f', "error": {_json(outcome.error)}'
    elif resolved is not None:
        genres = ", ".join(
            [
                f'{{"id": {each.genre.id}, "name": {encode_basestring(each.genre.name)}, '
                f'"created": {"true" if each.created else "false"}}}'
                for each in resolved.genres
            ]
        )
        if resolved.dropped:
            dropped = [{"text": part.text, "reason": part.reason} for part in resolved.dropped]
            more += f', "dropped": {_json(dropped)}'
        if resolved.review:
            review = [{"text": part.text, "rule": part.rule} for part in resolved.review]
            more += f', "review": {_json(review)}'
    values = ", ".join(map(encode_basestring, track.tags.values))
    line = (
        f'{{"path": {encode_basestring(track.path)}, '
        f'"container": "{track.tags.container.name}", '
        f'"raw_values": [{values}], "genres": [{genres}]{more}}}'
    )
    return line if _is_whole(line) else json.dumps(json.loads(line))


def lint_document(lint: Lint, summary: Summary) -> str:
    """Return the whole report of a dry run as one JSON document, on one line."""
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
        "unread": lint.unread,
        "unresolved": lint.unresolved,
    }
    return _json(document)


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
    """Give what the scan came to, but for what failed; *lint* is there if it was a dry run."""
    if lint is None:
        genres = f"{len(summary.genres)} genres, {summary.created} of them created by this scan"
    else:
        genres = f"{len(lint.genres)} genres, {_new(lint)} of them new; nothing was written"
    yield (
        f"{summary.tracks} tracks, {summary.tagged} with genre tags, "
        f"{summary.raw_values} raw values -> {genres}"
    )
    if summary.unchanged:
        yield f"{summary.unchanged} files are unchanged and were not read again"
    if summary.gone:
        yield f"{summary.gone} files are gone"
    for reason, count in summary.dropped.most_common():
        yield f"{count} parts dropped: {reason}"
    if compounds := len(summary.review):
        want = "compound wants" if compounds == 1 else "compounds want"
        yield f"{compounds} {want} review"


def failure_lines(summary: Summary, lint: Lint | None) -> Iterator[str]:
    """Give the files that failed, with the reason, and whether the scan was stopped."""
    for failures, what in ((summary.unread, "read"), (summary.unresolved, "resolved")):
        if failures.count:
            yield f"{failures.count} files could not be {what}:"
        for path, reason in failures.listed:
            yield f"  {path.encode('utf-8', 'backslashreplace').decode('utf-8')}: {reason}"
        if more := failures.count - len(failures.listed):
            where = "their lines hold an error" if lint is None else "--json shows all"
            yield f"  and {more} more; {where}"
    if summary.stopped_by:
        kept = "what was done is kept" if lint is None else "the report is of what was read"
        yield f"stopped early by {summary.stopped_by}; {kept}"


def summary_object(summary: Summary, lint: Lint | None) -> str:
    """Return what both of these say as one JSON object, on one line."""
    return _json(
        {
            "tracks": summary.tracks,
            "tagged": summary.tagged,
            "raw_values": summary.raw_values,
            "genres": len(summary.genres if lint is None else lint.genres),
            "created": summary.created if lint is None else 0,
            "unchanged": summary.unchanged,
            "gone": summary.gone,
            "dropped": dict(summary.dropped.most_common()),
            "review": len(summary.review),
            "unread": summary.unread.count,
            "unresolved": summary.unresolved.count,
            "failed": [
                {"path": path, "error": reason}
                for failures in (summary.unread, summary.unresolved)
                for path, reason in failures.listed
            ],
            "stopped_by": summary.stopped_by or None,
            "other_registry": summary.other_registry,
        }
    )


def _new(lint: Lint) -> int:
    return sum(not genre.id for genre in lint.genres)


def _json(value: object) -> str:
    """Return the JSON of *value*, legible, or escaped if a path in it is no UTF-8."""
    text = json.dumps(value, ensure_ascii=False)
    return text if _is_whole(text) else json.dumps(value)


def _is_whole(text: str) -> bool:
    """Whether *text* can be written: no path in it holds bytes that are no UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True

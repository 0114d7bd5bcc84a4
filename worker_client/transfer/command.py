"""`genrectl export` and `genrectl import`: what is written and read, and how they end."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import click

from worker_client._exits import (
    EXIT_INCOMPLETE,
    EXIT_INPUT_WRONG,
    calling,
    refuse,
)
from worker_client.transfer.records import InputWrong, Record
from worker_client.transfer.whole_files import STANDARD_OUTPUT, written_whole

if TYPE_CHECKING:  # loaded by the command: processes that read tags import this module
    from worker_client._transfer_values import ImportedId
    from worker_client.transfer.outcome import Outcome
    from worker_client.transfer.sources import Source, Wanted

MAP_COLUMNS = ("old_id", "new_id", "name")
_STEPS_SHOWN = 500
"""Records between two counts on a terminal."""


@click.command("export")
@click.option(
    "--format",
    "written_format",
    type=click.Choice(["jsonl", "csv"]),
    help="JSON Lines or CSV; by default what FILE ends with, else JSON Lines.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default=STANDARD_OUTPUT,
    metavar="FILE",
    help="Where it goes; standard output by default.",
)
@click.pass_obj
def export_registry(options: dict[str, Any], written_format: str | None, output: str) -> None:
    """Write everything that the registry holds: genres, merged and deleted ones too, blocked
    spellings, reviews, imported packs, and the journal of changes.

    FILE is there when it is whole, and not before. Both formats hold all, and come back with
    genrectl import FILE. CSV is for spreadsheets: a row a record, with lists joined by ";",
    an apostrophe before what would be taken for a formula, and JSON in the last column for
    what has no column of its own.
    """
    from worker_client.transfer.csv_files import write_csv
    from worker_client.transfer.jsonl import write_jsonl

    written_format = written_format or ("csv" if output.lower().endswith(".csv") else "jsonl")
    write = write_csv if written_format == "csv" else write_jsonl
    counted = {"records": 0, "genres": 0}
    is_shown = output == STANDARD_OUTPUT and sys.stdout.isatty()
    try:
        with (
            calling(options) as registry,
            written_whole(output) as file,
            _progress("exporting", hidden=is_shown) as advance,
        ):
            write(_counting(registry.export_records(), counted, advance), file)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise  # the reader has enough, and Click ends in silence
        refuse(f"{output}: {error.strerror}; the export is not whole", EXIT_INCOMPLETE)
    if output == STANDARD_OUTPUT:
        return
    if options["as_json"]:
        document = {"output": output, "format": written_format, **counted}
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        click.echo(f"{output}: {counted['records']} records, {counted['genres']} of them of genres")


@click.command("import")
@click.argument("source", nargs=-1, required=True, metavar="[FORMAT] FILE")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be.")
@click.option(
    "--keep-ids",
    is_flag=True,
    help="Into an empty registry: every genre keeps its id. Of several that are one genre, "
    "the lowest id is its own, and the others lead to it.",
)
@click.option(
    "--map",
    "map_path",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write where each id leads to this CSV file: old_id, new_id, name.",
)
@click.option("--table", metavar="TABLE", help="Of an SQLite database.  [default: genres]")
@click.option("--name-column", metavar="COLUMN", help="Which holds the names.  [default: name]")
@click.option(
    "--id-column",
    metavar="COLUMN",
    help='Which holds the ids; "" for none.  [default: id, if it is there]',
)
@click.pass_obj
def import_records(
    options: dict[str, Any],
    /,
    source: tuple[str, ...],
    dry_run: bool,
    keep_ids: bool,
    map_path: str | None,
    **columns: str | None,
) -> None:
    """Take what FILE holds into the registry; - is standard input.

    An export makes an empty registry the one it was. Otherwise genres are taken in by name:
    what is there is kept, what is missing is added, and to import again changes nothing. An
    import that was cut short is repeated.

    \b
    FORMAT is one of these; auto, if it is left out, finds out.
      jsonl       an export
      csv         an export, edited or not; or a table with a column of names
                  and perhaps one of ids, with any usual delimiter
      list        a name a line, # before comments: a whitelist of beets
      beets-tree  a genre tree of beets: YAML lists, with parents as keys
      sqlite      a table of an application's SQLite database, which is only read

    \b
      genrectl import registry.jsonl
      genrectl import sqlite app.db --table genres --name-column name --keep-ids

    FILE is read to its end before anything is sent. Exits 1 if some of it was not taken in
    as it is, and 8, with the line, if the file is not what it should be.
    """
    from worker_client.transfer.sources import FORMATS, Wanted, opened

    *named_format, path = source
    if len(named_format) > 1 or not set(named_format) <= set(FORMATS):
        raise click.UsageError(
            f"{' '.join(named_format)!r} is no format; FORMAT is one of {', '.join(FORMATS)}."
        )
    wanted = Wanted("".join(named_format) or "auto", **columns)
    try:
        with opened(path, wanted) as found:
            _check_options(found.format, wanted, keep_ids=keep_ids)
            outcome = _surveyed(found, dry_run=dry_run)
            _import(options, found, outcome, keep_ids=keep_ids, map_path=map_path)
    except InputWrong as error:
        where = f"{path}, line {error.line}" if error.line else path
        refuse(f"{where}: {error}", EXIT_INPUT_WRONG)
    except OSError as error:
        refuse(f"{path}: {error.strerror}", EXIT_INPUT_WRONG)
    if options["as_json"]:
        click.echo(outcome.document())
    else:
        for line in outcome.told(path):
            click.echo(line)
    if outcome.refused:
        sys.exit(EXIT_INCOMPLETE)


def _check_options(found: str, wanted: "Wanted", *, keep_ids: bool) -> None:
    """Refuse options that mean nothing for a file of the format *found*."""
    from worker_client.transfer.sources import WITH_IDS

    if wanted.table is not None and found != "sqlite":
        raise click.UsageError(f"--table is for sqlite, and this file is {found}.")
    has_columns = wanted.name_column is not None or wanted.id_column is not None
    if has_columns and found not in ("csv", "sqlite"):
        raise click.UsageError(
            f"--name-column and --id-column are for csv and sqlite, and this file is {found}."
        )
    if keep_ids and (found not in WITH_IDS or wanted.id_column == ""):
        raise click.UsageError(f"--keep-ids wants ids, and none are read from this {found}.")


def _surveyed(source: "Source", *, dry_run: bool) -> "Outcome":
    """
    Read *source* to its end, and return an outcome that knows its records.

    What is wrong in it is found here, before the registry has half of it.
    """
    from worker_client import InvalidRequest
    from worker_client._records import record_of
    from worker_client.transfer.outcome import Outcome

    outcome = Outcome(dry_run=dry_run)
    for placed in source.records():
        try:
            record_of(placed.record)
        except InvalidRequest as error:
            raise InputWrong(str(error), placed.line) from None
        outcome.lines.append(placed.line)
        outcome.genres += "genre" in placed.record
    if not outcome.lines:
        raise InputWrong(f"It holds nothing to import; it was read as {source.format}.")
    return outcome


def _import(
    options: dict[str, Any],
    source: "Source",
    outcome: "Outcome",
    *,
    keep_ids: bool,
    map_path: str | None,
) -> None:
    """Send what *source* holds, and add what comes of it to *outcome*."""
    try:
        with (
            calling(options) as registry,
            _written_map(map_path) as write_map,
            _progress("importing", len(outcome.lines)) as advance,
        ):
            done = 0
            for progress in registry.import_records(
                (placed.record for placed in source.records()),
                validate_only=outcome.dry_run,
                keep_ids=keep_ids,
            ):
                outcome.add(progress)
                write_map(progress.mappings)
                advance(progress.done - done)
                done = progress.done
    except KeyboardInterrupt:
        refuse(
            "interrupted; a part may have been taken in, and to import again completes it",
            EXIT_INCOMPLETE,
        )
    except OSError as error:
        at_fault = "the import" if map_path is None else map_path
        refuse(f"{at_fault}: {error.strerror}; import again to be sure", EXIT_INCOMPLETE)


@contextmanager
def _written_map(path: str | None) -> "Iterator[Callable[[Iterable[ImportedId]], None]]":
    """Give what writes where ids lead; an id that there is not yet, in a dry run, is blank."""
    if path is None:
        yield lambda _mappings: None
        return
    with written_whole(path) as file:
        rows = csv.writer(file)
        rows.writerow(MAP_COLUMNS)
        yield lambda mappings: rows.writerows(
            (each.old_id, each.new_id or "", each.name) for each in mappings
        )


def _counting(
    records: Iterable[Record], counted: dict[str, int], advance: Callable[[int], object]
) -> Iterator[Record]:
    for record in records:
        counted["records"] += 1
        counted["genres"] += "genre" in record
        advance(1)
        yield record


@contextmanager
def _progress(
    what: str, total: int | None = None, *, hidden: bool = False
) -> Iterator[Callable[[int], object]]:
    """Give what advances a bar on standard error; there is none if that is no terminal."""
    if hidden or not sys.stderr.isatty():
        yield lambda _steps: None
        return
    # Click finds no total in what never ends, and shows the count alone.
    without_total: dict[str, Any] = {
        "iterable": count(),
        "bar_template": "%(label)s  %(info)s",
        "update_min_steps": _STEPS_SHOWN,
    }
    shown: AbstractContextManager[Any] = click.progressbar(
        **(without_total if total is None else {"length": total}),
        label=what,
        show_pos=True,
        file=sys.stderr,
        width=30,
    )
    with shown as bar:
        yield bar.update

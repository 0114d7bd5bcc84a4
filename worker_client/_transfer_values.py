"""What an import and a backup answer, as plain frozen values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backup:
    """
    A verified backup.

    Attributes:
        path: The file, on the server's machine.
        revision: Of the last change that it holds.
        incarnation: The registry's; a restore gives it a new one.
        size_bytes: The file's length.
    """

    path: str
    revision: int
    incarnation: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ImportedId:
    """
    Where the id of a record leads.

    Attributes:
        old_id: The record's.
        new_id: The registry's; 0 if the genre would be created.
        name: The genre's, in the registry.
    """

    old_id: int
    new_id: int
    name: str


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """
    A record that could not be taken in as it is, and what was done instead.

    Attributes:
        record: Which one, counted from 1; 0 for none alone.
        text: The name or the spelling that it is about.
        reason: Stable, for programs: "SPELLING_TAKEN", "COMPOUND" and the like.
        message: The same in words.
    """

    record: int
    text: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """
    How far an import is, and what came of the records since the last one.

    Attributes:
        done: Records taken in so far.
        total: Records that were sent.
        created: Genres that were created since the last progress; to be added up.
        changed: Genres that gained something since then; to be added up.
        mappings: Where ids lead, for the records since then that have one.
        problems: What did not go through as it is, since then.
        revision: The registry's after the import; 0 before the last progress.
    """

    done: int
    total: int
    created: int
    changed: int
    mappings: tuple[ImportedId, ...]
    problems: tuple[ImportProblem, ...]
    revision: int

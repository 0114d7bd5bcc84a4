"""Filling an empty registry, in a savepoint of the caller's transaction."""

from functools import partial

from sqlalchemy import Connection

from registry_server.store.edits import import_all
from registry_server.store.restoring import as_there, holds, keep_ids, restore
from registry_server.vocabulary.curation_refusals import RegistryNotEmpty
from registry_server.vocabulary.edits import Imported
from registry_server.vocabulary.knowledge import Knowledge
from registry_server.vocabulary.records import Filling, import_edits, numbered


def fill(
    connection: Connection, wanted: Filling, knowledge: Knowledge, history_kept: int
) -> Imported:
    """
    Do what *wanted* says; nothing, if it was done before.

    Raises:
        RegistryNotEmpty: the registry holds something.
        RecordInvalid: a record can't be of an export.
    """
    if genres := holds(connection):
        if wanted.keep_ids and (known := as_there(connection, numbered(wanted.source), knowledge)):
            return known
        raise RegistryNotEmpty(genres)
    savepoint = connection.begin_nested()
    try:
        if wanted.keep_ids:
            imported = _with_their_ids(connection, wanted, knowledge, history_kept)
        else:
            imported = restore(connection, numbered(wanted.source))
    except BaseException:
        savepoint.rollback()
        raise
    (savepoint.rollback if wanted.validate_only else savepoint.commit)()
    return imported


def _with_their_ids(
    connection: Connection, wanted: Filling, knowledge: Knowledge, history_kept: int
) -> Imported:
    """Create the genres with their ids first, and give them the rest by these."""
    imported = keep_ids(connection, tuple(numbered(wanted.source)), knowledge, wanted.who)
    mapping = {each.old_id: each.new_id for each in imported.mappings}
    edits = partial(import_edits, wanted.source, who=wanted.who)
    rest = import_all(connection, edits, mapping, knowledge, history_kept)
    told = {(each.record, each.reason) for each in imported.problems}
    imported.created += rest.created
    imported.problems += [each for each in rest.problems if (each.record, each.reason) not in told]
    return imported

"""One line in the log for each commit that created something, and for each curator's edit."""

import logging
from collections.abc import Sequence

from registry_server.vocabulary.edits import Edit, Edited
from registry_server.vocabulary.genre import Claim, Granted
from registry_server.vocabulary.refusals import RegistryError

NAMED_MAX = 10
"""Most genres that a line names; the journal has them all."""

log = logging.getLogger(__name__)


def note_created(claims: Sequence[Claim], granted: Sequence[Granted]) -> None:
    """Say which genres one commit created, and for whom."""
    made = [each.genre for each in granted if each.made]
    if not made or not log.isEnabledFor(logging.INFO):
        return
    who = {claim.who for claim, each in zip(claims, granted, strict=True) if each.made}
    log.info(
        "genre created" if len(made) == 1 else "genres created",
        extra={
            "count": len(made),
            "ids": [genre.id for genre in made[:NAMED_MAX]],
            "names": [genre.name for genre in made[:NAMED_MAX]],
            "caller": ", ".join(sorted(who)[:NAMED_MAX]),
            "revision": max(genre.revision for genre in made),
        },
    )


def note_edits(edits: Sequence[Edit], outcomes: Sequence[Edited | RegistryError]) -> None:
    """Say what each edit of a commit was and came to; refused ones are the calls' to tell."""
    if not log.isEnabledFor(logging.INFO):
        return
    for edit, outcome in zip(edits, outcomes, strict=True):
        if isinstance(outcome, Edited) and not getattr(edit, "validate_only", False):
            log.info("curated", extra=_fields(edit, outcome))


def _fields(edit: Edit, edited: Edited) -> dict[str, object]:
    fields: dict[str, object] = {"edit": type(edit).__name__, "caller": edit.who}
    if edited.genre is not None:
        fields |= {
            "id": edited.genre.id,
            "genre": edited.genre.name,
            "revision": edited.genre.revision,
        }
    for name in ("source_ids", "source_id", "target_id"):
        if ids := getattr(edit, name, None):
            fields[name] = list(ids[:NAMED_MAX]) if isinstance(ids, tuple) else ids
    for name in ("spelling", "alias"):
        if (spelling := getattr(edit, name, None)) is not None:
            fields[name] = spelling.text
    if edited.survivor is not None:
        fields["survivor_id"] = edited.survivor.id
    if edited.imported is not None:
        imported = edited.imported
        fields["genres_created"] = len(imported.created)
        fields["genres_changed"] = len(imported.changed)
    return fields

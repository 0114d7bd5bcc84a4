"""What an import came to, added up from its progress, and how it is told."""

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from worker_client._tables import aligned, printable, quoted
from worker_client._transfer_values import ImportProblem, ImportProgress

LEFT_WHOLE = "COMPOUND"
"""The reason of a problem that is none: the record went in, as one genre."""
_SHOWN_MAX = 20


@dataclass(slots=True)
class Outcome:
    """
    What became of the records that a file holds.

    Attributes:
        genres: How many of the records are of genres.
        lines: The line of each record, in order.
        dry_run: Whether it is only what would become of them.
        created: Genres that are new.
        changed: Genres that gained something.
        revision: The registry's after the import.
    """

    dry_run: bool = False
    genres: int = 0
    lines: "array[int]" = field(default_factory=lambda: array("q"))
    created: int = 0
    changed: int = 0
    revision: int = 0
    problems: list[ImportProblem] = field(default_factory=list)

    def add(self, progress: ImportProgress) -> None:
        """Add what came of the records since the last progress."""
        self.created += progress.created
        self.changed += progress.changed
        self.revision = progress.revision or self.revision
        self.problems += progress.problems

    @property
    def unchanged(self) -> int:
        """How many records of genres brought nothing new."""
        return max(0, self.genres - self.created - self.changed - self.left_out)

    @property
    def left_out(self) -> int:
        """How many records can be no genre here, and were not taken in at all."""
        unfit = ("NAME_", "TEXT_", "ID_", "SPELLING_BLOCKED")
        return len({each.record for each in self.problems if each.reason.startswith(unfit)})

    @property
    def refused(self) -> list[ImportProblem]:
        """What was not taken in as it is."""
        return [problem for problem in self.problems if problem.reason != LEFT_WHOLE]

    @property
    def compounds(self) -> list[ImportProblem]:
        """What was taken in as one genre, and may be several."""
        return [problem for problem in self.problems if problem.reason == LEFT_WHOLE]

    def document(self) -> str:
        """Return all of it as one JSON object."""
        return json.dumps(
            {
                "dry_run": self.dry_run,
                "records": len(self.lines),
                "genres": self.genres,
                "created": self.created,
                "changed": self.changed,
                "unchanged": self.unchanged,
                "left_out": self.left_out,
                "revision": self.revision,
                "problems": [
                    {"line": self._line(problem), **asdict(problem)} for problem in self.problems
                ],
            },
            ensure_ascii=False,
        )

    def told(self, path: str) -> Iterator[str]:
        """Give all of it in lines for people; *path* is the file's."""
        would = "would be " if self.dry_run else ""
        yield f"{path}: {len(self.lines)} records, {self.genres} of them of genres"
        yield f"  {self.created:>7}  genres {would}created"
        yield f"  {self.changed:>7}  genres {would}changed"
        yield f"  {self.unchanged:>7}  records of genres bring nothing new"
        if self.left_out:
            yield f"  {self.left_out:>7}  records can be no genre, and {would or 'were '}left out"
        yield from self._listed(self.refused, "not taken in as it is", "not taken in as they are")
        whole = "left whole, and may be several genres"
        yield from self._listed(self.compounds, f"compound {whole}", f"compounds {whole}")
        if self.dry_run:
            yield "Nothing was changed."

    def _listed(self, problems: Sequence[ImportProblem], one: str, many: str) -> Iterator[str]:
        if not problems:
            return
        yield f"  {len(problems):>7}  {one if len(problems) == 1 else many}:"
        rows = [
            (
                f"line {self._line(problem) or '-'}",
                quoted(problem.text),
                problem.reason,
                printable(problem.message),
            )
            for problem in problems[:_SHOWN_MAX]
        ]
        yield from (f"    {row}" for row in aligned(rows))
        if len(problems) > _SHOWN_MAX:
            yield f"    and {len(problems) - _SHOWN_MAX} more; --json shows all"

    def _line(self, problem: ImportProblem) -> int:
        """Return the line of the record that *problem* is about; 0 if it is about none."""
        return self.lines[problem.record - 1] if 1 <= problem.record <= len(self.lines) else 0

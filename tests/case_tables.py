"""Reads the tables of cases beside it, in `cases`."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

CASES = Path(__file__).parent / "cases"
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\\tnre]))")
_PLAIN = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r", "e": ""}


@dataclass(frozen=True, slots=True)
class SplitCase:
    """A raw value, or several delivered ones, and the spellings that they hold."""

    values: tuple[str, ...]
    expected: tuple[str, ...]
    container: str
    about: str

    @property
    def is_id3(self) -> bool:
        return self.container.startswith("id3")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two spellings: `relation` is "same", "alias" or "different"; `kind` the class of reason."""

    first: str
    second: str
    relation: str
    kind: str


def split_cases() -> list[SplitCase]:
    return [_split_case(*row) for row in _rows("split_cases.tsv")]


def equivalence_pairs() -> list[Pair]:
    return [_pair(*row) for row in _rows("equivalence_cases.tsv")]


def _split_case(raw: str, expected: str, about: str) -> SplitCase:
    context, _, why = about.partition("; ")
    values = json.loads(raw) if raw.startswith("[") else [_decoded(raw)]
    return SplitCase(tuple(values), tuple(json.loads(expected)), context.removeprefix("ctx="), why)


def _pair(first: str, second: str, relation: str, about: str) -> Pair:
    kind, _, _ = about.removeprefix("[").partition("]")
    return Pair(_decoded(first), _decoded(second), relation, kind)


def _rows(name: str) -> list[list[str]]:
    lines = (CASES / name).read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line and not line.startswith("# ")]


def _decoded(text: str) -> str:
    return _ESCAPE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    code_point = found[1] or found[2]
    return chr(int(code_point, 16)) if code_point else _PLAIN[found[3]]

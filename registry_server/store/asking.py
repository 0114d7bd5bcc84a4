"""
Asking for many rows at once: one JSON array instead of a thousand parameters, and so one
statement, whatever the number.
"""

import json
from collections.abc import Iterable

from sqlalchemy import bindparam, func, select

ASKED = select(func.json_each(bindparam("asked")).table_valued("value").c.value)
"""What was asked for, to be used with `in_`."""


def asked(values: Iterable[str | int]) -> dict[str, str]:
    """Return the parameters of a statement that uses `ASKED`."""
    return {"asked": json.dumps(list(values))}

"""The hot cache: known genres by exact spelling and by key, in memory."""

from dataclasses import dataclass

from registry_server.vocabulary.genre import Genre


@dataclass(slots=True, eq=False)
class Known:
    """
    A known genre, and its replies once the transport has prepared them.

    `single` and `batched` are the transport's own: encoded answers to one name
    and to one name of many, both not created.
    """

    genre: Genre
    single: bytes | None = None
    batched: bytes | None = None


class Recent:
    """
    A bounded map in plain dicts that keeps what was used of late.

    Two generations of at most *size_max* entries each: what is found in the old
    one moves to the young one, and a full young one becomes the old one. A hit
    costs one `dict.get`.
    """

    def __init__(self, size_max: int) -> None:
        self.complete = True
        """Whether everything that was ever put is still here."""
        self._size_max = size_max
        self._young: dict[str, Known] = {}
        self._old: dict[str, Known] = {}

    def get(self, key: str) -> Known | None:
        known = self._young.get(key)
        if known is None and (known := self._old.get(key)) is not None:
            self.put(key, known)
        return known

    def put(self, key: str, known: Known) -> None:
        if len(self._young) >= self._size_max:
            self.complete = self.complete and not self._old
            self._old = self._young
            self._young = {}
        self._young[key] = known

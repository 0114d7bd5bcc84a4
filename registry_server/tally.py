"""The tally: compounds seen again, counted in memory until something is written anyway."""

from dataclasses import replace

from registry_server.vocabulary.genre import Sighting

COUNTED_MAX = 10_000
"""Most compounds that are counted until something is written."""


class Tally:
    """What was seen since something was written, by fold key."""

    def __init__(self) -> None:
        self._counted: dict[str, Sighting] = {}

    def count(self, sighting: Sighting) -> None:
        """Count *sighting*, if there is room."""
        counted = self._counted.get(sighting.spelling.fold)
        if counted is not None:
            sighting = replace(sighting, times=counted.times + sighting.times)
        elif len(self._counted) == COUNTED_MAX:
            return
        self._counted[sighting.spelling.fold] = sighting

    def counted(self) -> list[Sighting]:
        """Return what waits to be written."""
        return list(self._counted.values())

    def written(self, sighting: Sighting) -> None:
        """Forget what was written, but not what was counted meanwhile."""
        counted = self._counted.pop(sighting.spelling.fold)
        if counted.times > sighting.times:
            self.count(replace(counted, times=counted.times - sighting.times))

"""Everything by which a server is seen, as its settings and the environment ask for it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_server.observing.commits import Commits
from registry_server.observing.observer import Observer

if TYPE_CHECKING:  # loaded where traces are wanted
    from registry_server.observing.tracing import Traces


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seeing:
    """
    What takes note of calls and of commits, and what makes traces; None for no traces, and
    why there are none though they were asked for.
    """

    observer: Observer
    commits: Commits
    traces: "Traces | None"
    untraced: str

    @classmethod
    def of(cls, metrics: str, log_level: str, environment: Mapping[str, str]) -> "Seeing":
        """Return what the settings *metrics* and *log_level* and OpenTelemetry's variables ask."""
        traces, untraced = None, ""
        # Only then is it worth reading what there is to be known of them.
        if any(name.startswith("OTEL_") for name in environment):
            from registry_server.observing.tracing import traces_of

            traces, untraced = traces_of(environment)
        observer = Observer(
            is_counting=bool(metrics), every_call=log_level == "debug", traces=traces
        )
        return cls(observer, Commits(traces), traces, untraced)

    def begin(self) -> None:
        """Say what is not as it was asked for."""
        if self.untraced:
            log.warning("%s", self.untraced)

    async def close(self) -> None:
        """Say and send what is left."""
        self.observer.close()
        if self.traces is not None:
            await self.traces.close()

"""Keeping a cache true: a watch of the process's own, in the background."""

import logging
import threading
from contextlib import closing

from worker_client import _calls
from worker_client._cache import Cache
from worker_client._errors import (
    CallCancelled,
    DeadlineExceeded,
    HistoryTrimmed,
    RegistryError,
    RegistryUnavailable,
)
from worker_client._link import Link
from worker_client._values import GenrePage
from worker_client._watching import Watch

STATE_ASKED_S = 60.0
"""How long to wait for the registry to say where it stands; then it is asked anew."""
AWAY_S = 1.0
AWAY_S_MAX = 30.0
"""How long to wait before another try, if a watch was refused; twice as long each time."""

log = logging.getLogger("worker_client")


class Follower:
    """
    Has *cache* follow what the registry at the other end of *link* does.

    Ends with the link. Holds no client, so that one which nobody uses any more can go.
    """

    def __init__(self, link: Link, cache: Cache) -> None:
        self._link = link
        self._cache = cache
        self._thread = threading.Thread(
            target=self._follow, name=f"genre-registry watch of {link.target}", daemon=True
        )
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended, as it does when its link is closed."""
        self._thread.join()

    def _follow(self) -> None:
        pause_s = AWAY_S
        told = ""
        while not self._link.is_closed:
            try:
                self._watch()
            except HistoryTrimmed:
                continue  # the next round begins with an empty cache
            except (CallCancelled, RegistryUnavailable, DeadlineExceeded):
                pass
            except RegistryError as error:
                told = say_refused(error, told)
            finally:
                if self._cache.is_watched:
                    pause_s, told = AWAY_S, ""
                self._cache.age()
            self._link.wait_closed(pause_s)
            pause_s = min(2 * pause_s, AWAY_S_MAX)

    def _watch(self) -> None:
        page = self._link.call(_calls.standing(), STATE_ASKED_S)
        watch = watch_from(page, self._cache, self._link.target)
        with closing(self._link.watch(watch)) as changes:
            for change in changes:
                self._cache.hear(change)


def say_refused(error: RegistryError, told: str) -> str:
    """Say in the log that a watch is refused, unless *told* says the same; return what is said."""
    if str(error) != told:
        log.warning("Not watched, so that what is known is asked again: %s", error)
    return str(error)


def watch_from(page: GenrePage, cache: Cache, target: str) -> Watch:
    """Return a watch from where the registry stands, on an emptied *cache*."""
    # What was answered before may be another registry's.
    cache.clear()
    return Watch(page.revision, page.incarnation, target=target, on_away=cache.age)

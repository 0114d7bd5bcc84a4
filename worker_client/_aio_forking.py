"""
What asyncio's gRPC does not survive is refused in words: a fork while one of its channels is open.

The threads of gRPC's core crash in the child, or hang it, at its next channel of asyncio; nothing
done in the child mends that, and no hook can close a channel of a running loop in the parent.
Children made by spawn or forkserver, or forked before the first channel or after the last, are
well; so is the client without asyncio, in any child.
"""

import os
import warnings
import weakref
from typing import Protocol

_FORKED = (
    "This process was forked while an AsyncGenreRegistryClient was open, and gRPC would crash "
    "here. Close the client before the fork, or make processes by 'spawn' or 'forkserver'."
)

_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()
_links: "weakref.WeakSet[Link]" = weakref.WeakSet()
_kept: "list[Link]" = []
"""What a child has inherited: to let go of a channel waits for threads that are not there."""
_is_registered = False
_is_forked_open = False


class Link(Protocol):
    is_closed: bool


class Client(Protocol):
    def _after_fork_in_child(self) -> None:
        """Forget what was known, without a call to gRPC."""


def check() -> None:
    """
    See that this process can use gRPC with asyncio.

    Raises:
        RuntimeError: it was forked from one that had it in use.
    """
    if _is_forked_open:
        raise RuntimeError(_FORKED)


def add(client: Client, link: Link) -> None:
    """Note that *client* has opened *link*."""
    global _is_registered
    _clients.add(client)
    _links.add(link)
    if not _is_registered and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_child=_after_in_child)
        _is_registered = True


def _is_in_use() -> bool:
    return any(not link.is_closed for link in list(_links))


def _before() -> None:
    if _is_in_use():
        warnings.warn(
            "A fork while an AsyncGenreRegistryClient is open: the child can't use another. "
            "Close it before, or make processes by 'spawn' or 'forkserver'.",
            RuntimeWarning,
            stacklevel=2,
        )


def _after_in_child() -> None:
    global _is_forked_open
    _is_forked_open = _is_forked_open or _is_in_use()
    _kept.extend(_links)
    for client in list(_clients):
        client._after_fork_in_child()

"""Waiting until gRPC's threads are gone: a fork while they end hangs the child, or the parent."""

import os
import threading
import time
from pathlib import Path

_SETTLE_S = 0.5
"""How long gRPC's threads may take to end; they need 1-5 ms, and on a busy machine 100."""

_SETTLE_IN_VAIN_S = 0.05
"""The same after they didn't end: then somebody else in the process has a channel, too."""

_NAMING_S = 0.05
"""How long to wait for threads without a name: one of gRPC's soon has one."""

_POLL_S = 0.0005

_TASKS = Path("/proc/self/task")

_CORE_THREADS = ("event_engine", "grpc_", "lifeguard", "default-executo", "resolver-execut")
"""How the names of the core's threads begin; Linux keeps 15 characters of a name."""

_SPIN_THREAD = "(_run)"
"""How the names end that Python gives the threads in which gRPC's Python part serves streams."""

_has_settled = True
_strangers: set[int] = set()
"""Threads that stayed without a name, so somebody else's; a numerical library has such."""


def forget() -> None:
    """Begin anew, in a forked child."""
    global _has_settled
    _has_settled = True
    _strangers.clear()


def settle() -> None:
    """Wait until gRPC's threads are gone."""
    global _has_settled
    limit_s = _SETTLE_S if _has_settled else _SETTLE_IN_VAIN_S
    began = time.monotonic()
    while True:
        named, unnamed = _grpc_threads()
        unnamed -= _strangers
        _has_settled = not named
        waited_s = time.monotonic() - began
        if not (named or unnamed) or waited_s > (limit_s if named else _NAMING_S):
            break
        time.sleep(_POLL_S)
    _strangers.update(unnamed)


def _grpc_threads() -> tuple[set[int], set[int]]:
    """Return the ids of gRPC's threads, and of those that may be its own but have no name yet."""
    pythons = {thread.native_id: thread.name for thread in threading.enumerate()}
    named = {
        thread_id
        for thread_id, name in pythons.items()
        if thread_id and name.endswith(_SPIN_THREAD) and thread_id != threading.get_native_id()
    }
    unnamed: set[int] = set()
    try:
        ids = [int(task.name) for task in _TASKS.iterdir()]
    except OSError:  # not Linux: the core's threads can't be seen
        return named, unnamed
    process = _name_of(os.getpid())
    for thread_id in ids:
        if thread_id not in pythons:
            name = _name_of(thread_id)
            if name.startswith(_CORE_THREADS):
                named.add(thread_id)
            elif name and name == process:  # as a thread is called until it names itself
                unnamed.add(thread_id)
    return named, unnamed


def _name_of(thread_id: int) -> str:
    try:
        return (_TASKS / str(thread_id) / "comm").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return ""

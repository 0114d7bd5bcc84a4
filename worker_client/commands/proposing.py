"""Commands that propose others, and change nothing themselves."""

import os
import shlex

from worker_client._config import TARGET_DEFAULT
from worker_client.commands.connecting import FILES
from worker_client.commands.printing import Options


def genrectl_line(options: Options, *words: str) -> str:
    """
    Return the line for a shell that calls the same registry with *words*.

    Args:
        options: What this command was given; a target that a bare `genrectl` would not call
            is named again, and so are files that the environment does not name.
    """
    usual = os.environ.get("GENRECTL_TARGET", TARGET_DEFAULT)
    target = [] if options["target"] == usual else ["--target", options["target"]]
    files = [
        word
        for name, (flag, variable, _told) in FILES.items()
        if (path := options.get(name)) is not None and os.environ.get(variable) != str(path)
        for word in (flag, str(path))
    ]
    return shlex.join(["genrectl", *target, *files, *words])

"""Commands that propose others, and change nothing themselves."""

import os
import shlex

from worker_client._config import TARGET_DEFAULT
from worker_client.commands.printing import Options


def genrectl_line(options: Options, *words: str) -> str:
    """
    Return the line for a shell that calls the same registry with *words*.

    Args:
        options: What this command was given; a target that a bare `genrectl` would not call
            is named again.
    """
    usual = os.environ.get("GENRECTL_TARGET", TARGET_DEFAULT)
    target = [] if options["target"] == usual else ["--target", options["target"]]
    return shlex.join(["genrectl", *target, *words])

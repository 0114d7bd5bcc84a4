"""`genrectl backup`: a copy of the registry on its server's machine."""

import json
from dataclasses import asdict
from typing import Any

import click

from worker_client._exits import calling


@click.command()
@click.argument("target")
@click.pass_obj
def backup(options: dict[str, Any], target: str) -> None:
    """Have the server copy its registry to TARGET, on its own machine, and verify that.

    TARGET is an absolute path there: a file that does not exist, or a folder, in which the
    backup is named by the time and its revision. Nothing is replaced.
    """
    with calling(options) as registry:
        made = registry.backup(target)
    if options["as_json"]:
        click.echo(json.dumps(asdict(made), ensure_ascii=False))
        return
    click.echo(f"{made.path}: revision {made.revision}, {made.size_bytes} bytes, verified")

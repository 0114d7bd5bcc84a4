"""`genrectl tidy`."""

import click

from worker_client._exits import calling
from worker_client._tables import printable
from worker_client._tidy import tidied
from worker_client.commands.printing import Options, say_json, say_rows
from worker_client.commands.proposing import genrectl_line


@click.command()
@click.pass_obj
def tidy(options: Options) -> None:
    """Propose names for genres that shout ("HARD ROCK") or are all in lower case.

    Prints what to rename, each with the command that does it; changes nothing. To do all of it:

    \b
      genrectl --json tidy | jq -r .command | sh
    """
    with calling(options) as registry:
        genres = list(registry.list_genres())
    rows = []
    for genre in genres:
        if (found := tidied(genre.name)) is None:
            continue
        fault, proposed = found
        # What begins with a hyphen is no option after "--".
        ends_options = ("--",) if proposed.startswith("-") else ()
        command = genrectl_line(options, "rename", *ends_options, str(genre.id), proposed)
        if options["as_json"]:
            say_json(
                id=genre.id,
                name=genre.name,
                proposed=proposed,
                fault=fault,
                command=command,
            )
        rows.append((str(genre.id), printable(genre.name), fault.value, command))
    if not options["as_json"]:
        say_rows(("id", "name", "is", "to rename it"), rows)
        if not rows:
            click.echo(f"All {len(genres)} genres are tidy.")

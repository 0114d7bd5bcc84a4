"""`genrectl alias`, `block`, `unblock` and `distinguish`: what reaches which genre."""

import click

from worker_client._exits import calling, confirm
from worker_client._tables import printable
from worker_client.commands.naming import Named, find, genre_argument, genre_option
from worker_client.commands.printing import Options, say_genre, say_json


@click.group()
def alias() -> None:
    """Have a spelling reach a genre, or no more."""


@alias.command("add")
@genre_argument()
@click.argument("spelling")
@click.pass_obj
def add(options: Options, genre: Named, spelling: str) -> None:
    """Have SPELLING reach GENRE too."""
    with calling(options) as registry:
        changed = registry.add_alias(find(registry, genre).id, spelling)
    say_genre(options, changed, f"also {printable(spelling)}")


@alias.command("remove")
@genre_argument()
@click.argument("spelling")
@click.pass_obj
def remove(options: Options, genre: Named, spelling: str) -> None:
    """Have SPELLING reach GENRE no more.

    For good: no reference pack brings it back.
    """
    with calling(options) as registry:
        changed = registry.remove_alias(find(registry, genre).id, spelling)
    say_genre(options, changed, f"no longer {printable(spelling)}")


@click.command()
@click.argument("spelling")
@click.pass_obj
def block(options: Options, spelling: str) -> None:
    """Have SPELLING name no genre, whoever asks.

    An alias is taken from its genre. "genrectl unblock" undoes it, but gives no alias back.
    """
    with calling(options) as registry:
        loser = registry.block_spelling(spelling)
    if options["as_json"]:
        say_json(spelling=spelling, blocked=True, genre=loser)
        return
    click.echo(f"blocked  {printable(spelling)}")
    if loser is not None:
        say_genre(options, loser, f"no longer {printable(spelling)}")


@click.command()
@click.argument("spelling")
@click.pass_obj
def unblock(options: Options, spelling: str) -> None:
    """Free the blocked SPELLING."""
    with calling(options) as registry:
        registry.unblock_spelling(spelling)
    if options["as_json"]:
        say_json(spelling=spelling, blocked=False)
        return
    click.echo(f"free  {printable(spelling)}")


@click.command()
@click.argument("spelling")
@genre_option("--as", "genre", help="What it is to reach, instead of one of its own.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def distinguish(options: Options, spelling: str, genre: Named | None, yes: bool) -> None:
    """Pin SPELLING apart from its look-alikes.

    Those differ only in hyphens, spaces or "and". It is a genre of its own then, or reaches
    the one that --as says, when it is written like this, but for case and typography. That
    can't be undone, so it asks first.
    """
    confirm(f"Pin {spelling!r} apart? That can't be undone.", yes=yes)
    with calling(options) as registry:
        pinned = registry.distinguish_spelling(spelling, find(registry, genre).id if genre else 0)
    if options["as_json"]:
        say_genre(options, pinned.genre, created=pinned.created)
        return
    say_genre(options, pinned.genre, "created" if pinned.created else "known")

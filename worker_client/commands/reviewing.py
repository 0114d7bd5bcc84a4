"""`genrectl reviews` and `settle`: compounds that no rule could decide."""

import click

from worker_client._curation_values import Review, ReviewDecision, Settlement
from worker_client._exits import calling
from worker_client._tables import plain, quoted
from worker_client.commands.naming import Named, find, genre_option
from worker_client.commands.printing import Options, say_genre, say_rows, say_value


@click.command()
@click.option("--settled", is_flag=True, help="Those that were decided too.")
@click.pass_obj
def reviews(options: Options, settled: bool) -> None:
    """Print the compounds that wait for a decision.

    Those seen most often come first.
    """
    with calling(options) as registry:
        listed = list(registry.list_reviews(show_settled=settled))
    if options["as_json"]:
        for review in listed:
            say_value(review)
        return
    if not listed:
        click.echo("No compound waits for a decision.")
        return
    say_rows(
        ("seen", "compound", "rule", "reaches", "decided"),
        (
            (
                str(review.times_seen),
                quoted(review.text),
                review.rule,
                f"{review.genre.id} {plain(review.genre.name)}" if review.genre else "",
                _decided(review),
            )
            for review in listed
        ),
    )


@click.command()
@click.argument("text")
@click.option("--keep", is_flag=True, help="It is one genre as it stands, known from now on.")
@click.option("--drop", is_flag=True, help="It names no genre: its own is deleted.")
@genre_option("--alias-of", help="It is a spelling of this: its own is merged into it.")
@click.option("--expand-into", metavar="NAME", multiple=True, help="It means this; to be repeated.")
@click.pass_obj
def settle(
    options: Options,
    text: str,
    keep: bool,
    drop: bool,
    alias_of: Named | None,
    expand_into: tuple[str, ...],
) -> None:
    """Decide what the compound TEXT is, for good.

    Takes one of the options. TEXT need not be listed: any tag may be expanded. To decide anew
    replaces what was decided.
    """
    if sum((keep, drop, alias_of is not None, bool(expand_into))) != 1:
        raise click.UsageError("Give one of --keep, --drop, --alias-of and --expand-into.")
    with calling(options) as registry:
        if keep:
            settlement = Settlement.keep()
        elif drop:
            settlement = Settlement.drop()
        elif alias_of is not None:
            settlement = Settlement.alias_of(find(registry, alias_of).id)
        else:
            settlement = Settlement.expand_into(expand_into)
        settled = registry.settle_review(text, settlement)
    if options["as_json"]:
        say_value(settled)
        return
    click.echo(f"{quoted(settled.review.text)}: {_decided(settled.review)}")
    for genre in settled.genres:
        say_genre(options, genre)


def _decided(review: Review) -> str:
    if review.decision is ReviewDecision.UNDECIDED:
        return ""
    names = ", ".join(map(plain, review.names))
    return review.decision.name.lower() + (f": {names}" if names else "")

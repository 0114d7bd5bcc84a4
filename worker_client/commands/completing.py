"""`genrectl completion`, and the names that it offers."""

import os
import re

import click
from click.shell_completion import CompletionItem, get_completion_class

from worker_client._config import TARGET_DEFAULT
from worker_client.commands.connecting import token_and_tls

OFFERED_MAX = 20
OFFERED_WITHIN_S = 0.5
"""A shell that waits longer for its completion seems to hang."""
_VARIABLE = "_GENRECTL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    It completes commands, options and the names of genres.

    \b
      bash  genrectl completion bash > ~/.local/share/bash-completion/completions/genrectl
      zsh   genrectl completion zsh > "${fpath[1]}/_genrectl"
      fish  genrectl completion fish > ~/.config/fish/completions/genrectl.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "genrectl", _VARIABLE).source())


def matching_names(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Return what the registry would complete *begun* to; nothing if it can't be asked."""
    from worker_client import GenreRegistryClient, RegistryError

    root = context.find_root()
    target = root.params.get("target") or TARGET_DEFAULT
    if not begun or begun.isdigit():
        return []
    try:
        shown = token_and_tls(root)
        with GenreRegistryClient(target, **shown) as registry:
            genres = registry.search_genres(begun, OFFERED_MAX, deadline_s=OFFERED_WITHIN_S)
    except (RegistryError, click.UsageError):
        return []
    return [
        CompletionItem(_as_typed(genre.name), help=str(genre.id))
        for genre in genres
        if genre.name.casefold().startswith(begun.casefold())
    ]


def _as_typed(name: str) -> str:
    # The other shells quote by themselves what they put into the line.
    is_bash = os.environ.get(_VARIABLE) == "bash_complete"
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", name) if is_bash else name

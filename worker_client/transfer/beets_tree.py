"""
The genre tree of beets' plugin `lastgenre`: YAML lists, in which a genre with children is a key.

    - electronic:
        - house:
            - acid house
        - techno

Source: beets, beetsplug/lastgenre/genres-tree.yaml and `flatten_tree`.
"""

from collections.abc import Iterator
from typing import BinaryIO

import yaml

from worker_client.transfer.records import InputWrong, Placed, genre_record

_BYTES_MAX = 4 << 20
"""Of a tree, which is read whole; that of beets has 15 KiB."""


def read_beets_tree(file: BinaryIO) -> Iterator[Placed]:
    """
    Give a record for each genre of the tree in *file*, with its parent; that comes before.

    Every scalar is a name, also `no` and `2000`. A genre in several places has as many records.

    Raises:
        InputWrong: *file* is no YAML, or no such tree.
    """
    text = file.read(_BYTES_MAX + 1)
    if len(text) > _BYTES_MAX:
        raise InputWrong(f"It is larger than {_BYTES_MAX >> 20} MiB, and so no tree of beets.")
    try:
        root = yaml.compose(text, _Loader)
        if isinstance(root, yaml.ScalarNode):
            raise InputWrong("It is no tree, in which lists are below genres. Is it a list?", 1)
        yield from _at_and_below(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = error.problem or error.context
        raise InputWrong(f"It is no YAML: {why}.", mark.line + 1 if mark else 0) from None
    except yaml.YAMLError as error:
        raise InputWrong(f"It is no YAML: {' '.join(str(error).split())}.") from None
    except RecursionError:
        raise InputWrong("Its lists are nested too deep for a tree of genres.") from None


class _Loader(yaml.BaseLoader):
    """Refuses YAML's aliases: with a few lines of them, a tree would never end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call] # in stubs
            raise InputWrong("A tree of genres has no YAML aliases (*name). Write it out.", line)
        return super().compose_node(parent, index)


def _at_and_below(node: yaml.Node | None, parents: tuple[str, ...]) -> Iterator[Placed]:
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _at_and_below(each, parents)
    elif isinstance(node, yaml.MappingNode):
        for key, children in node.value:
            yield _placed(key, parents)
            if not _is_blank(children):
                yield from _at_and_below(children, (_name(key),))
    elif node is not None:
        yield _placed(node, parents)


def _placed(node: yaml.Node, parents: tuple[str, ...]) -> Placed:
    return Placed(genre_record(_name(node), parents=parents), node.start_mark.line + 1)


def _name(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or _is_blank(node):
        raise InputWrong("Here should be the name of a genre.", node.start_mark.line + 1)
    return str(node.value).strip()


def _is_blank(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not str(node.value).strip()

"""Category paths and codes: the nodes that a row names, each a record of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.feeds.entities import CodesDefinition, PathDefinition
from shared.feeds.errors import RowRejected
from shared.feeds.limits import Limits
from shared.feeds.reading_values import Values, first_of, names_of, split_escaped, text_of
from shared.feeds.row_keys import check_length

PATH_ATTRIBUTES = ("level", "name", "parent", "path")
CODE_ATTRIBUTES = ("code",)
_MAX_REMEMBERED = 20_000
"""Nodes (and cells) that are remembered at a time; then it begins anew."""
_CHARACTERS_OF_A_NODE = 256
"""A cell may be long and name little: so many characters weigh as much as a node."""


def path_key(names: Sequence[str]) -> str:
    r"""The key of a node: the names on the way to it, joined by " > ". A `>` inside a name (where another separator
    splits the path) is escaped, so that different paths have different keys."""
    return " > ".join(name.replace("\\", "\\\\").replace(">", "\\>") if ">" in name else name for name in names)


def path_nodes(names: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Key and attributes of every node on a path, from the root down."""
    nodes: list[tuple[str, dict[str, Any]]] = []
    parent: str | None = None
    for level in range(1, len(names) + 1):
        key = path_key(names[:level])
        attributes: dict[str, Any] = {"name": names[level - 1], "path": list(names[:level]), "level": level}
        if parent is not None:
            attributes["parent"] = parent
        nodes.append((key, attributes))
        parent = key
    return nodes


class NodesOfCell:
    """What one cell's content names. Cells repeat a lot, so this is computed once and remembered."""

    __slots__ = ("keys", "nodes", "written")

    def __init__(self, keys: list[str], nodes: list[tuple[str, dict[str, Any]]]) -> None:
        self.keys = keys
        """The nodes that a product refers to: the last one of each path."""
        self.nodes = nodes
        self.written = False
        """Whether the nodes have been given out as records: once is enough."""


NOTHING = NodesOfCell([], [])
NOTHING.written = True


class NodeSource:
    """The nodes of one `path` or `codes` definition."""

    def __init__(self, definition: PathDefinition | CodesDefinition, limits: Limits) -> None:
        self._definition = definition
        self._limits = limits
        self._columns = names_of(definition.source)
        self._value_of = first_of(self._columns)
        self._remembered: dict[Any, NodesOfCell] = {}
        self._weight = 0
        self.is_list = not isinstance(definition, PathDefinition) or (
            definition.multiple is not None or definition.list_holds == "paths"
        )
        """Whether a row may name several, so that a reference to them is a list."""

    def of(self, values: Values) -> NodesOfCell:
        """The nodes that a row names. Raises RowRejected for a path that is too long, or too many."""
        value = self._value_of(values)
        if value is None:
            return NOTHING
        cell: Any = tuple(map(text_of, value)) if isinstance(value, list) else text_of(value)
        found = self._remembered.get(cell)
        if found is None:
            found = self._nodes_of(cell)
            weight = 1 + len(found.nodes) + _characters(cell) // _CHARACTERS_OF_A_NODE
            self._weight += weight
            if self._weight > _MAX_REMEMBERED:
                self._remembered.clear()
                self._weight = weight
            self._remembered[cell] = found
        return found

    def remembered(self) -> list[str]:
        """The cells that are remembered now, as texts."""
        return [str(cell) for cell in self._remembered]

    def _nodes_of(self, cell: str | tuple[str | None, ...] | None) -> NodesOfCell:
        if cell is None:
            raise RowRejected(
                f"expected a path or a list of names, found a map in {self._columns[0]}", self._columns[0]
            )
        texts = [text for text in ([cell] if isinstance(cell, str) else cell) if text is not None]
        nodes: dict[str, dict[str, Any]] = {}
        keys: dict[str, None] = {}
        if isinstance(self._definition, CodesDefinition):
            codes = [code for text in texts for code in split_escaped(text, self._definition.separator)]
            for code in codes:
                self._check(code, len(nodes))
                nodes[code] = {"code": code}
            return NodesOfCell(list(nodes), list(nodes.items()))
        for names in self._paths(texts, self._definition, is_list=not isinstance(cell, str)):
            self._check(path_key(names), len(nodes) + len(names))
            nodes.update(path_nodes(names))
            keys[path_key(names)] = None
        return NodesOfCell(list(keys), list(nodes.items()))

    @staticmethod
    def _paths(texts: Sequence[str], definition: PathDefinition, *, is_list: bool) -> list[list[str]]:
        if is_list and definition.list_holds == "parts":
            names = [name for text in texts if (name := text.strip())]
            return [names] if names else []
        paths: list[list[str]] = []
        for text in texts:
            whole = split_paths(text, definition.multiple, definition.separator)
            paths.extend(names for names in whole if names)
        return paths

    def _check(self, key: str, count: int) -> None:
        try:
            check_length(key, self._limits.max_key_bytes)
        except RowRejected as problem:
            raise RowRejected(problem.reason, self._columns[0]) from problem
        if count > self._limits.max_nodes_per_row:
            reason = f"the row names more than {self._limits.max_nodes_per_row:,} nodes in {self._columns[0]}"
            raise RowRejected(reason, self._columns[0])


def _characters(cell: str | tuple[str | None, ...] | None) -> int:
    if cell is None or isinstance(cell, str):
        return len(cell or "")
    return sum(len(text or "") for text in cell)


def split_paths(text: str, multiple: str | None, separator: str | None) -> list[list[str]]:
    r"""The paths of a cell, each as its names. `\` before either separator makes it part of a name."""
    if multiple is None:
        wholes = [text]
    elif "\\" in text:
        # Escapes of the inner separator must outlive the outer split.
        hidden = text.replace("\\" + multiple, "\x00")
        wholes = [part.replace("\x00", multiple) for part in hidden.split(multiple)]
    else:
        wholes = text.split(multiple)
    if separator is None:
        return [[name] for whole in wholes if (name := whole.strip())]
    return [split_escaped(whole, separator) for whole in wholes]

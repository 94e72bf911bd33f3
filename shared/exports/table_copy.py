"""The accounts of an exported credit table, sorted on disk: what the live table answers with queries."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import InvalidOperation
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from shared import keys
from shared.credits import Balance, Grant, Operation
from shared.credits.account import to_balance, to_grant
from shared.credits.operations import to_operation
from shared.exports.table_files import Row, TableExport, TableExportUnreadable
from shared.ids import first_operation_id, last_operation_id
from shared.keys import Item, Key

_SCHEMA = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE items (
        workspace TEXT, kind TEXT, id TEXT, place TEXT, item TEXT, PRIMARY KEY (workspace, kind, id)
    ) WITHOUT ROWID;
"""
"""A file that is thrown away with the process: nothing of it has to survive."""

Thing = TypeVar("Thing", Balance, Grant, Operation)

_OPERATION, _GRANT, _BALANCE = "operation", "grant", "balance"


class TableCopy:
    """What was read of an export. Used as a context, so that the file is closed.

    Its memory is that of SQLite's cache. Raises TableExportUnreadable for an item that is not what its key says.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def fill(self, export: TableExport, workspace_id: str | None = None) -> None:
        """Reads everything in, or what is of one workspace."""
        with self._connection:
            for row in export.rows():
                kept = _kept(row)
                if kept is not None and workspace_id in (None, kept[0]):
                    self._keep(row, kept)

    def workspaces(self) -> list[str]:
        """The workspaces that have an account."""
        found = self._connection.execute("SELECT workspace FROM items WHERE kind = ? ORDER BY workspace", (_BALANCE,))
        return [workspace for (workspace,) in found]

    def balance(self, workspace_id: str) -> Balance:
        """Raises KeyError when there is no such account."""
        for place, item in self._read(workspace_id, _BALANCE, "", "\x7f"):
            return _understood(place, to_balance, item)
        raise KeyError(workspace_id)

    def grants(self, workspace_id: str) -> list[Grant]:
        """All that the workspace was ever given."""
        return [_understood(place, to_grant, item) for place, item in self._read(workspace_id, _GRANT, "", "\x7f")]

    def forward(self, workspace_id: str, since: datetime, until: datetime) -> Iterator[Operation]:
        """As `OperationLog.forward`: every operation from `since` on and before `until`, oldest first."""
        if since >= until:
            return
        last = last_operation_id(until - timedelta(milliseconds=1))
        for place, item in self._read(workspace_id, _OPERATION, first_operation_id(since), last):
            yield _understood(place, to_operation, item)

    def _keep(self, row: Row, kept: tuple[str, str, str]) -> None:
        try:
            self._connection.execute(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?)", (*kept, row.where, json.dumps(row.item))
            )
        except sqlite3.IntegrityError as error:
            raise TableExportUnreadable(f"{row.where}: {kept[2] or kept[0]} is there twice") from error

    def _read(self, workspace_id: str, kind: str, lowest: str, highest: str) -> Iterator[tuple[str, Item]]:
        found = self._connection.execute(
            "SELECT place, item FROM items WHERE workspace = ? AND kind = ? AND id BETWEEN ? AND ? ORDER BY id",
            (workspace_id, kind, lowest, highest),
        )
        for place, item in found:
            yield place, json.loads(item)


def _kept(row: Row) -> tuple[str, str, str] | None:
    """Workspace, kind and identifier of an item that files are made of; None for any other.

    An item is what its key says: all items have the attributes of the same names.
    """
    texts = {name: value.get("S") for name, value in row.item.items() if isinstance(value, dict)}
    workspace, key = texts.get("workspace_id"), (texts.get("pk"), texts.get("sk"))
    if not isinstance(workspace, str):
        return None
    if key == _pair(keys.balance(workspace)):
        return workspace, _BALANCE, ""
    operation, grant = texts.get("operation_id"), texts.get("grant_id")
    if isinstance(grant, str) and key == _pair(keys.grant(workspace, grant)):
        return workspace, _GRANT, grant
    if isinstance(operation, str):
        try:
            is_entry = key == _pair(keys.operation(workspace, operation))
        except ValueError:
            return None
        return (workspace, _OPERATION, operation) if is_entry else None
    return None


def _pair(key: Key) -> tuple[str, str]:
    return key.pk, key.sk


def _understood(place: str, read: Callable[[Item], Thing], item: Item) -> Thing:
    """What the item says. A hostile one may be anything."""
    try:
        return read(item)
    except (KeyError, ValueError, TypeError, AttributeError, InvalidOperation, RecursionError) as error:
        raise TableExportUnreadable(f"{place}: not as this system writes it ({error!r})") from error

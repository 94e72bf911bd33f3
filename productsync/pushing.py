"""Pushing a file of records through the API: reading it row by row, and setting aside what is refused."""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Any, BinaryIO, NoReturn

from productsync.answers import Batch, RecordChange
from productsync.client import Answer, Client, batches
from productsync.failures import ApiProblem
from productsync.files import UnusableFile

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PLACE = re.compile(r"records\.(\d+)(?:\.(.+))?")
"""How a problem names a record of a batch: `records.3.attributes.price`."""


@dataclass(frozen=True)
class Row:
    """A record of a file, and where it stands there: `line 7`, `item 7`."""

    place: str
    change: RecordChange


@dataclass(frozen=True)
class Refused:
    """A record that was not written, and why. `status` is None for what was not even sent."""

    place: str
    key: str | None
    status: int | None
    detail: str

    def document(self) -> dict[str, Any]:
        return {"place": self.place, "key": self.key, "status": self.status, "detail": self.detail}


class RecordFile:
    """The records of a stream: JSON Lines, in as little memory as a line takes, or one JSON array, read as a whole.

    `size` is what it holds, in bytes, where that is known. Iterating raises UnusableFile, saying where, at what is not
    JSON; a row that is no record is refused, and the others go on.
    """

    def __init__(self, stream: BinaryIO, name: str, size: int | None = None) -> None:
        self._stream = stream
        self._name = name
        self._size = size
        self.progress = 0.0
        """How much of it was read: 0 to 1."""

    def __iter__(self) -> Iterator[Row | Refused]:
        read, begun = 0, False
        for number, line in enumerate(self._stream, 1):
            read += len(line)
            text = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).strip()
            if not begun and text.startswith(b"["):
                yield from self._items(text + b"\n" + self._stream.read())
                return
            self.progress = read / self._size if self._size else 0.0
            if text:
                begun = True
                yield _row(f"line {number}", self._parsed(text, f"line {number}"))

    def _items(self, content: bytes) -> Iterator[Row | Refused]:
        items = self._parsed(content, "its JSON array")
        for place, item in enumerate(items, 1):
            self.progress = place / len(items)
            yield _row(f"item {place}", item)

    def _parsed(self, text: bytes, where: str) -> Any:
        def refuse(name: str) -> NoReturn:
            raise UnusableFile(f"{self._name} is not JSON", f"{where}: {name} is not a number of JSON")

        try:
            return json.loads(text, parse_float=Decimal, parse_constant=refuse)
        except UnicodeDecodeError as error:
            raise UnusableFile(f"{self._name} is not UTF-8 text", where) from error
        except json.JSONDecodeError as error:
            raise UnusableFile(f"{self._name} is not JSON", f"{where}: {error}") from error
        except (RecursionError, ValueError, ArithmeticError) as error:
            detail = f"{where} is nested too deeply, or holds too large a number"
            raise UnusableFile(f"{self._name} cannot be read", detail) from error


@dataclass
class Pushed:
    """What became of a file so far. `credits` are None when the API does not say what the calls cost, as to people."""

    calls: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    credits: int | None = 0
    available: int | None = None
    refused: list[Refused] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many were dealt with, refused ones too."""
        return sum(self.counts.values()) + len(self.refused)

    @property
    def counts(self) -> dict[str, int]:
        """What became of those that were not refused."""
        return {
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
        }

    def document(self) -> dict[str, Any]:
        """It as JSON, for programs."""
        return {
            "records": self.records,
            "calls": self.calls,
            **self.counts,
            "credits": self.credits,
            "available": self.available,
            "refused": [one.document() for one in self.refused],
        }

    def refuse(self, row: Row, status: int, detail: str) -> None:
        """Counts a record that was not written."""
        self.refused.append(Refused(row.place, row.change["key"], status, detail))

    def add(self, rows: list[Row], answer: Answer[Batch], cost: int | None) -> None:
        """Counts a batch that was answered; `cost` is what it cost, in credits."""
        batch = answer.body
        self.calls += 1
        self.created += batch["created"]
        self.updated += batch["updated"]
        self.unchanged += batch["unchanged"]
        self.deleted += batch["deleted"]
        self.credits = None if self.credits is None or cost is None else self.credits + cost
        self.available = answer.available
        for row, item in zip(rows, batch["items"], strict=True):
            if item["change"] == "refused":
                self.refuse(row, item["status"], item["detail"] or "refused")


def push(client: Client, entity: str, rows: Iterable[Row | Refused], pushed: Pushed) -> Iterator[Pushed]:
    """Writes the records of a file, and gives `pushed` after each batch, with what has become of it so far.

    A record that is refused keeps none of the others from being written. Raises ApiProblem when the API refuses for
    another reason than a record, such as 402; what was pushed before is written.
    """
    waiting: deque[Row] = deque()

    def changes() -> Iterator[RecordChange]:
        for row in rows:
            if isinstance(row, Refused):
                pushed.refused.append(row)
            else:
                waiting.append(row)
                yield row.change

    for batch in batches(changes()):
        _push_batch(client, entity, [waiting.popleft() for _ in batch], pushed)
        yield pushed


def _push_batch(client: Client, entity: str, rows: list[Row], pushed: Pushed) -> None:
    """Writes a batch, or what is left of it without the records that it is refused for."""
    parts = [rows]
    while parts:
        part = parts.pop()
        try:
            answer = client.records.push(entity, [row.change for row in part])
        except ApiProblem as problem:
            reasons = _reasons(problem, part)
            if reasons:
                for place, reason in sorted(reasons.items()):
                    pushed.refuse(part[place], problem.status, reason)
                rest = [row for place, row in enumerate(part) if place not in reasons]
                parts += [rest] if rest else []
            elif problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(part) > 1:
                # Together they are too many bytes to be stored at once; which of them, it does not say.
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            else:
                raise
        else:
            pushed.add(part, answer, _cost(client, answer))


def _reasons(problem: ApiProblem, part: list[Row]) -> dict[int, str]:
    """Why which records of a batch are refused, by their places in it; nothing when it is for another reason too."""
    if problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(part) == 1:
        return {0: problem.detail or problem.title}
    if problem.status != HTTPStatus.UNPROCESSABLE_ENTITY:
        return {}
    reasons: dict[int, str] = {}
    for name, message in problem.errors:
        found = _PLACE.fullmatch(name)
        if found is None or int(found[1]) >= len(part):
            return {}
        told = f"{found[2]}: {message}" if found[2] else message
        reasons[int(found[1])] = "; ".join(filter(None, [reasons.get(int(found[1])), told]))
    return reasons


def _cost(client: Client, answer: Answer[Batch]) -> int | None:
    """What a batch cost. Where its first answer was lost, the operation still says what it was."""
    if answer.replayed and answer.operation_id is not None:
        return client.operations.get(answer.operation_id).body["credits"]
    return answer.charged


def _row(place: str, document: Any) -> Row | Refused:
    """A row with a key, at least; whether the rest can be a record is for the API to judge."""
    if not isinstance(document, dict):
        return Refused(place, None, None, "it is not a JSON object")
    key = document.get("key")
    if not isinstance(key, str):
        return Refused(place, None, None, "it has no key that is text")
    # The API refuses what does not fit the type, by the name of the field.
    change: Any = document
    return Row(place, change)

"""Records of the same entity and key, anywhere in a file, become one: later values win over earlier ones.

Records are written as they first appear. An index on disk (SQLite, in the working directory) knows which have been;
what comes later for the same record is put aside and merged in a second pass over the file, which is only made where
there is something to merge. Memory holds one batch and a bounded cache of the index, whatever the file's size.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from json.encoder import encode_basestring
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import simplejson

from shared.dynamo.values import item_size
from shared.feeds.errors import too_much_data
from shared.feeds.json_values import canonical
from shared.feeds.limits import Limits
from shared.feeds.mapping import Collected, too_large

_QUESTION_BATCH = 500
_BEAT_EVERY = 1_000
"""Lines, or patches of one line, that are merged between two signs of life."""
_dump = simplejson.JSONEncoder(ensure_ascii=False, separators=(",", ":"), use_decimal=True, allow_nan=False).encode
_load = simplejson.JSONDecoder(parse_float=Decimal).decode


@dataclass(frozen=True, slots=True)
class FoldingRule:
    """How the records of one definition fold. Only rows that repeat a whole record are duplicates: not the further rows
    of a record that spans rows, nor the mentions of a node."""

    entity: str
    counts_duplicates: bool
    collects: bool = False
    """Whether some attribute gathers values of several rows."""


class Reject(Protocol):
    """Takes a record that turned out to be too large once all its rows were there."""

    def __call__(self, *, row: int, column: str | None, entity: str, key: str | None, reason: str) -> None: ...


class _Pending:
    """A record of the current batch."""

    __slots__ = ("attributes", "is_copy", "key", "place", "row")

    def __init__(self, place: int, key: str, attributes: dict[str, Any], row: int) -> None:
        self.place = place
        self.key = key
        self.attributes = attributes
        self.row = row
        self.is_copy = False


class Folder:
    """Writes folded records to `path`, as they first appear: one line `[entity, key, {attributes}, row]` for each."""

    def __init__(self, path: Path, rules: Sequence[FoldingRule], limits: Limits) -> None:
        self._path = path
        self._rules = rules
        self._limits = limits
        self._identities = [f"{rule.entity}\x00" for rule in rules]
        self._openings = [f"[{encode_basestring(rule.entity)}," for rule in rules]
        self._batch: dict[str, _Pending] = {}
        self._characters = 0
        self._written = 0
        self._bytes = 0
        self._patched = 0
        self._any_large = False
        self.yielded = [0] * len(rules)
        """For each rule: how many records rows yielded, before folding."""
        self.distinct = [0] * len(rules)
        """For each rule: how many remained, those that are rejected as too large among them."""
        self._database_path = path.with_name(f"{path.name}.index")
        self._database_path.unlink(missing_ok=True)
        self._unmerged_path = path.with_name(f"{path.name}.unmerged")
        self._file = path.open("wb", buffering=1024 * 1024)
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # Closing writes what is buffered, which a full disk refuses once more.
            self._file.close()
        finally:
            if self._database is not None:
                self._database.close()
            self._database_path.unlink(missing_ok=True)
            self._unmerged_path.unlink(missing_ok=True)

    def _index(self) -> sqlite3.Connection:
        """What has been written, opened when a second batch comes: most feeds are one."""
        if self._database is None:
            self._database = self._open_index()
        return self._database

    def _open_index(self) -> sqlite3.Connection:
        # It is thrown away whatever happens, so nothing is done for its safety: no journal, no syncing, one transaction
        # that is never committed.
        database = sqlite3.connect(self._database_path, isolation_level=None)
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute(f"PRAGMA cache_size = -{self._limits.index_cache_bytes // 1024}")
        database.execute("BEGIN")
        database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID")
        database.execute("CREATE TABLE patches (line INTEGER, number INTEGER, body TEXT, PRIMARY KEY (line, number))")
        return database

    def add(self, place: int, key: str, attributes: dict[str, Any], row: int) -> None:
        """Takes a record that a row yielded, by the definition at `place`."""
        self.yielded[place] += 1
        identity = self._identities[place] + key
        pending = self._batch.get(identity)
        if pending is None:
            self._batch[identity] = _Pending(place, key, attributes, row)
            return
        if not pending.is_copy:
            pending.attributes = _copied(pending.attributes)
            pending.is_copy = True
        merge(pending.attributes, attributes)

    def end_of_row(self, characters: int) -> None:
        """Writes the batch when it has grown large enough; `characters` is about what the row holds."""
        self._characters += characters
        if len(self._batch) >= self._limits.batch_records or self._characters >= self._limits.batch_characters:
            self._flush(is_last=False)

    def finish(self, reject: Reject, beat: Callable[[], None] = lambda: None) -> list[int]:
        """Writes what is left. Returns, for each rule, how many records were too large and went to `reject`.

        `beat` is called now and then; what it raises ends the merging.
        """
        self._flush(is_last=True)
        self._file.close()
        rejected = [0] * len(self._rules)
        if self._patched or self._any_large:
            self._merge_patches(reject, rejected, beat)
        return rejected

    def _flush(self, *, is_last: bool) -> None:
        if not self._batch:
            return
        digests = [hashlib.blake2b(identity.encode(), digest_size=16).digest() for identity in self._batch]
        known = self._known(digests) if self._written else {}
        new: list[tuple[bytes, int]] = []
        patches: list[tuple[int, int, str]] = []
        for digest, pending in zip(digests, self._batch.values(), strict=True):
            line = known.get(digest)
            if line is None:
                new.append((digest, self._written))
                self._write(pending)
            else:
                patch = _patch(pending.attributes)
                self._count_bytes(len(patch))
                patches.append((line, self._patched, patch))
                self._patched += 1
        if not is_last:  # nobody will ask for the last batch
            self._index().executemany("INSERT INTO seen VALUES (?, ?)", sorted(new))
        if patches:
            self._index().executemany("INSERT INTO patches VALUES (?, ?, ?)", patches)
        self._batch.clear()
        self._characters = 0

    def _known(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        for start in range(0, len(digests), _QUESTION_BATCH):
            some = digests[start : start + _QUESTION_BATCH]
            marks = ",".join("?" * len(some))
            found.update(self._index().execute(f"SELECT digest, line FROM seen WHERE digest IN ({marks})", some))  # noqa: S608 (only question marks)
        return found

    def _write(self, pending: _Pending) -> None:
        attributes = pending.attributes
        if self._rules[pending.place].collects:
            attributes = _listed(attributes)
        line = self._line(pending.place, pending.key, _dump(attributes), pending.row)
        self._count_bytes(len(line))
        self._file.write(line)
        self._written += 1
        self.distinct[pending.place] += 1
        if len(line) * 2 > self._limits.max_record_bytes:
            self._any_large = self._any_large or item_size(attributes) > self._limits.max_record_bytes

    def _count_bytes(self, count: int) -> None:
        self._bytes += count
        if self._bytes > self._limits.max_prepared_bytes:
            raise too_much_data(f"{self._limits.max_prepared_bytes:,} bytes")

    def _line(self, place: int, key: str, attributes: str, row: int) -> bytes:
        return f"{self._openings[place]}{encode_basestring(key)},{attributes},{row}]\n".encode()

    def _merge_patches(self, reject: Reject, rejected: list[int], beat: Callable[[], None]) -> None:
        """Writes the records again, each with what came for it later; those that cannot be stored are rejected."""
        self._path.rename(self._unmerged_path)
        places = {rule.entity: place for place, rule in reversed(list(enumerate(self._rules)))}
        steps = _Steps(beat)
        patches = _Lookahead(self._index().execute("SELECT line, body FROM patches ORDER BY line, number"))
        with self._unmerged_path.open("rb") as old, self._path.open("wb", buffering=1024 * 1024) as new:
            for number, line in enumerate(old):
                steps.count()
                bodies = patches.take(number)
                first = next(bodies, None)
                if first is None and len(line) * 2 <= self._limits.max_record_bytes:
                    new.write(line)
                    continue
                entity, key, attributes, row = _load(line.decode())
                merging = Merging(attributes, self._limits.max_record_bytes)
                if first is not None:
                    merging.apply(first)
                for body in bodies:
                    steps.count()
                    merging.apply(body)
                merged = merging.attributes()
                size = item_size(merged)
                if size > self._limits.max_record_bytes:
                    reject(row=row, column=None, entity=entity, key=key, reason=too_large(size, self._limits))
                    rejected[places[entity]] += 1
                else:
                    new.write(self._line(places[entity], key, _dump(merged), row))
        self._unmerged_path.unlink()


class Merging:
    """A written record that later rows are merged into, within a bound: a million rows for one key stay one record."""

    def __init__(self, attributes: dict[str, Any], max_bytes: int) -> None:
        self._attributes = attributes
        self._max_bytes = max_bytes
        self._gathered = 0
        self._full = False

    def apply(self, body: str) -> None:
        """Merges a patch; once the record can only be rejected, patches are left."""
        if self._full:
            return
        attributes, collected = _load(body)
        for name in collected:
            self._gather(name, attributes.pop(name))
        merge(self._attributes, attributes)
        # Only what is collected grows beyond all bounds: other values replace each other.
        self._full = len(self._attributes) > self._max_bytes or self._gathered > 4 * self._max_bytes

    def _gather(self, name: str, values: list[Any]) -> None:
        """Adds the values that are new. What is there is not looked through: a patch takes time for itself alone."""
        before = self._attributes.get(name)
        if not isinstance(before, Collected):
            earlier = before if isinstance(before, list) else []
            before = self._attributes[name] = Collected((canonical(value), value) for value in earlier)
            self._gathered += sum(map(len, before))
        for value in values:
            text = canonical(value)
            if text not in before:
                before[text] = value
                self._gathered += len(text)

    def attributes(self) -> dict[str, Any]:
        """The record's attributes as they are written."""
        return _listed(self._attributes)


class _Steps:
    """Counts what is merged, and calls `beat` after each thousand."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._count = 0

    def count(self) -> None:
        self._count += 1
        if self._count % _BEAT_EVERY == 0:
            self._beat()


class _Lookahead:
    """Patches in the order of their lines, taken line by line."""

    def __init__(self, patches: Iterator[tuple[int, str]]) -> None:
        self._patches = patches
        self._next = next(patches, None)

    def take(self, line: int) -> Iterator[str]:
        while self._next is not None and self._next[0] == line:
            body = self._next[1]
            self._next = next(self._patches, None)
            yield body


def merge(attributes: dict[str, Any], later: dict[str, Any]) -> None:
    """Puts later values over earlier ones; what rows collect is gathered. A blank is no value: it is not in `later`."""
    for name, value in later.items():
        before = attributes.get(name)
        if isinstance(value, Collected) and isinstance(before, Collected):
            for text, element in value.items():
                before.setdefault(text, element)
        else:
            attributes[name] = value


def _copied(attributes: dict[str, Any]) -> dict[str, Any]:
    """A copy that merging may change."""
    return {name: Collected(value) if isinstance(value, Collected) else value for name, value in attributes.items()}


def _listed(attributes: dict[str, Any]) -> dict[str, Any]:
    """With what was collected as lists."""
    if not any(value.__class__ is Collected for value in attributes.values()):
        return attributes
    return {name: list(value.values()) if isinstance(value, Collected) else value for name, value in attributes.items()}


def _patch(attributes: dict[str, Any]) -> str:
    collected = [name for name, value in attributes.items() if isinstance(value, Collected)]
    return _dump([_listed(attributes), collected])

"""XML documents: the elements that are items, one at a time, without ever building a tree of the whole.

Expat is used as it is: it streams, it says where it is, and it tells of every entity that a document declares before
anything is expanded. A document that declares one, or refers to one outside, is refused.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from xml.parsers import expat

from shared.feeds.errors import FeedUnreadable, abridged, shortened
from shared.feeds.formats import ENCODINGS, FormatDefinition
from shared.feeds.json_values import name_too_long
from shared.feeds.limits import Limits
from shared.feeds.readers.base import BadRow, Beat, Row, silent
from shared.feeds.readers.sniffing import byte_order_mark
from shared.feeds.readers.text import AsUtf8, NotThisEncoding

_BLOCK = 64 * 1024
_MAX_PATHS_SEEN = 12
_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")


class _Element:
    """An element of an item that is still open."""

    __slots__ = ("children", "name", "prefixed", "spellings", "texts")

    def __init__(self, name: str, prefixed: str) -> None:
        self.name = name
        self.prefixed = prefixed
        self.texts: list[str] = []
        self.children: dict[str, Any] = {}
        self.spellings: dict[str, str] = {}


class XmlReader:
    """Reads the elements that `format.items` names. Rows are items, from 1.

    A path names elements by their local names from the root (`rss/channel/item`) or from anywhere (`item`). An
    element without attributes and children is its text; any other is a map, its attributes spelled `@name` and its own
    text `#text`; an element that is repeated is a list.
    """

    columns = None

    def __init__(self, source: Path, layout: FormatDefinition, limits: Limits, beat: Beat = silent) -> None:
        items = layout.items or ()
        self._limits = limits
        self._beat = beat
        self._trim = layout.trim
        self._wanted = [path.strip("/").split("/") for path in ([items] if isinstance(items, str) else items)]
        self._parents = [path[:-1] for path in self._wanted if len(path) > 1]
        self._parent_found = False
        self._elements = 0
        self._row = 1
        self._path: list[str] = []
        self._open: list[_Element] = []
        self._ready: deque[Row | BadRow] = deque()
        self._seen: dict[str, None] = {}
        self._found = False
        self._characters = 0
        self._values = 0
        self._wrong: str | None = None
        self._long_names = 0
        self._events = 0
        encoding = _stated_encoding(source, layout.encoding)
        self._parser = self._make_parser(encoding and "utf-8")
        self._file = source.open("rb")
        self._input: BinaryIO | AsUtf8 = self._file if encoding is None else AsUtf8(self._file, encoding)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def rows(self) -> Iterator[Row | BadRow]:
        """The items. A broken or cut document ends in FeedUnreadable."""
        unheard, events = 0, 0
        while True:
            self._beat()
            block = self._next_block()
            try:
                self._parser.Parse(block, not block)
            except expat.ExpatError as problem:
                yield from self._ready
                raise self._broken(problem) from problem
            yield from self._ready
            self._ready.clear()
            if not block:
                break
            unheard = unheard + len(block) if events == self._events else 0
            events = self._events
            if unheard > self._limits.max_row_characters:
                raise self._too_large()
            if len(self._parser.intern) > self._limits.max_xml_names:
                detail = f"the document has more than {self._limits.max_xml_names:,} different names of elements"
                raise FeedUnreadable("too_many_columns", f"{detail} and attributes", self._row)
        # A list that is there and empty is no mistake.
        if not (self._found or self._parent_found or self._elements == 1):
            raise self._not_found()

    def _next_block(self) -> bytes:
        try:
            return self._input.read(_BLOCK)
        except NotThisEncoding as problem:
            raise problem.as_unreadable(self._row, None) from problem

    def _make_parser(self, encoding: str | None) -> expat.XMLParserType:
        parser = expat.ParserCreate(encoding)
        parser.buffer_text = True
        parser.buffer_size = 65536
        # What the document type would add to elements without having been written there is not the feed's.
        parser.specified_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        # Parameter entities are followed so that what they would declare is seen, and refused, too.
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_ALWAYS)
        parser.EntityDeclHandler = self._entity_declared
        parser.ExternalEntityRefHandler = self._external_entity
        parser.SkippedEntityHandler = self._skipped_entity
        return parser

    def _entity_declared(
        self,
        name: str,
        is_parameter: int,
        value: str | None,
        _base: str | None,
        system_id: str | None,
        _public_id: str | None,
        _notation: str | None,
    ) -> None:
        # A parameter entity with a text of its own only shortens the document type (BMEcat's user-defined fields).
        if is_parameter and value is not None:
            return
        kind = f"the entity {shortened(name)}"
        if system_id:
            kind = f"the external entity {shortened(name)} ({abridged(system_id)})"
        detail = f"line {self._parser.CurrentLineNumber} declares {kind}; entities are not read"
        raise FeedUnreadable("xml_entities", f"{detail}: send the document with its texts in place")

    def _external_entity(
        self, context: str | None, _base: str | None, _system_id: str | None, _public_id: str | None
    ) -> int:
        # Without a context it is the document type's own file: it is not read, and nothing of it is needed.
        if context is None:
            return 1
        raise FeedUnreadable("xml_entities", "the document refers to an external entity; entities are not read")

    def _skipped_entity(self, name: str, is_parameter: int) -> None:
        if not is_parameter:
            line = self._parser.CurrentLineNumber
            detail = f"item {self._row} (line {line}) uses the entity &{abridged(name)};"
            hint = "which the document does not declare; write the character itself"
            raise FeedUnreadable("xml_entities", f"{detail}, {hint}", self._row)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._events += 1
        _, _, local = tag.rpartition(":")
        if not self._open:
            self._path.append(local)
            self._elements += 1
            if not self._is_item():
                self._outside(tag, attributes)
                return
            self._found = True
            self._characters = self._values = 0
            self._wrong = None
        element = _Element(local, tag)
        self._open.append(element)
        if not local or len(tag) > self._limits.max_column_name:
            self._bad_name(tag)
        if len(self._open) > self._limits.max_depth:
            self._wrong = f"the item is nested more than {self._limits.max_depth} deep"
        self._values += 1 + len(attributes)
        if self._values > self._limits.max_item_values or len(self._open) > self._limits.max_item_values:
            raise self._too_large()
        if attributes:
            for name, value in attributes.items():
                if name != "xmlns" and not name.startswith("xmlns:"):
                    self._add_attribute(element, name, value)
            if self._characters > self._limits.max_row_characters:
                raise self._too_large()

    def _outside(self, tag: str, attributes: dict[str, str]) -> None:
        """An element on the way to the items, or beside it."""
        self._parent_found = self._parent_found or self._path in self._parents
        if len(self._seen) < _MAX_PATHS_SEEN:
            self._seen[abridged("/".join(self._path), 100)] = None
        if len(self._path) > 1000:
            raise FeedUnreadable("malformed", "the document is nested more than 1,000 deep", self._row)
        for name in (tag, *attributes):
            if len(name) > self._limits.max_column_name:
                self._bad_name(name)

    def _add_attribute(self, element: _Element, name: str, value: str) -> None:
        local = name.rpartition(":")[2]
        if not local or len(name) > self._limits.max_column_name:
            self._bad_name(name)
        element.children[f"@{local}"] = value
        self._characters += len(name) + len(value)

    def _bad_name(self, name: str) -> None:
        """Has the item rejected; and the document refused when it has many long names, since the parser keeps all."""
        if name.endswith(":"):
            self._wrong = f"{shortened(name)} is no name of an element or attribute"
            return
        self._wrong = f"an element or attribute has {name_too_long(name, self._limits)}"
        self._long_names += len(name)
        if self._long_names > self._limits.max_row_characters:
            detail = f"the names of elements take more than {self._limits.max_row_characters:,} characters"
            raise FeedUnreadable("row_too_long", f"{detail}, at item {self._row}", self._row)

    def _text(self, text: str) -> None:
        self._events += 1
        if self._open:
            self._open[-1].texts.append(text)
            self._characters += len(text)
            if self._characters > self._limits.max_row_characters:
                raise self._too_large()

    def _end(self, _tag: str) -> None:
        self._events += 1
        if not self._open:
            self._path.pop()
            return
        element = self._open.pop()
        text = "".join(element.texts)
        children = element.children
        value: Any
        if not children:
            value = text.strip() if self._trim else text
        else:
            value = children
            if text and not text.isspace():
                value["#text"] = text.strip() if self._trim else text
        if self._open:
            if value and not (value.__class__ is str and value.isspace()):
                self._add(self._open[-1], element, value)
            return
        self._path.pop()
        self._ready.append(self._row_of(value))
        self._row += 1

    @staticmethod
    def _add(parent: _Element, element: _Element, value: Any) -> None:
        """Puts a value into its parent, beside others of the same name.

        The same local name in two namespaces (RSS's title and Google's g:title) is not a repetition: the second keeps
        its prefix.
        """
        children = parent.children
        name = element.name
        if parent.spellings.setdefault(name, element.prefixed) != element.prefixed:
            name = element.prefixed
        before = children.get(name)
        if before is None:
            children[name] = value
        elif isinstance(before, list):  # a single value is a text or a map, never a list
            before.append(value)
        else:
            children[name] = [before, value]

    def _row_of(self, value: Any) -> Row | BadRow:
        if self._wrong is not None:
            return BadRow(self._row, self._wrong)
        if isinstance(value, str):
            value = {"#text": value} if value else {}
        return Row(self._row, value, self._characters + 8 * self._values)

    def _is_item(self) -> bool:
        path = self._path
        return any(path == wanted or (len(wanted) == 1 and path[-1] == wanted[0]) for wanted in self._wanted)

    def _too_large(self) -> FeedUnreadable:
        limits = self._limits
        bounds = f"{limits.max_item_values:,} elements and {limits.max_row_characters:,} characters"
        hint = "check that format.items names the products themselves"
        return FeedUnreadable("row_too_long", f"item {self._row} goes beyond {bounds}; {hint}", self._row)

    def _broken(self, problem: expat.ExpatError) -> FeedUnreadable:
        errors = expat.errors.messages
        message = errors.get(problem.code, str(problem))
        place = f"line {problem.lineno}, character {problem.offset + 1} (item {self._row})"
        at_end = not self._input.read(1)
        cut = message in {expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN} or (
            message in {expat.errors.XML_ERROR_PARTIAL_CHAR, expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION}
        )
        if cut and at_end:
            return FeedUnreadable(
                "truncated", f"the document ends in the middle, at {place}; send the whole file", self._row
            )
        if message in {expat.errors.XML_ERROR_UNKNOWN_ENCODING, expat.errors.XML_ERROR_INCORRECT_ENCODING}:
            hint = "set format.encoding to the encoding that it really has"
            return FeedUnreadable("wrong_encoding", f"{place}: {message}; {hint}", self._row)
        if message == expat.errors.XML_ERROR_INVALID_TOKEN and self._is_bad_byte():
            hint = "state the encoding in the XML declaration, or set format.encoding, for example to 'windows-1252'"
            return FeedUnreadable("wrong_encoding", f"{place} is not UTF-8; {hint}", self._row)
        if message == expat.errors.XML_ERROR_UNDEFINED_ENTITY:
            hint = "write the character itself; XML knows only &amp; &lt; &gt; &quot; and &apos;"
            return FeedUnreadable("xml_entities", f"{place} uses an entity that is not declared; {hint}", self._row)
        return FeedUnreadable("malformed", f"{place} is not well-formed XML: {message}", self._row)

    def _is_bad_byte(self) -> bool:
        """Whether the character that the parser stopped at is no UTF-8."""
        if self._input is not self._file:
            return False
        self._file.seek(self._parser.ErrorByteIndex)
        try:
            self._file.read(4).decode()
        except UnicodeDecodeError as bad:
            return bad.start == 0
        return False

    def _not_found(self) -> FeedUnreadable:
        wanted = " or ".join("/".join(path) for path in self._wanted)
        hint = "Set format.items to the element that holds one product"
        detail = f"no element {wanted}; the document has {abridged(', '.join(self._seen), 500)}. {hint}"
        return FeedUnreadable("item_path_not_found", detail)


def _stated_encoding(source: Path, stated: str | None) -> str | None:
    """The encoding to decode from before parsing, or None where the parser does that itself (UTF-8 and UTF-16)."""
    with source.open("rb") as file:
        head = file.read(256)
    if byte_order_mark(head) is not None:
        return None
    declared = _DECLARED.match(head)
    name = stated or (declared.group(1).decode("ascii") if declared else "utf-8")
    try:
        canonical = codecs.lookup(name).name
    except LookupError:
        canonical = ""
    if canonical not in ENCODINGS:
        hint = "set format.encoding to the encoding that it really has"
        raise FeedUnreadable("wrong_encoding", f"the document says that its encoding is {name!r}; {hint}")
    return None if canonical in {"utf-8", "ascii", "utf-16"} else canonical

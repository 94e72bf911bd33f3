"""Files that cannot be read as a whole: each is refused with a code, the place, and how to mend it; nothing is left."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import pytest

from shared.feeds import DEFAULT_LIMITS, FeedDefinition, FeedUnreadable, Limits
from shared.feeds.preparing import prepare


def table(**layout: Any) -> dict[str, Any]:
    return {"format": {"type": "csv", **layout}, "entities": [{"entity": "product", "key": "sku"}]}


def document(kind: str, items: str | None = None) -> dict[str, Any]:
    layout = {"type": kind} | ({"items": items} if items else {})
    return {"format": layout, "entities": [{"entity": "product", "key": "id"}]}


XML = document("xml", "product")
JSON = document("json")
JSONL = document("jsonl")
XLSX = table(type="xlsx")
SHOPIFY = {"preset": "shopify"}
MERCHANT = {"preset": "google_merchant"}
SMALL = Limits(max_columns=5, max_row_characters=1_000, max_item_values=50)
LAUGHS = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>
<products><product><id>&lol2;</id></product></products>"""


def workbook(cells: list[list[Any]], title: str = "Sheet") -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in cells:
        sheet.append(row)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def repacked(content: bytes, **changes: bytes) -> bytes:
    """The workbook with parts replaced: `styles` stands for xl/styles.xml."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, changes.get(Path(name).stem, old.read(name)))
    return written.getvalue()


def zipped(name: str, content: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(name, content)
    return written.getvalue()


BOOK = workbook([["sku", "name"], ["A1", "x"]])
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData>'


def sheet(rows: str, before: str = "") -> bytes:
    """The workbook with other rows in its sheet, as XML."""
    content = f"{before}{SHEET.format(rows)}</worksheet>"
    return repacked(BOOK, sheet1=content.encode())


def with_strings(count: int) -> bytes:
    """The workbook with so many shared strings."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    with zipfile.ZipFile(io.BytesIO(BOOK)) as book:
        types = book.read("[Content_Types].xml").decode()
    part = f'<Override PartName="/docProps/app.xml" ContentType="{kind}"/></Types>'
    strings = f'<sst xmlns="{SHEET.split(chr(34))[1]}">{"<si><t>x</t></si>" * count}</sst>'
    changes = {"[Content_Types]": types.replace("</Types>", part).encode(), "app": strings.encode()}
    return repacked(BOOK, **changes)


def elsewhere(rows: str) -> bytes:
    """The workbook with a sheet that calls itself a picture."""
    with zipfile.ZipFile(io.BytesIO(BOOK)) as book:
        links = book.read("xl/_rels/workbook.xml.rels").replace(b"worksheets/sheet1.xml", b"media/picture.png")
    written = io.BytesIO(repacked(BOOK, **{"workbook.xml": links}))
    with zipfile.ZipFile(written, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/picture.png", f"{SHEET.format(rows)}</worksheet>")
    return written.getvalue()


class Case(NamedTuple):
    content: bytes | str
    definition: dict[str, Any]
    code: str
    detail: str
    row: int | None = None
    column: str | None = None
    limits: Limits = DEFAULT_LIMITS


CASES = {
    "empty": Case("", SHOPIFY, "empty_file", "0 bytes"),
    "empty xml": Case("", MERCHANT, "empty_file", "0 bytes"),
    "blanks": Case("\n \r\n\t\n", table(), "empty_file", "nothing but blanks"),
    "a byte order mark alone": Case(b"\xef\xbb\xbf", table(), "empty_file", "nothing but blanks"),
    "commas alone": Case(",,,\n,,,\n", table(), "empty_file", "nothing but blanks"),
    # Another format than the definition's
    "json as csv": Case('[{"id": 1}]', table(), "wrong_format", "looks like JSON", 1),
    "xml as csv": Case("<rss/>", SHOPIFY, "wrong_format", "looks like XML", 1),
    "html as csv": Case("<!DOCTYPE html><html>", table(), "wrong_format", "web page", 1),
    "html as xml": Case("<html><body/></html>", MERCHANT, "item_path_not_found", "html"),
    "csv as json": Case("sku,name\nA1,x\n", JSON, "wrong_format", "begins with 'sku,name", 1),
    "csv as jsonl": Case("sku,name\nA1,x\n", JSONL, "wrong_format", "JSON Lines", 1),
    "array as jsonl": Case('[\n{"id": 1}\n]', JSONL, "wrong_format", "JSON Lines", 1),
    "document as jsonl": Case('{\n "id": 1,\n "name": "x"\n}\n', JSONL, "wrong_format", "format.type", 1),
    "csv as xml": Case("sku,name\n", XML, "wrong_format", "XML was expected", 1),
    "csv as xlsx": Case("sku,name\n", XLSX, "wrong_format", "XLSX", 1),
    "xlsx as csv": Case(BOOK, table(), "compressed_file", "set format.type to 'xlsx'"),
    "json for a preset of several": Case('{"a": 1}', MERCHANT, "wrong_format", "XML or delimited text (CSV) or", 1),
    "old excel": Case(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, SHOPIFY, "wrong_format", ".xls"),
    "pdf": Case(b"%PDF-1.7\n", table(), "wrong_format", "PDF"),
    "zeros": Case(b"ab\x00\x00\x01cd", table(), "wrong_format", "zero bytes", 1),
    # Compressed
    "gzip": Case(gzip.compress(b"sku,name\n"), SHOPIFY, "compressed_file", "gzip"),
    "bzip2": Case(bz2.compress(b"sku,name\n"), table(), "compressed_file", "bzip2"),
    "xz": Case(lzma.compress(b"sku,name\n"), JSON, "compressed_file", "xz"),
    "zstandard": Case(b"\x28\xb5\x2f\xfd" + b"x" * 20, MERCHANT, "compressed_file", "zstandard"),
    "zip as xml": Case(BOOK, XML, "compressed_file", "zip"),
    # Encodings
    "windows-1252 as utf-8": Case(
        "sku,name\nA1,x\nA2,Müller\n".encode("cp1252"), table(), "wrong_encoding", "'windows-1252'", 3, "name"
    ),
    "windows-1252 in the header": Case("sku,Größe\n".encode("cp1252"), table(), "wrong_encoding", "row 1", 1),
    "windows-1252 far on": Case(
        b"sku,name\n" + b"A,x\n" * 100_000 + b"B,\xe9\n", table(), "wrong_encoding", "0xE9", 100_002, "name"
    ),
    "utf-16 without mark": Case("sku,name\n".encode("utf-16-le"), table(), "wrong_encoding", "utf-16-le", 1),
    "cut in a character": Case("sku,name\nA1,é".encode()[:-1], table(), "wrong_encoding", "0xC3", 2, "name"),
    "windows-1252 in json": Case('[{"id": "é"}]'.encode("cp1252"), JSON, "wrong_encoding", "item 1", 1),
    "windows-1252 in jsonl": Case('{"id": 1}\n{"id": "é"}'.encode("cp1252"), JSONL, "wrong_encoding", "row 2", 2),
    "windows-1252 in xml": Case(
        "<p><product><id>1</id></product><product><id>é</id></product></p>".encode("cp1252"),
        XML,
        "wrong_encoding",
        "item 2",
        2,
    ),
    "xml of an unknown encoding": Case(
        '<?xml version="1.0" encoding="klingon"?><p/>', XML, "wrong_encoding", "klingon"
    ),
    # Tables
    "quote never closed": Case(
        'sku,name\nA1,"x\nA2,y\n' + "A3,z\n" * 50, table(), "unclosed_quote", "row 2, column name", 2, "name"
    ),
    "quote never closed in a long file": Case(
        'sku,name\nA1,x\nA2,"y\n' + "A3,z\n" * 5_000, table(), "unclosed_quote", "never closed", 3, "name", SMALL
    ),
    "quote closed by the next one": Case(
        'sku,name\nA1,"x\nA2,"y"\nA3,z\n', table(), "unclosed_quote", "row 2, column name", 2, "name"
    ),
    "quote never closed in the header": Case('sku,"name\nA1,x\n', table(), "unclosed_quote", "row 1", 1),
    "a line without end": Case("sku,name\nA1," + "x" * 2_000, table(), "row_too_long", "row 2", 2, None, SMALL),
    "a million columns": Case(
        ",".join(f"c{n}" for n in range(1_000_000)), table(), "too_many_columns", "1,000,000 columns", 1
    ),
    "a million columns without header": Case("x," * 999_999, table(header=False), "too_many_columns", "1,000,000", 1),
    "duplicate headers": Case(
        "sku,name,price,name\n",
        table(),
        "duplicate_header",
        "columns 2 and 4 of the header are both called 'name'",
        1,
        "name",
    ),
    "duplicate headers but for blanks": Case(
        "sku,name, name\n", table(), "duplicate_header", "columns 2 and 3", 1, "name"
    ),
    "duplicate once spelled alike": Case(
        "id,image link,image_link\n",
        MERCHANT,
        "duplicate_header",
        "written 'image link' and 'image_link'",
        1,
        "image_link",
    ),
    "a long name": Case("x" * 1_100 + ",sku\n", table(), "column_name_too_long", "1,100 characters", 1),
    "no key column": Case(
        "SKU,name\n", table(), "missing_column", "Did you mean 'SKU'? The file has: SKU, name", 1, "sku"
    ),
    "no key column among long names": Case(
        ",".join(f"{n}" * 300 for n in range(100, 140)), table(), "missing_column", "no column 'sku'", 1, "sku"
    ),
    "records beyond the bound": Case(
        "sku,name\n" + "A,x\n" * 10 + "B,y\n",
        table(),
        "too_much_data",
        "30 bytes",
        None,
        None,
        Limits(max_prepared_bytes=30),
    ),
    "no key column of a preset": Case("Title,Vendor\n", SHOPIFY, "missing_column", "no column 'Handle'", 1, "Handle"),
    "no attribute's column": Case(
        "sku,nmae\n",
        {"format": {"type": "csv"}, "entities": [{"entity": "p", "key": "sku", "attributes": {"n": "name"}}]},
        "missing_column",
        "entities.0.attributes.n of the definition needs. Did you mean 'nmae'?",
        1,
        "name",
    ),
    # JSON
    "json cut": Case('[{"id": 1}, {"id": 2, "na', JSON, "truncated", "at item 2", 2),
    "json cut between items": Case('[{"id": 1},', JSON, "truncated", "item 2", 2),
    "json broken": Case('[{"id": 1}, {"id": 2,, }]', JSON, "malformed", "item 2", 2),
    "json with NaN": Case('[{"id": 1, "price": NaN}]', JSON, "malformed", "item 1", 1),
    "json lines as json": Case('{"id": 1}\n{"id": 2}\n', JSON, "malformed", "'jsonl'", 1),
    "json without the path": Case(
        '{"data": {"products": [{"id": 1}]}}', JSON, "item_path_not_found", "arrays are at: data.products"
    ),
    "json with another path": Case(
        '{"items": [{"id": 1}]}', document("json", "products"), "item_path_not_found", "no array of items at products"
    ),
    "a json item without end": Case(
        '[{"id": 1, "a": [' + "1," * 100 + "1]}]", JSON, "row_too_long", "item 1", 1, None, SMALL
    ),
    "a json text without end": Case('[{"id": "' + "x" * 200_000, JSON, "row_too_long", "item 1", 1, None, SMALL),
    "a json number of many digits": Case(
        '[{"id": 1}, {"id": 2, "n": ' + "1" * 5_000 + "}]", JSON, "malformed", "more than 4,300 digits", 1
    ),
    "a json exponent beyond all range": Case(
        '[{"id": 1}, {"id": 2, "n": 1e99999999999999999999}]', JSON, "malformed", "item 2 holds a number whose", 2
    ),
    "a json item of long numbers": Case(
        '[{"id": 1, "n": [' + ",".join(["1." + "1" * 4_000] * 9) + "]}]", JSON, "row_too_long", "item 1", 1, None, SMALL
    ),
    "json arrays of long names": Case(
        "{" + ",".join(f'"{chr(n) * 5_000}": []' for n in range(65, 91)) + "}", JSON, "item_path_not_found", "AAAA…"
    ),
    "too many names": Case(
        "[" + ",".join(f'{{"id": {n}, "n{n}": 1}}' for n in range(9)) + "]",
        JSON,
        "too_many_columns",
        "more than 5",
        None,
        None,
        Limits(max_columns=5),
    ),
    # XML
    "xml bomb": Case(LAUGHS, XML, "xml_entities", "declares the entity 'lol'"),
    "external entity": Case(
        '<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><p><product><id>&x;</id></product></p>',
        XML,
        "xml_entities",
        "external entity 'x' (file:///etc/passwd)",
    ),
    "external parameter entity": Case(
        '<!DOCTYPE p [<!ENTITY % x SYSTEM "http://example.com/x.dtd"> %x;]><p/>', XML, "xml_entities", "'x'"
    ),
    "entity behind a parameter entity": Case(
        """<!DOCTYPE p [<!ENTITY % x '<!ENTITY y "z">'> %x;]><p><product><id>&y;</id></product></p>""",
        XML,
        "xml_entities",
        "the entity 'y'",
    ),
    "undeclared entity": Case("<p><product><id>a&nbsp;b</id></product></p>", XML, "xml_entities", "item 1", 1),
    "undeclared entity with a document type": Case(
        '<!DOCTYPE p SYSTEM "p.dtd"><p><product><id>a&nbsp;b</id></product></p>', XML, "xml_entities", "&nbsp;", 1
    ),
    "xml cut": Case("<p><product><id>1</id></product><product><id>2</", XML, "truncated", "item 2", 2),
    "xml cut between items": Case("<p><product><id>1</id></product>", XML, "truncated", "in the middle", 2),
    "xml broken": Case("<p><product><id>1</product></p>", XML, "malformed", "mismatched tag", 1),
    "xml without items": Case("<p><item><id>1</id></item></p>", XML, "item_path_not_found", "p/item"),
    "an xml item without end": Case(
        "<p><product>" + "<a>1</a>" * 100 + "</product></p>", XML, "row_too_long", "item 1", 1, None, SMALL
    ),
    "an xml text without end": Case(
        "<p><product><id>" + "x" * 5_000 + "</id></product></p>", XML, "row_too_long", "item 1", 1, None, SMALL
    ),
    "an xml attribute without end": Case(
        f'<p><product a="{"x" * 5_000}"><id>1</id></product></p>', XML, "row_too_long", "item 1", 1, None, SMALL
    ),
    "an xml name without end": Case(
        f"<p><product><id>1</id><{'n' * 5_000}/></product></p>",
        XML,
        "row_too_long",
        "names of elements",
        1,
        None,
        SMALL,
    ),
    "too many xml names": Case(
        "<p><product>" + "".join(f"<n{n}/>" for n in range(30)) + "</product></p>",
        XML,
        "too_many_columns",
        "more than 20 different names",
        2,
        None,
        Limits(max_xml_names=20),
    ),
    "xml of long names without items": Case(
        "".join(f"<{chr(n) * 500}>" for n in range(65, 91)) + "".join(f"</{chr(n) * 500}>" for n in range(90, 64, -1)),
        XML,
        "item_path_not_found",
        "AAAA…",
    ),
    "xml nested without end": Case("<p>" * 5_000, XML, "malformed", "1,000 deep", 1),
    # XLSX
    "xlsx cut": Case(BOOK[: len(BOOK) // 2], XLSX, "truncated", "zip"),
    "a zip of something else": Case(zipped("a.csv", "sku,name"), XLSX, "wrong_format", "no Excel workbook"),
    "no such sheet": Case(BOOK, table(type="xlsx", sheet="Prices"), "sheet_not_found", "the workbook has: 'Sheet'"),
    "no such sheet number": Case(BOOK, table(type="xlsx", sheet=3), "sheet_not_found", "no sheet 3"),
    "xlsx bomb": Case(
        repacked(BOOK, sheet1=b"<worksheet>" + b" " * 20_000_000),
        XLSX,
        "zip_bomb",
        "sheet1.xml unpacks",
    ),
    "xlsx too large a part": Case(
        BOOK, XLSX, "zip_bomb", "xml unpacks from", None, None, Limits(max_xlsx_part_bytes=400)
    ),
    "xlsx with entities": Case(
        repacked(BOOK, sheet1=b'<!DOCTYPE x [<!ENTITY y "z">]><worksheet/>'), XLSX, "xml_entities", "sheet1.xml"
    ),
    "xlsx with entities far on": Case(
        sheet("", f'<!-- {"x" * 100_000} --><!DOCTYPE x [<!ENTITY y "z">]>'), XLSX, "xml_entities", "sheet1.xml"
    ),
    "xlsx broken": Case(repacked(BOOK, workbook=b"<workbook"), XLSX, "malformed", "damaged"),
    "xlsx broken sheet": Case(sheet("<row></cell></row>"), XLSX, "malformed", "not well-formed XML in line 1", 1),
    "xlsx of odd cells": Case(
        sheet('<row r="7"><c r="ZZZZZZ7"><v>1</v></c></row>'), XLSX, "malformed", "the workbook is damaged at row 1", 1
    ),
    "xlsx with no number": Case(sheet("<row><c><v>x</v></c></row>"), XLSX, "malformed", "not made as Excel", 1),
    "xlsx with a row of endless cells": Case(
        sheet('<row r="3">' + "<c/>" * 20_000 + "</row>"), XLSX, "malformed", "row 3 of xl/worksheets/sheet1.xml", 3
    ),
    "xlsx with a row of endless elements": Case(
        sheet("<row>" + "<x/>" * 60 + "</row>"), XLSX, "malformed", "more than 50 elements", 1, None, SMALL
    ),
    "xlsx with a text without end": Case(
        sheet(f'<row><c t="inlineStr"><is><t>{"x" * 2_000}</t></is></c></row>'),
        XLSX,
        "row_too_long",
        "more than 1,000 characters",
        1,
        None,
        SMALL,
    ),
    "xlsx nested without end": Case(sheet("<row>" + "<x>" * 200), XLSX, "malformed", "more than 100 deep", 1),
    "xlsx with a tag without end": Case(
        sheet(f'<row><c r="{"".join(map(chr, range(97, 123))) * 120_000}"/></row>'),
        XLSX,
        "malformed",
        "a tag or comment",
        1,
    ),
    "xlsx whose sheet has another name": Case(
        elsewhere("<row>" + "<c/>" * 20_000 + "</row>"), XLSX, "malformed", "xl/media/picture.png", 1
    ),
    "xlsx of too many texts": Case(
        with_strings(20), XLSX, "zip_bomb", "more than 10 different texts", None, None, Limits(max_xlsx_strings=10)
    ),
    "xlsx of too many files": Case(
        BOOK, XLSX, "zip_bomb", "lists too many files", None, None, Limits(max_xlsx_directory_bytes=100)
    ),
    "xlsx that unpacks to too much": Case(
        BOOK, XLSX, "zip_bomb", "unpacks to more than 3,000 bytes", None, None, Limits(max_xlsx_unpacked_bytes=3_000)
    ),
    "xlsx with a damaged part": Case(BOOK.replace(BOOK[300:310], b"0123456789"), XLSX, "truncated", "damaged or cut"),
    "xlsx duplicate headers": Case(workbook([["sku", "a", "a"]]), XLSX, "duplicate_header", "columns 2 and 3", 1, "a"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_file_that_cannot_be_read_says_why_and_leaves_nothing(case: Case, tmp_path: Path) -> None:
    source = tmp_path / "feed"
    source.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    workdir = tmp_path / "work"
    workdir.mkdir()
    with pytest.raises(FeedUnreadable) as caught:
        prepare(source, FeedDefinition.model_validate(case.definition), workdir, limits=case.limits)
    error = caught.value
    assert (error.code, error.row, error.column) == (case.code, case.row, case.column), error.detail
    assert case.detail in error.detail
    assert len(error.detail) < 800
    assert "\n" not in error.detail
    assert str(tmp_path) not in error.detail
    assert list(workdir.iterdir()) == []

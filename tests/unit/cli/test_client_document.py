"""The client and the API's document are the same: each operation is one method, and says the same of what it takes and
gives.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

import httpx
import pytest
from jsonschema import Draft202012Validator

from functions.api.openapi import PATH
from productsync.answers import RecordChange
from productsync.client import Answer, Client
from productsync.settings import Connection, Secret
from tests.unit.cli.conftest import ENDPOINT

PUBLIC = {"getDocs", "getOpenApi"}
"""What is there for people, and for tools that make clients: pages, and no part of what a client does."""

GIVEN = frozenset({"attributes", "changes", "credentials", "definition", "filters", "order"})
"""Arguments that go into a request as they are."""

SAMPLES: Mapping[str, Any] = {
    "audit_id": "audit_01KAN2QJ9V3X5Z7B1D4F6H8K0M",
    "attributes": {"title": "Drill"},
    "changes": [
        {"key": "a", "attributes": {"title": "Drill"}, "if_version": 0},
        {"key": "b", "method": "PATCH", "attributes": {"title": None}, "if_version": 3},
        {"key": "c", "method": "DELETE"},
    ],
    "content_length": 5,
    "credits": 25,
    "currency": "EUR",
    "corrects": "2026-10",
    "credentials": {"type": "bearer", "token": "t"},
    "cursor": "abc",
    "dry_run": True,
    "email": "anna@shop.example",
    "entity": "product",
    "expires_at": "2027-01-01T00:00:00Z",
    "export_id": "exp_01KAN2QJ9V3X5Z7B1D4F6H8K0M",
    "feed_id": "products",
    "grant_id": "gr_1",
    "file_name": "products.csv",
    "filters": {
        "from": "2026-11-22T00:00:00Z",
        "to": "2026-11-23T00:00:00Z",
        "kind": "import",
        "job_id": "j",
        "run_id": "r",
        "actor": "key_1",
        "outcome": "charged",
    },
    "group_by": "job",
    "idempotency_key": "k-1",
    "if_version": 3,
    "key": "M8/40",
    "key_id": "key_01JD9ZJ0000000000000000000",
    "key_prefix": "M8",
    "limit": 7,
    "month": "2026-11",
    "name": "shopify",
    "operation_id": "op_1",
    "order": {"credits": 100, "unit_price": "0.01", "reference": "inv-1"},
    "overlap_seconds": 60,
    "reason": "given by mistake",
    "reference": "ticket-1",
    "rule_id": "margin",
    "run_id": "run_1",
    "schedule_id": "hourly",
    "scopes": ["read"],
    "since": "2026-11-01",
    "unit_price": "0.01",
    "until": "2026-11-22",
    "updated_since": "2026-11-22T00:00:00Z",
    "upload_id": "up_01JD9ZJ0000000000000000000",
    "workspace_id": "ws_1",
}
DEFINITIONS: Mapping[str, Any] = {
    "FeedsGroup": {"preset": "shopify"},
    "SchedulesGroup": {"feed_id": "products", "expression": "rate(1 hour)"},
    "RulesGroup": {
        "entity": "product",
        "trigger": {"on": ["updated"]},
        "condition": "cost > 0",
        "actions": [{"set": "price", "to": {"value": 1}}],
    },
}


@dataclass(frozen=True)
class Operation:
    """One of the document."""

    name: str
    method: str
    path: str
    told: dict[str, Any]

    def takes(self, where: str) -> set[str]:
        """The names of its parameters of the query, or of the headers (in small letters)."""
        found = [resolved(one) for one in self.told.get("parameters", [])]
        return {one["name"].lower() if where == "header" else one["name"] for one in found if one["in"] == where}

    @property
    def body(self) -> dict[str, Any] | None:
        """The schema of its request."""
        told = self.told.get("requestBody")
        return None if told is None else resolved(told)["content"]["application/json"]["schema"]

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The schemas of what it answers, one for each status of success that has a body."""
        told = [resolved(one) for status, one in self.told["responses"].items() if status.startswith("2")]
        return [one["content"]["application/json"]["schema"] for one in told if one.get("content")]


@dataclass(frozen=True)
class Method:
    """One of the client that makes a call."""

    group: str
    name: str
    answer: Any
    parameters: Mapping[str, inspect.Parameter]

    def arguments(self, *, everything: bool) -> dict[str, Any]:
        """Samples of what it needs, or of all that it takes."""
        wanted = [
            name
            for name, parameter in self.parameters.items()
            if everything or parameter.default is inspect.Parameter.empty
        ]
        return {name: DEFINITIONS[self.group] if name == "definition" else SAMPLES[name] for name in wanted}

    def call(self, *, everything: bool) -> httpx.Request:
        """The request that it makes."""
        seen: list[httpx.Request] = []

        def take(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json={})

        with the_client(httpx.MockTransport(take)) as client:
            getattr(groups(client)[self.group], self.name)(**self.arguments(everything=everything))
        [request] = seen
        return request


def the_client(transport: httpx.BaseTransport) -> Client:
    key = Secret("psk_w", "a test")
    return Client(Connection(ENDPOINT, key, key, None), transport=transport)


def groups(client: Client) -> dict[str, Any]:
    return {type(group).__name__: group for name, group in vars(client).items() if not name.startswith("_")}


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return loaded


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """A part of the document, or what it refers to."""
    while "$ref" in part:
        found: Any = document()
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


@cache
def operations() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for path, methods in document()["paths"].items():
        for method, told in methods.items():
            if method in {"get", "put", "post", "patch", "delete"}:
                name = told["operationId"]
                found[name] = Operation(name, method.upper(), path.removeprefix("/v1"), told)
    return {name: operation for name, operation in found.items() if name not in PUBLIC}


@cache
def methods() -> list[Method]:
    """Every method that gives an answer; the others are made of these."""
    found = []
    with the_client(httpx.MockTransport(lambda _request: httpx.Response(500))) as client:
        for group in groups(client).values():
            for name, function in inspect.getmembers(type(group), inspect.isfunction):
                answer = get_type_hints(function).get("return")
                if not name.startswith("_") and get_origin(answer) is Answer:
                    parameters = dict(inspect.signature(function).parameters)
                    del parameters["self"]
                    found.append(Method(type(group).__name__, name, get_args(answer)[0], parameters))
    return found


def operation_of(request: httpx.Request) -> Operation:
    """What a request asks for; of two paths that fit, that which says more."""
    path = request.url.raw_path.decode().partition("?")[0].removeprefix("/v1")
    fitting = [
        operation
        for operation in operations().values()
        if operation.method == request.method and re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", operation.path), path)
    ]
    assert fitting, f"{request.method} {path} is no operation"
    return min(fitting, key=lambda operation: operation.path.count("{"))


def named(method: Method) -> str:
    return f"{method.group}.{method.name}"


each_method = pytest.mark.parametrize("method", methods(), ids=named)


def test_each_operation_is_one_method() -> None:
    made = sorted(operation_of(method.call(everything=False)).name for method in methods())
    assert made == sorted(operations())


@each_method
def test_a_method_sends_what_its_operation_takes(method: Method) -> None:
    request = method.call(everything=True)
    operation = operation_of(request)
    sent = {name for name in request.headers if name == "idempotency-key" or name.startswith("if-")}
    assert set(request.url.params) == operation.takes("query")
    # If-None-Match is sent instead of If-Match where the version is 0.
    assert sent == operation.takes("header") & {"idempotency-key", "if-match"}
    if "idempotency-key" in sent:
        assert request.headers["Idempotency-Key"] == SAMPLES["idempotency_key"]
    if operation.body is None:
        assert not request.content
    elif not GIVEN & set(method.parameters):
        assert set(json.loads(request.content)) == set(resolved(operation.body)["properties"])


@each_method
@pytest.mark.parametrize("everything", [False, True], ids=["required", "everything"])
def test_what_a_method_sends_is_valid(method: Method, everything: bool) -> None:
    request = method.call(everything=everything)
    schema = operation_of(request).body
    if schema is not None:
        Draft202012Validator({**schema, "components": document()["components"]}).validate(json.loads(request.content))


@each_method
def test_what_a_method_gives_is_what_its_operation_answers(method: Method) -> None:
    schemas = operation_of(method.call(everything=False)).answers
    if not schemas:
        assert method.answer == dict[str, Any]
    for schema in schemas:
        assert list(differences(method.answer, schema, named(method))) == []


def test_a_change_has_the_fields_that_records_of_a_batch_take() -> None:
    records = resolved(operations()["writeRecords"].body or {})["properties"]["records"]["items"]
    shapes = [resolved(shape) for shape in records.get("oneOf") or records["anyOf"]]
    assert {name for shape in shapes for name in shape["properties"]} == set(get_type_hints(RecordChange))
    assert set.intersection(*(set(shape["required"]) - {"method"} for shape in shapes)) == {"key"}
    allowed = [resolved(shape)["properties"]["method"] for shape in shapes]
    (wanted,) = get_args(RecordChange.__annotations__["method"])
    assert {one for method in allowed for one in method.get("enum", [method.get("const")])} == set(get_args(wanted))


def test_a_difference_would_be_seen() -> None:
    """The comparison itself: what it is for has to fail."""
    text, optional = {"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert not list(differences(str, text, "x"))
    assert not list(differences(str | None, optional, "x"))
    assert not list(differences(str | None, {"type": ["string", "null"]}, "x"))
    assert not list(differences(Decimal | int, {"type": "number"}, "x"))
    wrong: list[tuple[Any, dict[str, Any]]] = [
        (str, optional),
        (str | None, text),
        (int, text),
        (int, {"type": "number"}),
        (list[int], {"type": "array", "items": text}),
        (dict[str, int], {"type": "object", "additionalProperties": text}),
        (Literal["a"], {"type": "string", "enum": ["a", "b"]}),
        (RecordChange, {"type": "object", "properties": {"key": text}, "required": ["key"]}),
    ]
    for kind, schema in wrong:
        assert list(differences(kind, schema, "x")), (kind, schema)


def differences(kind: Any, schema: dict[str, Any], place: str, bound: Mapping[Any, Any] = {}) -> Iterator[str]:
    """Where a type and a schema say different things. `bound` is what the type's variables stand for."""
    kind, schema = bound.get(kind, kind), resolved(schema)
    variants = list(alternatives(schema))
    kinds = set(get_args(kind)) if get_origin(kind) in {Union, UnionType} else {kind}
    if (NoneType in kinds) != any(variant.get("type") == "null" for variant in variants):
        yield f"{place}: {'null' if NoneType in kinds else 'no null'} in the client alone"
    kinds.discard(NoneType)
    shapes = [variant for variant in variants if variant.get("type") != "null"]
    if {"string", "integer"} == {shape.get("type") for shape in shapes} and kinds == {str, int}:
        return
    if len(shapes) != 1:
        if kinds != {Any}:
            yield f"{place}: {kind} for {len(shapes)} shapes"
        return
    yield from shape_differences(kinds, shapes[0], place, bound)


def shape_differences(kinds: set[Any], shape: dict[str, Any], place: str, bound: Mapping[Any, Any]) -> Iterator[str]:
    shown, type_name = " | ".join(sorted(map(str, kinds))), shape.get("type")
    only = next(iter(kinds)) if len(kinds) == 1 else None
    origin, arguments = get_origin(only), get_args(only)
    typed = origin if is_typeddict(origin) else only
    plain = {"string": {str}, "integer": {int}, "boolean": {bool}, "number": {Decimal, int}}
    if only is Any and type_name is None:
        return
    if origin is Literal:
        if set(arguments) != set(shape.get("enum", [shape.get("const")])):
            yield f"{place}: {shown} for {shape}"
    elif is_typeddict(typed):
        names: tuple[TypeVar, ...] = getattr(typed, "__parameters__", ())
        yield from field_differences(typed, shape, place, dict(zip(names, arguments, strict=True)))
    elif origin is list and type_name == "array":
        yield from differences(arguments[0], shape.get("items", {}), f"{place}[]", bound)
    elif origin is dict and type_name == "object" and "properties" not in shape:
        values = shape.get("additionalProperties", True)
        yield from differences(arguments[1], {} if values is True else values, f"{place}{{}}", bound)
    elif plain.get(str(type_name)) != kinds:
        yield f"{place}: {shown} for {shape}"


def field_differences(typed: Any, shape: dict[str, Any], place: str, bound: Mapping[Any, Any]) -> Iterator[str]:
    hints, properties = get_type_hints(typed), shape.get("properties", {})
    for name in sorted(hints.keys() ^ properties.keys()):
        yield f"{place}.{name}: in the {'client' if name in hints else 'document'} alone"
    if typed.__required_keys__ != set(shape.get("required", [])):
        yield f"{place}: {sorted(typed.__required_keys__ ^ set(shape.get('required', [])))} required in one alone"
    for name in sorted(hints.keys() & properties.keys()):
        yield from differences(hints[name], properties[name], f"{place}.{name}", bound)


def alternatives(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The shapes that a schema allows, each of one type."""
    schema = resolved(schema)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            for one in schema[several]:
                yield from alternatives(one)
            return
    if isinstance(schema.get("type"), list):
        for name in schema["type"]:
            yield {**schema, "type": name}
    else:
        yield schema

"""The OpenAPI document: that it is the code's, that it is valid, whole and true, and that its examples are examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import pytest
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator
from samtranslator.yaml_helper import yaml_parse

from functions.api.edge.methods import METHODS
from functions.api.handler import app
from functions.api.openapi import PATH, errors, schemas
from functions.api.openapi.__main__ import as_text
from functions.api.openapi.document import document
from functions.api.openapi.words import TAGS, price_text
from functions.api.problems import TITLES
from functions.api.routing import BULK, DELETION, FREE, READ, WRITE, Price
from shared.workspaces import Scope
from tests.support.sample_calls import routes

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

WRITES_NOTHING = {"previewRule"}
CHANGED = "for each record that it creates or updates"


@cache
def kept() -> Json:
    """The document in the repository."""
    return dict(json.loads(PATH.read_text(encoding="utf-8")))


def operations() -> Iterator[tuple[str, str, Json]]:
    for path, methods in kept()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def operation(name: str) -> Json:
    (found,) = [each for _, _, each in operations() if each["operationId"] == name]
    return found


def resolved(part: Json) -> Json:
    """What a reference refers to."""
    if "$ref" not in part:
        return part
    _, *names = part["$ref"].split("/")
    found = kept()
    for name in names:
        found = found[name]
    return resolved(found)


def headers_of(answer: Json) -> set[str]:
    return set(resolved(answer).get("headers", {}))


def slugs_of(answer: Json) -> set[str]:
    return set(resolved(answer)["content"]["application/problem+json"]["examples"])


def check(instance: Any, schema: Json) -> None:
    whole = {**schema, "components": kept()["components"]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(instance)


def test_the_document_is_what_the_code_says() -> None:
    assert as_text(document(app)) == PATH.read_text(encoding="utf-8"), "it drifted: run `make openapi`"


def test_it_is_made_the_same_each_time() -> None:
    assert as_text(document(app)) == as_text(document(app))


def test_it_is_valid_openapi() -> None:
    assert kept()["openapi"] == "3.1.0"
    assert [error.message for error in OpenAPIV31SpecValidator(kept()).iter_errors()] == []


def test_its_paths_and_methods_are_exactly_those_of_the_template() -> None:
    split = [route.replace("+}", "}").split(" ", 1) for route in routes()]
    deployed = {(path, method.lower()) for method, path in split}
    # A record whose key is `batch` is a record like all others.
    deployed -= {("/records/{entity}/batch", method) for method in map(str.lower, METHODS) if method != "post"}
    deployed = {(path, method) for path, method in deployed if path != "/{proxy}" and method != "options"}
    assert {(path, method) for path, method, _ in operations()} == deployed


def test_every_operation_describes_itself() -> None:
    names = [each["operationId"] for _, _, each in operations()]
    assert len(set(names)) == len(names)
    for path, method, each in operations():
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+|topUp", each["operationId"]), (method, path)
        assert each["summary"][0].isupper(), (method, path)
        assert not each["summary"].endswith("."), (method, path)
        assert each["tags"][0] in TAGS, (method, path)
        assert each["description"].endswith(price_text(Price(**each["x-credits"]))), (method, path)


def test_every_operation_that_answers_json_shows_an_answer() -> None:
    for path, method, each in operations():
        for status, answer in each["responses"].items():
            for kind, content in answer.get("content", {}).items():
                shown = "example" in content or "examples" in content
                assert shown or each["tags"] == ["Documents"], (method, path, status, kind)


def test_every_body_has_an_example_and_every_example_is_valid() -> None:
    for _, _, each in operations():
        if "requestBody" in each:
            content = each["requestBody"]["content"]["application/json"]
            check(content["example"], content["schema"])
        for answer in map(resolved, each["responses"].values()):
            for content in answer.get("content", {}).values():
                if "example" in content:
                    check(content["example"], content["schema"])
                for example in content.get("examples", {}).values():
                    check(resolved(example)["value"], content["schema"])


def test_examples_of_parameters_and_headers_are_valid() -> None:
    components = kept()["components"]
    for parameter in components["parameters"].values():
        if parameter["required"]:
            check(parameter["example"], parameter["schema"])
    for header in components["headers"].values():
        check(header["example"], header["schema"])


def test_examples_in_schemas_are_valid() -> None:
    found = 0
    for schema in every_schema(kept()["components"]["schemas"]):
        for example in schema.get("examples", ()):
            check(example, schema)
            found += 1
    assert found > 100


def every_schema(part: Any) -> Iterator[Json]:
    """Every schema within a part of the document. A property may be called `examples`; then it is a schema itself."""
    if isinstance(part, dict):
        if isinstance(part.get("examples"), list):
            yield part
        for name, each in part.items():
            if name not in ("examples", "default", "enum", "const") or isinstance(each, dict):
                yield from every_schema(each)
    elif isinstance(part, list):
        for each in part:
            yield from every_schema(each)


def test_a_wrong_example_would_be_noticed() -> None:
    content = operation("putRecord")["responses"]["200"]["content"]["application/json"]
    for wrong in ({"version": 0}, {"created_at": "yesterday"}, {"operation_id": "op_1"}, {"entity": "Product"}):
        with pytest.raises(ValidationError):
            check(content["example"] | wrong, content["schema"])


@pytest.mark.parametrize(
    ("document_at", "api"),
    [
        ("https://abc.execute-api.eu-central-1.amazonaws.com/v1/openapi.json", "/v1/feeds"),
        ("https://api.acme.example/openapi.json", "/feeds"),
        ("https://api.acme.example/shop/openapi.json", "/shop/feeds"),
        ("http://localhost/restapis/abc/v1/_user_request_/openapi.json", "/restapis/abc/v1/_user_request_/feeds"),
    ],
)
def test_its_server_is_where_the_document_is(document_at: str, api: str) -> None:
    (server,) = kept()["servers"]
    assert urlsplit(urljoin(document_at, server["url"]).rstrip("/") + "/feeds").path == api


def test_every_kind_of_problem_is_told_and_no_other() -> None:
    assert set(errors.KINDS) == set(TITLES)
    told = {
        slug
        for _, _, each in operations()
        for status, answer in each["responses"].items()
        if status >= "400"
        for slug in slugs_of(answer)
    }
    assert told == set(errors.KINDS)


def test_each_kind_has_one_title_and_one_status_whoever_tells_of_it(project: Path) -> None:
    for slug, kind in errors.KINDS.items():
        assert kind.example.slug == slug
        assert kept()["components"]["examples"][slug]["value"]["title"] == TITLES[slug]
    for _, problem, _ in answers_of_the_gateway(project):
        slug = problem["type"].removeprefix("/problems/")
        assert problem["title"] == TITLES[slug]
        assert problem.get("status", errors.KINDS[slug].status) == errors.KINDS[slug].status


def test_the_gateway_s_examples_are_what_it_says(project: Path) -> None:
    said = {
        kind: (problem["type"].removeprefix("/problems/"), problem["detail"], headers)
        for kind, problem, headers in answers_of_the_gateway(project)
    }
    for kind in ("UNAUTHORIZED", "THROTTLED", "INTEGRATION_TIMEOUT", "DEFAULT_4XX"):
        slug, detail, headers = said[kind]
        example = errors.KINDS[slug].example
        assert example.detail == detail
        told = {name: headers[name] for name in ("Retry-After", "WWW-Authenticate") if name in headers}
        assert told == example.headers


def answers_of_the_gateway(project: Path) -> Iterator[tuple[str, Json, dict[str, str]]]:
    """What API Gateway says by itself: its own name of it, the problem, and those headers that are plain text."""
    template = yaml_parse((project / "template.yaml").read_text(encoding="utf-8"))
    for kind, said in template["Resources"]["ApiGateway"]["Properties"]["GatewayResponses"].items():
        headers = said["ResponseParameters"]["Headers"]
        texts = {name: value.strip("'") for name, value in headers.items() if isinstance(value, str)}
        yield kind, json.loads(said["ResponseTemplates"]["application/json"]), texts


@pytest.mark.parametrize(
    ("name", "redundant"),
    [("listFeeds", "unavailable"), ("getRecord", "not-found"), ("putFeed", "request-in-progress")],
)
def test_what_follows_from_an_operation_is_not_declared_as_well(
    name: str, redundant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = json.loads(app.get_openapi_json_schema(title="ProductSync", version="1"))
    (declared,) = [each for path in raw["paths"].values() for each in path.values() if each["operationId"] == name]
    declared["x-problems"].append(redundant)
    monkeypatch.setattr(app, "get_openapi_json_schema", lambda **_: json.dumps(raw))
    with pytest.raises(AssertionError, match=f"{name} need not name .*{redundant}"):
        document(app)


def test_whoever_needs_a_credential_is_told_which() -> None:
    scopes = {scope.value for scope in Scope}
    for path, method, each in operations():
        is_public = each["tags"] == ["Documents"]
        assert bool(each["security"]) is not is_public, (method, path)
        assert ({"401", "403"} <= each["responses"].keys()) is not is_public, (method, path)
        for requirement in each["security"]:
            ((scheme, named),) = requirement.items()
            assert set(named) <= scopes - ({"operator"} if scheme == "signIn" else set()), (method, path)


def test_every_write_takes_an_idempotency_key_and_says_what_becomes_of_it() -> None:
    for path, method, each in operations():
        named = [resolved(parameter)["name"] for parameter in each.get("parameters", ())]
        is_write = method != "get" and each["operationId"] not in WRITES_NOTHING
        assert ("Idempotency-Key" in named) is is_write, (method, path)
        if is_write:
            assert "idempotency-key-reused" in slugs_of(each["responses"]["409"]), (method, path)
            for status, answer in each["responses"].items():
                if status < "400":
                    assert "Idempotency-Replayed" in headers_of(answer), (method, path)


def test_what_is_charged_says_so() -> None:
    charged = {each["operationId"] for _, _, each in operations() if each["x-credits"]["call"]}
    assert charged == {
        *("listRecords", "getRecord", "putRecord", "patchRecord", "deleteRecord", "writeRecords", "startRun"),
    }
    for _, _, each in operations():
        is_charged = each["operationId"] in charged
        if is_charged:
            assert slugs_of(each["responses"]["402"]) == {"out-of-credits"}
        for status, answer in each["responses"].items():
            assert ("X-Credits-Charged" in headers_of(answer)) is (is_charged and status < "400")


def test_every_answer_has_a_request_id() -> None:
    for _, _, each in operations():
        for answer in each["responses"].values():
            assert "X-Request-Id" in headers_of(answer)


def test_every_component_is_used() -> None:
    text = json.dumps(kept())
    for room in ("schemas", "parameters", "headers", "responses", "examples"):
        assert {name for name in kept()["components"][room] if f'"#/components/{room}/{name}"' not in text} == set()


def test_its_words_are_for_those_who_call() -> None:
    """Docstrings become descriptions: none may speak of this code, or of papers that are not the reader's."""
    text = PATH.read_text(encoding="utf-8")
    for ours in ("shared.", "functions.", "design section", "docs/", "pydantic"):
        assert ours not in text, ours
    for name, schema in kept()["components"]["schemas"].items():
        assert schema.get("description"), name


def test_a_body_takes_no_field_that_it_does_not_know() -> None:
    waiting = [each["requestBody"] for _, _, each in operations() if "requestBody" in each]
    seen: set[str] = set()
    while waiting:
        for name in set(schemas.references(waiting.pop())) - seen:
            seen.add(name)
            schema = kept()["components"]["schemas"][name]
            waiting.append(schema)
            if schema.get("type") == "object":
                assert schema["additionalProperties"] is False, name
    assert len(seen) > 30


def test_what_a_route_enforces_of_a_path_is_what_the_document_says() -> None:
    raw = json.loads(app.get_openapi_json_schema(title="ProductSync", version="1"))
    said = kept()["components"]["parameters"]
    enforced = {
        (parameter["name"], parameter["schema"]["pattern"])
        for methods in raw["paths"].values()
        for each in methods.values()
        for parameter in each.get("parameters", ())
        if parameter["in"] == "path" and "pattern" in parameter["schema"]
    }
    assert {name for name, _ in enforced} == {"feed_id", "rule_id", "schedule_id", "entity"}
    for name, pattern in enforced:
        assert said[name]["schema"]["pattern"] == pattern


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (FREE, "**Free.**"),
        (READ, "**Costs 1 credit.** By hand: nothing."),
        (DELETION, "**Costs 1 credit.** By hand: nothing."),
        (WRITE, f"**Costs 1 credit, and 1 {CHANGED}.** By hand: nothing."),
        (BULK, f"**Costs 1 credit, and 1 {CHANGED}.** By hand: 1 credit {CHANGED}."),
    ],
)
def test_prices_in_words(price: Price, words: str) -> None:
    assert price_text(price) == words


def test_public_names() -> None:
    assert schemas.public_name("Page_FeedView_") == "FeedPage"
    assert schemas.public_name("FeedView") == "Feed"
    assert schemas.public_name("FeedDefinition") == "FeedDefinition"


def test_tidying_leaves_values_alone() -> None:
    schema = {
        "title": "A",
        "type": "object",
        "properties": {"title": {"type": "integer", "title": "Title", "maximum": 3.0}},
        "examples": [{"title": 1.0}],
    }
    assert schemas.tidied(schema) == {
        "type": "object",
        "properties": {"title": {"type": "integer", "maximum": 3}},
        "examples": [{"title": 1.0}],
    }


def test_an_example_is_made_of_those_of_its_parts() -> None:
    components = {"B": {"type": "array", "items": {"enum": ["x", "y"]}}}
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "examples": [None]},
            "b": {"$ref": "#/components/schemas/B"},
            "c": {"anyOf": [{"type": "integer", "minimum": 2}, {"type": "null"}]},
            "d": {"const": "PUT"},
            "e": {"type": "boolean", "default": True},
        },
    }
    assert schemas.example_of(schema, components) == {"a": None, "b": ["x"], "c": 2, "d": "PUT", "e": True}
    with pytest.raises(ValueError, match="a string needs an example"):
        schemas.example_of({"type": "string"}, {})

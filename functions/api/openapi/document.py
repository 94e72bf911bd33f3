"""Makes the OpenAPI document of what the routes and their models declare. Pure: the same declarations give the same
document, on every machine and every Python that the project runs on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aws_lambda_powertools.event_handler import ApiGatewayResolver
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from functions.api.edge.methods import METHODS
from functions.api.models.common import IdempotencyKey, Page
from functions.api.openapi import errors, schemas
from functions.api.openapi.words import ABOUT, HEADERS, SECURITY_SCHEMES, TAGS, path_parameters, price_text, tag_of
from functions.api.routing import Price
from shared.workspaces import Scope

Json = dict[str, Any]

_WITHOUT_BODY = ("204", "304")
_GENERATED = ("HTTPValidationError", "ValidationError", "ResponseValidationError")
"""What the generator says of errors, which are not told that way here."""


def document(resolver: ApiGatewayResolver) -> Json:
    """The OpenAPI 3.1 document of the resolver's routes."""
    raw = json.loads(resolver.get_openapi_json_schema(title=ABOUT["title"], version=ABOUT["version"]))
    models = _components(raw["components"]["schemas"])
    operations = {
        (path, method): _operation(path, method, declared, models)
        for path, methods in raw["paths"].items()
        for method, declared in methods.items()
    }
    paths: dict[str, Json] = {}
    for path, method in sorted(operations, key=_place):
        paths.setdefault(path, {})[method] = operations[path, method]
    return {
        "openapi": "3.1.0",
        "info": ABOUT,
        # Beside this document, whichever host, stage or base path it was read from.
        "servers": [{"url": ".", "description": "The deployment that this document comes from."}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": schemas.renamed(paths),
        "components": {
            "securitySchemes": SECURITY_SCHEMES,
            "parameters": {"Idempotency-Key": _idempotency_key(), **path_parameters()},
            "headers": HEADERS,
            "responses": schemas.renamed(_referred(errors.components(), paths)),
            "examples": errors.examples(),
            "schemas": _public(models),
        },
    }


def _components(raw: Mapping[str, Json]) -> dict[str, Json]:
    """All schemas, by the names of their models; those of problems are no route's, and come from their own models."""
    views = dict.fromkeys(kind.view for kind in errors.KINDS.values())
    _, problems = models_json_schema(
        [(view, "serialization") for view in views], ref_template=schemas.PREFIX + "{model}"
    )
    for view in views:
        # What the gateway says of all else that goes wrong there has no field for the status, which is the answer's.
        problems["$defs"][view.__name__]["required"].remove("status")
    declared = {name: schema for name, schema in raw.items() if name not in _GENERATED}
    return {
        # What a page is says its generic model, which the generator leaves out.
        name: schemas.tidied({"description": Page.__doc__, **schema})
        for name, schema in {**declared, **problems["$defs"]}.items()
    }


def _referred(answers: Mapping[str, Json], paths: Mapping[str, Json]) -> dict[str, Json]:
    """Those that an operation refers to. The others only come with others of their status, and are told there."""
    text = json.dumps(paths)
    return {name: told for name, told in answers.items() if f'"#/components/responses/{name}"' in text}


def _public(models: Mapping[str, Json]) -> dict[str, Json]:
    public = {schemas.public_name(name): schemas.renamed(schema) for name, schema in models.items()}
    if len(public) < len(models):
        raise AssertionError("two models have one public name")
    return dict(sorted(public.items()))


def _place(operation: tuple[str, str]) -> tuple[int, str, int]:
    """Where an operation stands: with those of its tag, by path, and by method."""
    path, method = operation
    return list(TAGS).index(tag_of(path)), path, METHODS.index(method.upper())


def _operation(path: str, method: str, declared: Json, models: Mapping[str, Json]) -> Json:
    price = Price(**declared["x-credits"])
    is_public = not declared["x-scopes"]
    is_remembered = declared["x-remembers"]
    parameters = [_parameter(each) for each in declared.get("parameters", ())]
    takes_key = is_remembered or any(each.get("name") == "Idempotency-Key" for each in parameters)
    parameters = [each for each in parameters if each.get("name") != "Idempotency-Key"]
    body = declared.get("requestBody")
    usual = set(
        errors.usual_kinds(
            is_public=is_public,
            has_path="{" in path,
            has_parameters=bool(parameters) or takes_key,
            has_body=body is not None,
            is_charged=price.call > 0,
            takes_key=takes_key,
            is_remembered=is_remembered,
        )
    )
    own = declared["x-problems"]
    if not usual.isdisjoint(own):
        raise AssertionError(f"{declared['operationId']} need not name {usual & set(own)}: every such operation may")
    answers = {
        status: _answer(status, told, models, _headers_of(path, method, price, takes_key=takes_key))
        for status, told in declared["responses"].items()
        if status != "422"
    }
    return {
        "operationId": declared["operationId"],
        "tags": [tag_of(path)],
        "summary": declared["summary"],
        "description": _description(declared, price),
        "security": _security(declared["x-scopes"]),
        **({"parameters": _with_key(parameters, takes_key=takes_key)} if parameters or takes_key else {}),
        **({} if body is None else {"requestBody": _body(body, declared.get("x-example"), models)}),
        "responses": dict(sorted((answers | errors.responses({*usual, *own})).items())),
        "x-credits": declared["x-credits"],
    }


def _description(declared: Json, price: Price) -> str:
    said = declared["description"]
    own = "" if said == declared["summary"] else f"{said}\n\n"
    return own + price_text(price)


def _security(scopes: Iterable[str]) -> list[Json]:
    """Any one of these is enough. People who sign in are no operators."""
    named = list(scopes)
    people = [{"signIn": [scope]} for scope in named if scope != Scope.OPERATOR.value]
    return [{"apiKey": [scope]} for scope in named] + people


def _parameter(raw: Json) -> Json:
    if raw["in"] == "path":
        return {"$ref": f"#/components/parameters/{raw['name']}"}
    schema = schemas.without_null(schemas.tidied(raw["schema"]))
    description = schema.pop("description", raw.get("description", ""))
    return {
        # Headers are read whatever their case; these are written as their standards write them.
        "name": raw["schema"].get("title", raw["name"]) if raw["in"] == "header" else raw["name"],
        "in": raw["in"],
        "required": raw["required"],
        **({"description": description} if description else {}),
        "schema": schema,
    }


def _with_key(parameters: list[Json], *, takes_key: bool) -> list[Json]:
    return [*parameters, *([{"$ref": "#/components/parameters/Idempotency-Key"}] if takes_key else [])]


def _idempotency_key() -> Json:
    schema = schemas.without_null(TypeAdapter(IdempotencyKey).json_schema())
    description = schema.pop("description")
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": description,
        "schema": schemas.tidied(schema),
    }


def _body(raw: Json, example: Json | None, models: Mapping[str, Json]) -> Json:
    schema = schemas.tidied(raw["content"]["application/json"]["schema"])
    shown = schemas.example_of(schema, models) if example is None else example
    return {"required": True, "content": {"application/json": {"schema": schema, "example": shown}}}


def _answer(status: str, raw: Json, models: Mapping[str, Json], headers: Mapping[str, str]) -> Json:
    told = {
        "description": raw["description"],
        "headers": {name: {"$ref": f"#/components/headers/{kept}"} for name, kept in headers.items()},
    }
    if "content" not in raw or status in _WITHOUT_BODY:
        return told
    return told | {"content": {kind: _content(each, models) for kind, each in raw["content"].items()}}


def _content(raw: Json, models: Mapping[str, Json]) -> Json:
    schema = schemas.tidied(raw["schema"])
    if "$ref" not in schema:
        return {"schema": schema}
    return {"schema": schema, "example": schemas.example_of(schema, models)}


def _headers_of(path: str, method: str, price: Price, *, takes_key: bool) -> dict[str, str]:
    """The headers of what the operation answers, and what each is called among the components."""
    names = ["X-Request-Id"]
    if price.call:
        names += ["X-Credits-Charged", "X-Credits-Available", "X-Operation-Id"]
    if takes_key:
        names.append("Idempotency-Replayed")
    if path == "/records/{entity}/{key}" and method != "delete":
        names.append("ETag")
    own = {"ETag": "ETag-Of-Document", "Cache-Control": "Cache-Control"} if tag_of(path) == "Documents" else {}
    return {name: name for name in names} | own

"""What schemathesis is told of this API beside its document (`tests.support.contract`); it loads this by its name."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import schemathesis

from functions.api.entity_tags import TAGS_PATTERN

if TYPE_CHECKING:
    from schemathesis import Case, HookContext
    from schemathesis.core.failures import Failure
    from schemathesis.core.transport import Response
    from schemathesis.schemas import APIOperation

    Call = Case[APIOperation[Any, Any, Any, Any]]

NAMES: dict[str, dict[str, str]] = json.loads(os.environ["CONTRACT_NAMES"])
"""What is there, by parameter: for all operations under `*`, for some under their own names; and what stays."""

BEYOND_SCHEMAS = {
    # Parts of a definition that have to fit each other, expressions of languages of their own, and what is there now.
    "putFeed": r".*",
    "putRule": r".*",
    "previewRule": r".*",
    "putSchedule": r"feed_id|rule_id|expression|time_zone|body",
    # Of two times the one that has to be the earlier, or later than now.
    "listOperations": r"from",
    "getUsage": r"from|to",
    "createKey": r"expires_at",
    "topUp": r"expires_at",
    "correctCredits": r"expires_at",
    # No two records of a batch have one key. How deep attributes lie in each other, how many digits their numbers have.
    "putRecord": r"attributes.*",
    "patchRecord": r"attributes.*",
    "writeRecords": r"records(\.\d+\.attributes.*)?",
}
"""Fields that may be refused (422) although a schema takes them, by operation: what JSON Schema cannot say."""


@schemathesis.hook
def before_call(context: HookContext, case: Call, kwargs: dict[str, Any]) -> None:  # noqa: ARG001 - hooks are given them
    """Nothing is done to what the other calls need. A valid call names what is there, for made-up names are answered
    with 404 alone; and no cursor, which only a listing can give.
    """
    operation = str(case.operation.definition.raw["operationId"])
    path = case.path_parameters or {}
    if case.method != "GET":
        for name, value in path.items():
            if value in NAMES["stays"].values():
                path[name] = f"{value}x"
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    case.query.pop("cursor", None)
    for name in ("If-Match", "If-None-Match"):
        # What schemathesis makes of this pattern does not fit it.
        if re.fullmatch(TAGS_PATTERN, case.headers.get(name, "*")) is None:
            case.headers[name] = '"1"'
    if case.method == "DELETE":
        return
    known = NAMES["*"] | NAMES.get(operation, {})
    for name in path.keys() & known.keys():
        path[name] = known[name]
    if operation == "startRun" and isinstance(case.body, dict) and case.body.get("upload_id"):
        case.body["upload_id"] = known["upload_id"]


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Call, response: Response) -> bool:  # noqa: ARG001
    """Whether it is one."""
    fields = BEYOND_SCHEMAS.get(str(case.operation.definition.raw["operationId"]))
    if failure.code != "ST202" or response.status_code != 422 or fields is None:
        return True
    errors = json.loads(response.content)["errors"]
    return not all(re.fullmatch(fields, error["field"], re.DOTALL) for error in errors)

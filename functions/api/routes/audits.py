"""Audits: having the workspace's books recounted, and reading what came of it. Free, for finance."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from functions.api.answers import answer
from functions.api.idempotency import once
from functions.api.models.audits import AuditView
from functions.api.models.common import Identifier, Page, documented, page
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import principal_of, workspace_of
from functions.api.problems import FieldError, Refusal, invalid, not_found, too_many_reports
from functions.api.routing import new_router, operation
from functions.api.services import audit_store, report_pace, services
from shared.audits.commands import request_audit
from shared.ids import pattern_of
from shared.pace import TooFast
from shared.workspaces import Scope

router = new_router()


@router.post(
    "/audits",
    **operation(
        "requestAudit",
        "Audit the books",
        description="Recounts the operation log, and holds it against the account, the catalogue and usage. While an "
        "audit is under way, that is the answer: there is one at a time. Of a workspace 12 are begun within an hour "
        "and 96 within a day; then it is a 429 until the hour, or the day (UTC), is over. Each workspace is audited "
        "daily, too.",
        scopes=(Scope.FINANCE,),
        answers=documented(HTTPStatus.ACCEPTED, AuditView, "The audit, under way."),
        refusals=("malformed-request", "content-too-large"),
        remembers=once,
    ),
)
def ask_for_audit() -> Response[str]:
    event = router.current_event.raw_event
    # Nothing is to be said of an audit; whoever says something means what is not done. Some clients send `{}`.
    unknown = router.current_event.json_body if event.get("body") else None
    if unknown:
        raise Refusal(invalid([FieldError(name, "Extra inputs are not permitted") for name in sorted(unknown)]))
    now = services().clock()
    outcome = request_audit(audit_store(), report_pace(), workspace_of(event), now, principal_of(event).key_id)
    if isinstance(outcome, TooFast):
        raise Refusal(too_many_reports("audits", outcome, outcome.seconds_left(now)))
    return answer(AuditView.of(outcome), HTTPStatus.ACCEPTED)


@router.get(
    "/audits",
    **operation(
        "listAudits",
        "The audits",
        scopes=(Scope.FINANCE,),
        answers=documented(HTTPStatus.OK, Page[AuditView], "Audits, newest first."),
    ),
)
def list_audits(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    with store_cursor(cursor, pattern_of("audit")) as after:
        found = audit_store().page(workspace_id, limit, after)
    return answer(page([AuditView.of(audit) for audit in found.audits], found.cursor))


@router.get(
    "/audits/<audit_id>",
    **operation(
        "getAudit",
        "An audit",
        scopes=(Scope.FINANCE,),
        answers=documented(HTTPStatus.OK, AuditView, "The audit, and what it has found."),
    ),
)
def get_audit(audit_id: Identifier) -> Response[str]:
    audit = audit_store().get(workspace_of(router.current_event.raw_event), audit_id)
    if audit is None:
        raise Refusal(not_found(f"There is no audit {audit_id}."))
    return answer(AuditView.of(audit))

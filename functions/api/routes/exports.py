"""Exports of months: asking for one, and fetching its files. Free, for finance."""

from http import HTTPStatus
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from functions.api.answers import answer
from functions.api.downloads import presign_download
from functions.api.idempotency import once
from functions.api.models.common import Identifier, Page, documented, page
from functions.api.models.exports import ExportFileView, ExportRequest, ExportView
from functions.api.paging import DEFAULT_LIMIT, Cursor, Limit, store_cursor
from functions.api.principals import principal_of, workspace_of
from functions.api.problems import FieldError, Refusal, invalid, not_found, too_many_reports
from functions.api.routing import new_router, operation
from functions.api.services import export_store, report_pace, services
from shared.exports.bucket import download_name, manifest_key
from shared.exports.commands import AskForExport, FutureMonth, request_export
from shared.exports.formats import MANIFEST
from shared.exports.model import Export, ExportState
from shared.ids import pattern_of
from shared.months import Month
from shared.pace import TooFast
from shared.workspaces import Scope

router = new_router()


@router.post(
    "/exports",
    **operation(
        "requestExport",
        "Export a month",
        description="Usage and purchases as CSV, Parquet and FOCUS. While one of this month is under way, that is the "
        "answer: there is one at a time. Of a workspace 12 are begun within an hour and 96 within a day; then it is a "
        "429 until the hour, or the day (UTC), is over.",
        scopes=(Scope.FINANCE,),
        answers=documented(HTTPStatus.ACCEPTED, ExportView, "The export, on its way."),
        example={"month": "2026-11"},
        remembers=once,
    ),
)
def ask_for_export(wanted: Annotated[ExportRequest, Body()]) -> Response[str]:
    event = router.current_event.raw_event
    now = services().clock()
    month = Month.of(now) if wanted.month is None else _month(wanted.month)
    wish = AskForExport(workspace_of(event), month, requested_by=principal_of(event).key_id)
    outcome = request_export(export_store(), report_pace(), wish, now)
    if isinstance(outcome, TooFast):
        raise Refusal(too_many_reports("exports", outcome, outcome.seconds_left(now)))
    if isinstance(outcome, FutureMonth):
        raise Refusal(invalid([FieldError("month", "Input should not be in the future")]))
    return answer(ExportView.of(outcome), HTTPStatus.ACCEPTED)


def _month(text: str) -> Month:
    try:
        return Month.parse(text)
    except ValueError as error:
        raise Refusal(invalid([FieldError("month", "Input should be a month, such as 2026-11")])) from error


@router.get(
    "/exports",
    **operation(
        "listExports",
        "The exports",
        description="Without their files.",
        scopes=(Scope.FINANCE,),
        answers=documented(HTTPStatus.OK, Page[ExportView], "Exports, newest first."),
    ),
)
def list_exports(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response[str]:
    workspace_id = workspace_of(router.current_event.raw_event)
    with store_cursor(cursor, pattern_of("exp")) as after:
        found = export_store().page(workspace_id, limit, after)
    return answer(page([ExportView.of(export) for export in found.exports], found.cursor))


@router.get(
    "/exports/<export_id>",
    **operation(
        "getExport",
        "An export",
        description="With the addresses of its files once it is ready; they are good for a quarter of an hour.",
        scopes=(Scope.FINANCE,),
        answers=documented(HTTPStatus.OK, ExportView, "The export."),
    ),
)
def get_export(export_id: Identifier) -> Response[str]:
    export = export_store().get(workspace_of(router.current_event.raw_event), export_id)
    if export is None:
        raise Refusal(not_found(f"There is no export {export_id}."))
    return answer(_with_files(export) if export.state is ExportState.READY else ExportView.of(export))


def _with_files(export: Export) -> ExportView:
    room = services()
    now = room.clock()
    files = [
        ExportFileView.of(file, presign_download(room.uploads, file.key, download_name(export, file.name), now))
        for file in export.files
    ]
    manifest = presign_download(room.uploads, manifest_key(export), download_name(export, MANIFEST), now)
    return ExportView.of(export, files, manifest.url)

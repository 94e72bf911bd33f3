"""A typed client of the HTTP API.

Thin: one method for each call, the API's own JSON as the answer, its problem details as exceptions. What it adds is
what every caller needs and should not write again: retries that never charge twice, idempotency keys, listings over
pages, and uploads that stream a file of any size.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

import httpx
import simplejson

from productsync.answers import (
    Credits,
    Feed,
    Operation,
    Page,
    PersonAdded,
    Preset,
    PresetInFull,
    Record,
    Rejection,
    Rule,
    RulePreview,
    Run,
    Schedule,
    ScheduleSummary,
    SourceCredentials,
    TopUp,
    Upload,
    Workspace,
)
from productsync.failures import ApiProblem, NotConnected, Unreachable, UploadFailed
from productsync.settings import API_KEY_VARIABLE, OPERATOR_KEY_VARIABLE, Connection, Secret
from productsync.transport import TIMEOUT, UPLOAD_TIMEOUT, Backoff, LoopbackTransport, Repeat, loopback_mounts

MAX_PAGE = 100
"""Items that the API gives in one page at most."""

CHUNK = 256 * 1024
"""Bytes of a file in memory at a time."""

Body = TypeVar("Body")


@dataclass(frozen=True)
class Answer(Generic[Body]):
    """An answer's JSON, and what its headers say of the credits: None where they are silent.

    A replayed answer was given before: nothing was charged for this call, and the operation is the earlier one.
    """

    body: Body
    charged: int | None
    available: int | None
    operation_id: str | None
    replayed: bool


class Client:
    """Talks to one API with the keys of one connection.

    Every method raises ApiProblem when the API refuses, NotConnected without a key, Unreachable without an answer.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        transport: httpx.BaseTransport | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._connection = connection
        self._backoff = backoff or Backoff()
        # What is on this machine bypasses any proxy of the environment; a given transport takes everything.
        mounts = None if transport else loopback_mounts()
        self._http = httpx.Client(
            base_url=f"{connection.endpoint}/v1/",
            transport=transport and LoopbackTransport(transport),
            mounts=mounts,
            headers={"Accept": "application/json", "User-Agent": "productsync"},
            timeout=TIMEOUT,
        )
        # Uploads go to another host under a signed URL: that host must never see the API key.
        self._uploads = httpx.Client(
            transport=transport and LoopbackTransport(transport), mounts=mounts, timeout=UPLOAD_TIMEOUT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()
        self._uploads.close()

    # Workspaces and credits

    def create_workspace(self, name: str) -> Answer[Workspace]:
        """Creates a workspace with its starter credits and its first key (operator). Free."""
        body = {"name": name}
        return cast("Answer[Workspace]", self._call("POST", "workspaces", body=body, operator=True))

    def top_up(self, workspace_id: str, order: Mapping[str, Any]) -> Answer[TopUp]:
        """Grants credits (operator). Its `reference` makes it idempotent: the same order twice is one grant."""
        path = f"workspaces/{_segment(workspace_id)}/top-ups"
        answer = self._call("POST", path, body=order, operator=True, repeat=Repeat.ALWAYS)
        return cast("Answer[TopUp]", answer)

    def add_person(self, workspace_id: str, email: str) -> Answer[PersonAdded]:
        """Lets a person sign in, with a temporary password (operator). Free."""
        path = f"workspaces/{_segment(workspace_id)}/people"
        answer = self._call("POST", path, body={"email": email}, operator=True, repeat=Repeat.ALWAYS)
        return cast("Answer[PersonAdded]", answer)

    def credits(self) -> Answer[Credits]:
        """The balance and its grants. Free."""
        return cast("Answer[Credits]", self._get("credits"))

    # Feeds

    def presets(self) -> Answer[Page[Preset]]:
        """The feed definitions that come with the service. Free."""
        return cast("Answer[Page[Preset]]", self._get("presets"))

    def preset(self, name: str) -> Answer[PresetInFull]:
        """One preset, in full. Free."""
        return cast("Answer[PresetInFull]", self._get(f"presets/{_segment(name)}"))

    def feeds(self, *, limit: int, cursor: str | None = None) -> Page[Feed]:
        """The saved feeds. Free."""
        return self._listing("feeds", {}, limit, cursor)

    def feed(self, feed_id: str) -> Answer[Feed]:
        """One saved feed. Free."""
        return cast("Answer[Feed]", self._get(f"feeds/{_segment(feed_id)}"))

    def put_feed(self, feed_id: str, definition: Mapping[str, Any]) -> Answer[Feed]:
        """Saves a feed's definition in place of the one it has, if any. Free."""
        path = f"feeds/{_segment(feed_id)}"
        return cast("Answer[Feed]", self._call("PUT", path, body=definition, repeat=Repeat.ALWAYS))

    def delete_feed(self, feed_id: str) -> Answer[dict[str, Any]]:
        """Deletes a feed's definition; its runs and records stay. Free."""
        return self._call("DELETE", f"feeds/{_segment(feed_id)}", repeat=Repeat.ALWAYS)

    # Schedules

    def schedules(self, *, limit: int, cursor: str | None = None) -> Page[ScheduleSummary]:
        """The schedules, without their costs. Free."""
        return self._listing("schedules", {}, limit, cursor)

    def schedule(self, schedule_id: str) -> Answer[Schedule]:
        """One schedule, and what it costs. Free."""
        return cast("Answer[Schedule]", self._get(f"schedules/{_segment(schedule_id)}"))

    def put_schedule(self, schedule_id: str, definition: Mapping[str, Any]) -> Answer[Schedule]:
        """Sets a schedule in place of the one there is, if any. Free; what it sets off is charged."""
        path = f"schedules/{_segment(schedule_id)}"
        return cast("Answer[Schedule]", self._call("PUT", path, body=definition, repeat=Repeat.ALWAYS))

    def delete_schedule(self, schedule_id: str) -> Answer[dict[str, Any]]:
        """Deletes a schedule; what it did stays in the log. Free."""
        return self._call("DELETE", f"schedules/{_segment(schedule_id)}", repeat=Repeat.ALWAYS)

    def rules(self, *, limit: int, cursor: str | None = None) -> Page[Rule]:
        """The rules. Free."""
        return self._listing("rules", {}, limit, cursor)

    def rule(self, rule_id: str) -> Answer[Rule]:
        """One rule, and what it has done. Free."""
        return cast("Answer[Rule]", self._get(f"rules/{_segment(rule_id)}"))

    def put_rule(self, rule_id: str, definition: Mapping[str, Any]) -> Answer[Rule]:
        """Saves a rule in place of the one there is, if any. Free; what it does is charged."""
        path = f"rules/{_segment(rule_id)}"
        return cast("Answer[Rule]", self._call("PUT", path, body=definition, repeat=Repeat.ALWAYS))

    def delete_rule(self, rule_id: str) -> Answer[dict[str, Any]]:
        """Deletes a rule; what it did stays. Free."""
        return self._call("DELETE", f"rules/{_segment(rule_id)}", repeat=Repeat.ALWAYS)

    def preview_rule(self, rule_id: str, definition: Mapping[str, Any] | None = None) -> Iterator[RulePreview]:
        """What a rule would do with today's records, a part of them at a time; `definition` is one that is not saved.
        Free.
        """
        given: dict[str, Any] = {} if definition is None else {"definition": definition}
        path = f"rules/{_segment(rule_id)}/preview"
        cursor = None
        while True:
            body = given | ({} if cursor is None else {"cursor": cursor})
            part = cast("Answer[RulePreview]", self._call("POST", path, body=body, repeat=Repeat.ALWAYS)).body
            yield part
            cursor = part["next_cursor"]
            if cursor is None:
                return

    def put_credentials(self, feed_id: str, credentials: Mapping[str, Any]) -> Answer[SourceCredentials]:
        """Gives a feed the credentials for its source. Free."""
        path = f"feeds/{_segment(feed_id)}/credentials"
        answer = self._call("PUT", path, body=credentials, repeat=Repeat.ALWAYS)
        return cast("Answer[SourceCredentials]", answer)

    def credentials(self, feed_id: str) -> Answer[SourceCredentials]:
        """What is known of a feed's credentials. Free."""
        return cast("Answer[SourceCredentials]", self._get(f"feeds/{_segment(feed_id)}/credentials"))

    def delete_credentials(self, feed_id: str) -> Answer[dict[str, Any]]:
        """Forgets a feed's credentials. Free."""
        return self._call("DELETE", f"feeds/{_segment(feed_id)}/credentials", repeat=Repeat.ALWAYS)

    # Runs

    def request_upload(self, feed_id: str, *, content_length: int, file_name: str) -> Answer[Upload]:
        """A place to send a file of `content_length` bytes to. Free; one that is never used does no harm."""
        body = {"content_length": content_length, "file_name": file_name}
        path = f"feeds/{_segment(feed_id)}/uploads"
        return cast("Answer[Upload]", self._call("POST", path, body=body, repeat=Repeat.ALWAYS))

    def upload(self, upload: Upload, file: Path, *, progress: Callable[[int], None] | None = None) -> None:
        """Streams a file to where the API said. `progress` is given the bytes sent so far, from 0 again at a retry.

        Raises UploadFailed when the place refuses it, or the file cannot be read or changes size on the way.
        """
        size = _size(file)
        if size > upload["max_bytes"]:
            raise UploadFailed(f"{file} is too large", f"{size:,} bytes, of {upload['max_bytes']:,} at most")
        headers = httpx.Headers(upload["headers"])
        headers["Content-Length"] = str(size)

        def send() -> httpx.Response:
            content = _pieces(file, size, progress)
            return self._uploads.request(upload["method"], upload["url"], content=content, headers=headers)

        try:
            response = self._backoff.send(send, Repeat.ALWAYS)
        except httpx.TransportError as error:
            raise UploadFailed(f"Cannot upload {file}", _reason(error)) from error
        if not response.is_success:
            raise UploadFailed(f"Cannot upload {file}", f"HTTP {response.status_code}: {response.text[:500]}")

    def start_run(self, feed_id: str, upload_id: str | None = None, *, dry_run: bool = False) -> Answer[Run]:
        """Starts an import, of what the feed's source holds unless an upload is given: 1 credit for the call and 1 for
        each record it writes. A dry run is free.
        """
        body: dict[str, Any] = {"dry_run": dry_run} | ({} if upload_id is None else {"upload_id": upload_id})
        answer = self._call(
            "POST",
            f"feeds/{_segment(feed_id)}/runs",
            body=body,
            headers={"Idempotency-Key": uuid4().hex},
            repeat=Repeat.ALWAYS,
        )
        return cast("Answer[Run]", answer)

    def run(self, run_id: str) -> Answer[Run]:
        """How a run stands. Free."""
        return cast("Answer[Run]", self._get(f"runs/{_segment(run_id)}"))

    def runs(self, feed_id: str, *, limit: int, cursor: str | None = None) -> Page[Run]:
        """A feed's runs, newest first. Free."""
        return self._listing(f"feeds/{_segment(feed_id)}/runs", {}, limit, cursor)

    def resume_run(self, run_id: str) -> Answer[Run]:
        """Tells a paused run to go on from where it stopped. Free; 402 while no credits are there."""
        return cast("Answer[Run]", self._call("POST", f"runs/{_segment(run_id)}/resume"))

    def cancel_run(self, run_id: str) -> Answer[Run]:
        """Ends a run; what it has written stays. Free."""
        return cast("Answer[Run]", self._call("POST", f"runs/{_segment(run_id)}/cancel"))

    def rejections(self, run_id: str, *, limit: int, cursor: str | None = None) -> Page[Rejection]:
        """The rows of a run that could not be records, in the order of the file. Free."""
        return self._listing(f"runs/{_segment(run_id)}/rejections", {}, limit, cursor)

    # Operations and records

    def operations(
        self, filters: Mapping[str, str | None], *, limit: int, cursor: str | None = None
    ) -> Page[Operation]:
        """The operation log, newest first; filters: from, to, kind, job_id, run_id. Free."""
        return self._listing("operations", filters, limit, cursor)

    def operation(self, operation_id: str) -> Answer[Operation]:
        """One entry of the operation log. Free."""
        return cast("Answer[Operation]", self._get(f"operations/{_segment(operation_id)}"))

    def records(self, entity: str, *, limit: int, cursor: str | None = None) -> Answer[Page[Record]]:
        """One page of an entity's records, `limit` of at most 100. A data call: 1 credit."""
        query = {"limit": str(limit), "cursor": cursor}
        answer = self._call("GET", f"records/{_segment(entity)}", query=query)
        return cast("Answer[Page[Record]]", answer)

    def record(self, entity: str, key: str) -> Answer[Record]:
        """One record. A data call: 1 credit."""
        return cast("Answer[Record]", self._call("GET", f"records/{_segment(entity)}/{_segment(key)}"))

    def put_record(self, entity: str, key: str, attributes: Mapping[str, Any]) -> Answer[Record]:
        """Writes a record with these attributes and no others. 1 credit, and 1 if it changes; nothing for a person."""
        return self._write("PUT", entity, key, {"attributes": attributes})

    def patch_record(self, entity: str, key: str, attributes: Mapping[str, Any]) -> Answer[Record]:
        """Changes some attributes of a record, None removing one. It costs what `put_record` does."""
        return self._write("PATCH", entity, key, {"attributes": attributes})

    def delete_record(self, entity: str, key: str) -> Answer[dict[str, Any]]:
        """Deletes a record. 1 credit; nothing for a person."""
        return self._write("DELETE", entity, key)

    # The calls themselves

    def _write(self, method: str, entity: str, key: str, body: Mapping[str, Any] | None = None) -> Answer[Any]:
        """The key makes a repetition the same write: charged once, and answered as the first was."""
        path = f"records/{_segment(entity)}/{_segment(key)}"
        return self._call(method, path, body=body, headers={"Idempotency-Key": uuid4().hex}, repeat=Repeat.ALWAYS)

    def _get(self, path: str, query: Mapping[str, str | None] | None = None) -> Answer[Any]:
        return self._call("GET", path, query=query, repeat=Repeat.ALWAYS)

    def _listing(self, path: str, filters: Mapping[str, str | None], limit: int, cursor: str | None) -> Page[Any]:
        """The first `limit` items after `cursor`, over as many pages as they take, and the cursor after the last."""
        items: list[Any] = []
        for page in self._pages(path, filters, limit, cursor):
            items.extend(page["items"])
            cursor = page["next_cursor"]
        return {"items": items, "next_cursor": cursor}

    def _pages(
        self, path: str, filters: Mapping[str, str | None], limit: int, cursor: str | None
    ) -> Iterator[Page[Any]]:
        while limit > 0:
            page: Page[Any] = self._get(path, {**filters, "limit": str(min(limit, MAX_PAGE)), "cursor": cursor}).body
            yield page
            cursor = page["next_cursor"]
            limit -= len(page["items"])
            if cursor is None:
                return

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        operator: bool = False,
        repeat: Repeat = Repeat.IF_REFUSED,
    ) -> Answer[Any]:
        key = self._key(operator=operator)
        request = self._http.build_request(
            method,
            path,
            params={name: value for name, value in (query or {}).items() if value is not None},
            content=None if body is None else simplejson.dumps(body, use_decimal=True),
            headers={
                "Authorization": f"Bearer {key.value}",
                **({} if body is None else {"Content-Type": "application/json"}),
                **(headers or {}),
            },
        )
        try:
            response = self._backoff.send(lambda: self._http.send(request), repeat)
        except httpx.TransportError as error:
            raise Unreachable(
                f"No answer from {self._connection.endpoint}", _reason(error), hint=_unreachable_hint(self._connection)
            ) from error
        if not response.is_success:
            raise _problem(response, key)
        return Answer(
            body=_parse(response),
            charged=_count(response, "X-Credits-Charged"),
            available=_count(response, "X-Credits-Available"),
            operation_id=response.headers.get("X-Operation-Id"),
            replayed=response.headers.get("Idempotency-Replayed") == "true",
        )

    def _key(self, *, operator: bool) -> Secret:
        key = self._connection.operator_key if operator else self._connection.api_key
        if key is not None:
            return key
        if operator:
            raise NotConnected(
                "This needs an operator key",
                hint=f"Give --operator-key, or {OPERATOR_KEY_VARIABLE} in the environment.",
            )
        raise NotConnected(
            "This needs the API key of a workspace",
            hint="Create one with `productsync workspaces create NAME`, "
            f"or give --api-key, or {API_KEY_VARIABLE} in the environment; or sign in with `productsync login EMAIL`.",
        )


def _segment(text: str) -> str:
    """One segment of a path. Keys may hold anything, slashes too; a lone dot would be taken for a step in the path."""
    quoted = quote(text, safe="")
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise UploadFailed(f"Cannot read {file}", error.strerror) from error


def _pieces(file: Path, size: int, progress: Callable[[int], None] | None) -> Iterator[bytes]:
    """The first `size` bytes of a file; a file that has other than that changed since it was measured."""
    sent = 0
    try:
        with file.open("rb") as stream:
            while piece := stream.read(CHUNK):
                sent += len(piece)
                if sent > size:
                    break
                yield piece
                if progress is not None:
                    progress(sent)
    except OSError as error:
        raise UploadFailed(f"Cannot read {file}", error.strerror) from error
    if sent != size:
        raise UploadFailed(f"{file} changed while it was being sent", hint="Send it again when it is complete.")


def _parse(response: httpx.Response) -> Any:
    """An answer's JSON with every number exact: decimals stay decimals, however many digits they have."""
    if response.status_code == HTTPStatus.NO_CONTENT or not response.content:
        return {}
    try:
        return simplejson.loads(response.text, use_decimal=True)
    except ValueError as error:
        raise Unreachable(
            f"The answer of {response.request.url} is not JSON",
            response.text[:200],
            hint="Is this the address of a ProductSync API?",
        ) from error


def _count(response: httpx.Response, header: str) -> int | None:
    text = response.headers.get(header, "")
    return int(text) if text.removeprefix("-").isdigit() else None


def _problem(response: httpx.Response, key: Secret) -> ApiProblem:
    """The API's problem details; what a gateway or proxy in between says in its own words is put into that shape."""
    try:
        document = simplejson.loads(response.text)
    except ValueError:
        document = {"detail": response.text[:500]} if response.text else {}
    if not isinstance(document, dict):
        document = {"detail": str(document)}
    if "title" not in document:
        reason = response.reason_phrase or f"HTTP {response.status_code}"
        document = {"type": "about:blank", "title": reason, "detail": document.get("message"), **document}
    hint = None
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        hint = f"The key came from {key.origin}."
    elif response.status_code == HTTPStatus.FORBIDDEN:
        hint = f"The key came from {key.origin}; it may not be allowed to do this."
    return ApiProblem(response.status_code, document, hint=hint)


def _reason(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__


def _unreachable_hint(connection: Connection) -> str:
    if connection.stack is not None:
        return "The embedded stack may have stopped: `productsync down`, then `productsync up`."
    return "Check the endpoint and the network."

"""Feeds, the presets that they build on, the files that are sent for them, and their runs."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from productsync.answers import Feed, Page, Preset, PresetInFull, Rejection, Run, SourceCredentials, Upload
from productsync.client.calls import Answer, Calls, path_of, reason
from productsync.failures import UploadFailed

CHUNK = 256 * 1024
"""Bytes of a file in memory at a time."""


class PresetsGroup:
    """The feed definitions that come with the service. Free."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self) -> Answer[Page[Preset]]:
        """All of them, on one page."""
        return self._calls.get("presets")

    def get(self, name: str) -> Answer[PresetInFull]:
        """One preset, in full."""
        return self._calls.get(path_of("presets", name))


class FeedsGroup:
    """How files become records. All of it is free."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Answer[Page[Feed]]:
        """One page of the saved feeds."""
        return self._calls.get("feeds", {"limit": limit, "cursor": cursor})

    def get(self, feed_id: str) -> Answer[Feed]:
        """One saved feed."""
        return self._calls.get(path_of("feeds", feed_id))

    def put(self, feed_id: str, definition: Mapping[str, Any], *, idempotency_key: str | None = None) -> Answer[Feed]:
        """Saves a feed's definition in place of the one it has, if any."""
        return self._calls.write("PUT", path_of("feeds", feed_id), definition, idempotency_key=idempotency_key)

    def delete(self, feed_id: str, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Deletes a feed's definition; its runs and records stay."""
        return self._calls.write("DELETE", path_of("feeds", feed_id), idempotency_key=idempotency_key)

    def credentials(self, feed_id: str) -> Answer[SourceCredentials]:
        """What is known of a feed's credentials."""
        return self._calls.get(path_of("feeds", feed_id, "credentials"))

    def put_credentials(
        self, feed_id: str, credentials: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Answer[SourceCredentials]:
        """Gives a feed the credentials for its source."""
        path = path_of("feeds", feed_id, "credentials")
        return self._calls.write("PUT", path, credentials, idempotency_key=idempotency_key)

    def delete_credentials(self, feed_id: str, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Forgets a feed's credentials."""
        return self._calls.write("DELETE", path_of("feeds", feed_id, "credentials"), idempotency_key=idempotency_key)

    def request_upload(
        self, feed_id: str, *, content_length: int, file_name: str, idempotency_key: str | None = None
    ) -> Answer[Upload]:
        """A place to send a file of `content_length` bytes to. One that is never used does no harm."""
        body = {"content_length": content_length, "file_name": file_name}
        return self._calls.write("POST", path_of("feeds", feed_id, "uploads"), body, idempotency_key=idempotency_key)

    def send(self, upload: Upload, file: Path, *, progress: Callable[[int], None] | None = None) -> None:
        """Streams a file to where the API said. `progress` is given the bytes sent so far, from 0 again at a retry.

        Raises UploadFailed when the place refuses it, or the file cannot be read or changes size on the way.
        """
        size = _size(file)
        if size > upload["max_bytes"]:
            raise UploadFailed(f"{file} is too large", f"{size:,} bytes, of {upload['max_bytes']:,} at most")
        headers = httpx.Headers(upload["headers"])
        headers["Content-Length"] = str(size)

        def send(http: httpx.Client) -> httpx.Response:
            content = _pieces(file, size, progress)
            return http.request(upload["method"], upload["url"], content=content, headers=headers)

        try:
            response = self._calls.send_elsewhere(send)
        except httpx.TransportError as error:
            raise UploadFailed(f"Cannot upload {file}", reason(error)) from error
        if not response.is_success:
            raise UploadFailed(f"Cannot upload {file}", f"HTTP {response.status_code}: {response.text[:500]}")


class RunsGroup:
    """Executions of feeds."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def start(
        self,
        feed_id: str,
        upload_id: str | None = None,
        *,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Answer[Run]:
        """Starts an import, of what the feed's source holds unless an upload is given: 1 credit for the call and 1 for
        each record it writes. A dry run is free.
        """
        body: dict[str, Any] = {"dry_run": dry_run} | ({} if upload_id is None else {"upload_id": upload_id})
        return self._calls.write("POST", path_of("feeds", feed_id, "runs"), body, idempotency_key=idempotency_key)

    def get(self, run_id: str) -> Answer[Run]:
        """How a run stands. Free."""
        return self._calls.get(path_of("runs", run_id))

    def list(self, feed_id: str, *, limit: int | None = None, cursor: str | None = None) -> Answer[Page[Run]]:
        """One page of a feed's runs, newest first. Free."""
        return self._calls.get(path_of("feeds", feed_id, "runs"), {"limit": limit, "cursor": cursor})

    def resume(self, run_id: str, *, idempotency_key: str | None = None) -> Answer[Run]:
        """Tells a paused run to go on from where it stopped. Free; 402 while no credits are there."""
        return self._calls.write("POST", path_of("runs", run_id, "resume"), idempotency_key=idempotency_key)

    def cancel(self, run_id: str, *, idempotency_key: str | None = None) -> Answer[Run]:
        """Ends a run; what it has written stays. Free."""
        return self._calls.write("POST", path_of("runs", run_id, "cancel"), idempotency_key=idempotency_key)

    def rejections(
        self, run_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> Answer[Page[Rejection]]:
        """One page of the rows that could not be records, in the order of the file. Free."""
        return self._calls.get(path_of("runs", run_id, "rejections"), {"limit": limit, "cursor": cursor})


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

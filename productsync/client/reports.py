"""Where credits went, and whether the books balance: usage, exports of months, audits. All of it is free."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO

import httpx

from productsync.answers import Audit, Export, ExportFile, Page, Usage
from productsync.client.calls import Answer, Calls, path_of, reason
from productsync.failures import DownloadFailed

CHUNK = 256 * 1024
"""Bytes of a file in memory at a time."""

AGAIN = "Nothing was kept of it. Ask for the month again."


class UsageGroup:
    """What the operation log adds up to."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def get(self, since: str | None = None, until: str | None = None, *, group_by: str | None = None) -> Answer[Usage]:
        """The figures of days (`2026-11-22`, UTC), both included: of this month, unless they are given. `group_by` is
        job, kind, actor, entity, day (the default) or month.
        """
        return self._calls.get("usage", {"from": since, "to": until, "group_by": group_by})


class ExportsGroup:
    """Usage and purchases of whole months as files. For keys with the scope finance."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def request(self, month: str | None = None, *, idempotency_key: str | None = None) -> Answer[Export]:
        """Asks for a month (`2026-11`; this one unless it is given). While one of the month is under way, that is the
        answer.
        """
        body = {} if month is None else {"month": month}
        return self._calls.write("POST", "exports", body, idempotency_key=idempotency_key)

    def get(self, export_id: str) -> Answer[Export]:
        """One export. Once it is ready it has its files, whose addresses are good for a quarter of an hour."""
        return self._calls.get(path_of("exports", export_id))

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Answer[Page[Export]]:
        """One page of the exports, newest first, without their files."""
        return self._calls.get("exports", {"limit": limit, "cursor": cursor})

    def download(self, file: ExportFile, to: Path, *, progress: Callable[[int], None] | None = None) -> None:
        """Fetches a file of an export, and puts it at `to` once it is whole and has the checksum that it has to have.

        `progress` is given the bytes so far, from 0 again at a retry. Raises DownloadFailed.
        """
        self._fetch(file["url"], to, checksum=file["sha256"], progress=progress)

    def download_manifest(self, export: Export, to: Path) -> None:
        """Fetches what says what all files of an export hold, as JSON. Raises DownloadFailed, also where there is none
        yet.
        """
        if export["manifest_url"] is None:
            raise DownloadFailed(f"{export['export_id']} has no manifest", "it is there once the export is ready")
        self._fetch(export["manifest_url"], to)

    def _fetch(
        self, url: str, to: Path, *, checksum: str | None = None, progress: Callable[[int], None] | None = None
    ) -> None:
        """What is under `url` takes the place of `to` in one step, or not at all."""
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=to.parent, prefix=f".{to.name}.", delete=False) as target:
                unfinished = Path(target.name)
                try:
                    found = self._receive(url, to.name, target, progress)
                    if checksum not in {None, found}:
                        raise DownloadFailed(
                            f"{to.name} is not what the export says that it is",
                            f"its SHA-256 is {found} instead of {checksum}",
                            hint=AGAIN,
                        )
                    target.close()
                    unfinished.replace(to)
                finally:
                    with suppress(FileNotFoundError):
                        unfinished.unlink()
        except OSError as error:
            raise DownloadFailed(f"Cannot write {to}", error.strerror) from error

    def _receive(self, url: str, name: str, target: IO[bytes], progress: Callable[[int], None] | None) -> str:
        """Streams what is under `url` into a file, and says its SHA-256."""
        digest = sha256()

        def receive(http: httpx.Client) -> httpx.Response:
            nonlocal digest
            with http.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
                if not response.is_success:
                    response.read()
                    return response
                digest = sha256()
                target.seek(0)
                target.truncate()
                for piece in response.iter_bytes(CHUNK):
                    target.write(piece)
                    digest.update(piece)
                    if progress is not None:
                        progress(target.tell())
                return response

        try:
            response = self._calls.send_elsewhere(receive)
        except httpx.TransportError as error:
            raise DownloadFailed(f"Cannot download {name}", reason(error)) from error
        if not response.is_success:
            detail = f"HTTP {response.status_code}: {response.text[:500]}"
            raise DownloadFailed(f"Cannot download {name}", detail, hint=AGAIN)
        return digest.hexdigest()


class AuditsGroup:
    """Recounts of the workspace's books. For keys with the scope finance."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def request(self, *, idempotency_key: str | None = None) -> Answer[Audit]:
        """Asks for an audit. While one is under way, that is the answer."""
        return self._calls.write("POST", "audits", idempotency_key=idempotency_key)

    def get(self, audit_id: str) -> Answer[Audit]:
        """How an audit stands, and what it found."""
        return self._calls.get(path_of("audits", audit_id))

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Answer[Page[Audit]]:
        """One page of the audits, newest first."""
        return self._calls.get("audits", {"limit": limit, "cursor": cursor})

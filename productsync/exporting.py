"""Exports of months: waiting for one, and fetching its files, each held against its checksum."""

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from productsync.answers import Export, ExportFile
from productsync.client import Client
from productsync.failures import DownloadFailed, ExportFailed
from productsync.importing import size_text
from productsync.looking import Sleep, waits
from productsync.output import Output, Stage, count_text

MANIFEST = "manifest.json"
"""The file that says what the others hold."""


class Format(StrEnum):
    """Which files of an export are wanted."""

    CSV = "csv"
    PARQUET = "parquet"
    FOCUS = "focus"
    ALL = "all"


def wait_for_export(client: Client, output: Output, export: Export, *, sleep: Sleep = time.sleep) -> Export:
    """Follows an export until its files are there. Raises ExportFailed when they never will be."""
    with output.stage(f"Exporting {export['month']}") as stage:
        for wait in waits():
            if export["state"] != "preparing":
                break
            sleep(wait)
            export = client.exports.get(export["export_id"]).body
            stage.detail(lines_text(export))
        if export["state"] == "failed":
            stage.failed("failed")
        else:
            stage.done(lines_text(export))
    if export["state"] == "failed":
        raise ExportFailed(f"{export['export_id']} failed", export["failure"], hint="Ask for the month again.")
    # The answer to asking for it, and what a listing says of it, name no files.
    return export if export["files"] else client.exports.get(export["export_id"]).body


def download(client: Client, output: Output, export: Export, folder: Path, wanted: Format) -> list[Path]:
    """Fetches the wanted files of an export and its manifest into a folder, in place of what it has of that month.

    Raises DownloadFailed.
    """
    names = [file["name"] for file in export["files"] if wanted in {Format.ALL, file["format"]}]
    fetched = []
    total = sum(file["bytes"] for file in export["files"] if file["name"] in names)
    with output.stage("Downloading its files", total=total) as stage:
        done = 0
        for name in names:
            file = _fresh(client, export, name)
            fetched.append(_place(folder, export, name))
            _download(client, file, fetched[-1], stage, done, total)
            done += file["bytes"]
        fetched.append(_place(folder, export, MANIFEST))
        client.exports.download_manifest(client.exports.get(export["export_id"]).body, fetched[-1])
        stage.done(f"{count_text(len(names), 'file')} of {size_text(total)} together, and the manifest")
    return fetched


def left_from_before(folder: Path, export: Export, fetched: Sequence[Path]) -> list[Path]:
    """Files in the folder that are named as of that month and were no part of this export: an earlier one had more."""
    whole = {_place(folder, export, file["name"]) for file in export["files"]}
    of_month = (path for stem in ("lines", "focus") for path in folder.glob(f"{export['month']}-{stem}-*"))
    return sorted(path for path in of_month if path not in whole and path not in fetched)


def lines_text(export: Export) -> str:
    """How far an export is."""
    told = count_text(export["lines"], "line")
    return told if export["parts"] < 2 else f"{told} in {count_text(export['parts'], 'part')}"


def _fresh(client: Client, export: Export, name: str) -> ExportFile:
    """The file with an address of now: those of before may have expired while other files were fetched."""
    for file in client.exports.get(export["export_id"]).body["files"]:
        if file["name"] == name:
            return file
    raise DownloadFailed(f"{export['export_id']} has no {name} any more")


def _download(client: Client, file: ExportFile, to: Path, stage: Stage, done: int, total: int) -> None:
    stage.detail(to.name)
    client.exports.download(file, to, progress=lambda received: stage.advance_to(done + received, total=total))


def _place(folder: Path, export: Export, name: str) -> Path:
    """Where a file is kept: by month, so that several months lie in one folder. Raises DownloadFailed for a name that
    would lie elsewhere.
    """
    kept = f"{export['month']}-{name}"
    if Path(kept).name != kept:
        raise DownloadFailed(f"{name!r} is no name of a file", "the API said so")
    return folder / kept

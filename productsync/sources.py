"""Sources of feeds as the command line writes and reads them: `https://…`, `s3://bucket/key`, `upload`."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import typer

from productsync.failures import CommandFailure, ExitCode

SECRET_VARIABLE = "PRODUCTSYNC_SOURCE_SECRET"  # noqa: S105  the name of a variable
"""Where a script puts the secret of a source; nothing secret is ever an argument, which other users can see."""


class NoSource(CommandFailure):
    """What was given names no source."""

    exit_code = ExitCode.USAGE


def parse_source(text: str) -> dict[str, Any]:
    """The part of a definition that `text` stands for. Raises NoSource; the API judges what it names."""
    if text == "upload":
        return {"type": "upload"}
    if text.startswith(("http://", "https://")):
        return {"type": "http", "url": text}
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if text.startswith("s3://") and bucket and key:
        return {"type": "s3", "bucket": bucket, "key": key}
    raise NoSource(f"{text!r} is no source", hint="Give https://…, s3://BUCKET/KEY, or upload.")


def source_text(definition: Mapping[str, Any]) -> str | None:
    """A definition's source as it could be given; None where files are uploaded."""
    source = definition.get("source") or {"type": "upload"}
    match source["type"]:
        case "http":
            return str(source["url"])
        case "s3":
            return f"s3://{source['bucket']}/{source['key']}"
        case _:
            return None


def ask_for_secret(name: str) -> str:
    """The secret: from the environment, from the standard input when that is no terminal, or asked for unseen."""
    if secret := os.environ.get(SECRET_VARIABLE):
        return secret
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt(name, hide_input=True, err=True))

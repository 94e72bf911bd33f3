"""Writing files that hold secrets, and reading the files that a person names."""

import json
import os
import re
import tempfile
from contextlib import suppress
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from productsync.failures import CommandFailure, ExitCode

MAX_FEED_ID = 64
"""Characters of a feed id; the API's own limit."""


class UnusableFile(CommandFailure):
    """A file that the command line names is not there, or is not what it has to be."""

    exit_code = ExitCode.USAGE


def write_secret_file(path: Path, text: str) -> None:
    """Replaces `path` in one step by a file that only its owner may read (mode 0600), whatever the umask is."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600, so the secret is never readable by others, not even for a moment.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def read_state(path: Path) -> dict[str, Any] | None:
    """A state file's content; None when there is none, or one that was cut short."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise CommandFailure(f"Cannot read {path}", str(error)) from error
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def read_definition(path: Path, *, of: str = "a feed") -> dict[str, Any]:
    """A definition from a JSON file, its numbers exact. Raises UnusableFile, saying where, when it is none."""

    def refuse(name: str) -> NoReturn:
        raise UnusableFile(f"{path} is not JSON", f"{name} is not a number of JSON")

    try:
        definition = json.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal, parse_constant=refuse)
    except OSError as error:
        raise UnusableFile(f"Cannot read {path}", error.strerror) from error
    except UnicodeDecodeError as error:
        raise UnusableFile(f"{path} is not UTF-8 text", f"byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        raise UnusableFile(f"{path} is not JSON", f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (RecursionError, ValueError, ArithmeticError) as error:
        raise UnusableFile(f"{path} cannot be read", "it is nested too deeply, or holds too large a number") from error
    if not isinstance(definition, dict):
        raise UnusableFile(f"{path} is not {of} definition", "it has to be a JSON object")
    return definition


def feed_id_for(file: Path, preset: str | None) -> str:
    """A feed id from a file's name and the preset it is read with: the same file is the same feed each time.

    `Kaizoku Products.csv` with the preset shopify is `kaizoku-products-shopify`. A name that leaves nothing to spell,
    or too much, keeps a digest of itself, so that two such names stay two feeds.
    """
    slug = re.sub(r"[^a-z0-9_]+", "-", file.stem.lower()).strip("-_")
    suffix = f"-{preset}" if preset else ""
    if not slug:
        slug = f"feed-{_digest(file.stem)}"
    if len(slug) + len(suffix) > MAX_FEED_ID:
        digest = f"-{_digest(file.stem)}"
        slug = slug[: MAX_FEED_ID - len(suffix) - len(digest)] + digest
    return slug + suffix


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]

"""Everything that ends a command early, with its exit code.

    CommandFailure        a message, what to do about it, an exit code
    ├── NotConnected      no endpoint or key to work with                       (1)
    ├── ApiProblem        the API refused: its problem details, RFC 9457        (1)
    ├── Unreachable       no answer came, or none that could be understood      (1)
    ├── UploadFailed      the file did not arrive                               (1)
    ├── DownloadFailed    a file did not arrive here, or is another             (1)
    ├── ExportFailed      the files of a month could not be made                (1)
    ├── AuditFailed       the books could not be recounted                      (1)
    ├── SecretLost        the answer that showed a secret was lost              (1)
    ├── EmptyName         something is to be named, and nothing is given        (2)
    └── StackFailure      the embedded stack, or AWS, would not do it           (1)

A run that failed or paused is an outcome, not a failure of the command: see `ExitCode`.
"""

from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What the shell sees; documented in docs/cli.md."""

    OK = 0
    PROBLEM = 1
    USAGE = 2
    RUN_FAILED = 3
    RUN_PAUSED = 4
    INTERRUPTED = 130


class CommandFailure(Exception):
    """A command cannot go on. `hint` says what the person can do about it."""

    exit_code = ExitCode.PROBLEM

    def __init__(self, title: str, detail: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(title if detail is None else f"{title}: {detail}")
        self.title = title
        self.detail = detail
        self.hint = hint

    def document(self) -> dict[str, Any]:
        """The failure in the shape of problem details (RFC 9457), for `--json`."""
        document: dict[str, Any] = {"type": "about:blank", "title": self.title}
        if self.detail is not None:
            document["detail"] = self.detail
        return document


class NotConnected(CommandFailure):
    """It is not known where the API is, or which key to show it."""


class Unreachable(CommandFailure):
    """The API gave no answer, or none of its own."""


class UploadFailed(CommandFailure):
    """The file could not be sent to the place that the API gave for it."""


class DownloadFailed(CommandFailure):
    """A file could not be fetched from the place that the API gave for it, or is not the one that it told of."""


class ExportFailed(CommandFailure):
    """The files of a month could not be made."""


class AuditFailed(CommandFailure):
    """The books could not be recounted; it says nothing about them."""


class SecretLost(CommandFailure):
    """Something was made, and the one answer that shows its secret did not arrive."""


class EmptyName(CommandFailure, ValueError):
    """An empty text stands for nothing. In a path it would stand for the listing of everything."""

    exit_code = ExitCode.USAGE


class StackFailure(CommandFailure):
    """The embedded stack, or AWS, could not do what it was asked."""


class ApiProblem(CommandFailure):
    """The API answered with a problem. Nothing was charged (design section 2)."""

    def __init__(self, status: int, document: dict[str, Any], *, hint: str | None = None) -> None:
        title = document.get("title")
        detail = document.get("detail")
        super().__init__(
            title if isinstance(title, str) and title else f"HTTP {status}",
            detail if isinstance(detail, str) else None,
            hint=hint,
        )
        self.status = status
        self.problem = document

    @property
    def kind(self) -> str:
        """What kind of problem it is, for programs: `out-of-credits` (docs/api.md lists them); empty when unknown."""
        named = self.problem.get("type")
        return named.removeprefix("/problems/") if isinstance(named, str) and named.startswith("/problems/") else ""

    @property
    def errors(self) -> list[tuple[str, str]]:
        """Each named problem of the request, as (field, message)."""
        listed = self.problem.get("errors")
        if not isinstance(listed, list):
            return []
        return [(str(one.get("field", "")), str(one.get("message", ""))) for one in listed if isinstance(one, dict)]

    @property
    def request_id(self) -> str | None:
        """What to quote when asking about it."""
        value = self.problem.get("request_id")
        return value if isinstance(value, str) else None

    def document(self) -> dict[str, Any]:
        """The problem as the API gave it."""
        return {"status": self.status, **self.problem}


def shown_once(secret: str | None, what: str, *, hint: str) -> str:
    """A secret of an answer. Raises SecretLost where a retry got the answer to an attempt whose own answer was lost."""
    if secret is None:
        raise SecretLost(f"{what} was made, but its secret was lost with the answer to the first attempt", hint=hint)
    return secret

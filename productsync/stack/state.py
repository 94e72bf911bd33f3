"""What is written down about a running embedded stack, for the commands that come later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from productsync.files import write_secret_file

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "stack.json"


@dataclass(frozen=True, slots=True)
class StackState:
    """One embedded stack, up and deployed."""

    endpoint: str
    """The API's base URL, without a slash at its end: `{endpoint}/v1/credits` works."""
    aws_endpoint: str
    """Where the embedded AWS answers, for boto3 and the AWS command line."""
    region: str
    operator_key: str = field(repr=False)
    pid: int
    stack_name: str
    outputs: dict[str, str]
    """The outputs of template.yaml: table names, the bucket, the queues."""
    deployed: str
    """A digest of what was deployed; another one means that the code or the template has changed since."""

    @staticmethod
    def read(directory: Path) -> StackState | None:
        """The state in `directory`; None where there is none, or where another version of this code wrote it."""
        try:
            document = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
            return StackState(**document)
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, directory: Path) -> None:
        """Writes the state so that only its owner may read it: it holds the operator's key."""
        write_secret_file(directory / FILE_NAME, json.dumps(asdict(self), indent=2) + "\n")

    @staticmethod
    def remove(directory: Path) -> None:
        """Forgets the state, if there is one."""
        (directory / FILE_NAME).unlink(missing_ok=True)

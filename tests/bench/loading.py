"""How long a function loads before it can do anything: the code of the API and of the authorizer, beside bare boto3.

Each is loaded by a Python of its own, in turns, so that a busy machine slows all of them. What is counted is time on a
processor: loading waits for nothing but files, which are in memory after the first round. Python compiles a module when
it loads it for the first time, and keeps the outcome where it may; in what is deployed it finds none, and may not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from tests.bench.report import Figure, at_most

ROUNDS, DEPLOYED_ROUNDS = 5, 3
PROJECT = Path(__file__).parents[2]
BARE = "import boto3"
CONNECTED = "import boto3; boto3.client('dynamodb', region_name='eu-central-1')"
AUTHORIZER = "import functions.authorizer.handler"
API = "import functions.api.handler"

TIMES_BARE = {AUTHORIZER: 2.0, API: 6.0}
"""As long as bare boto3. No issue asks for it: a warning, should something large ever be loaded that few need."""

_FUNCTIONS = (("the authorizer", AUTHORIZER), ("the API", API))
_TIMED = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
_OURS = "our own modules, with the classes that they make"
_OTHERS = "Python's own, and small libraries"
_LIBRARIES = {
    "boto3": "boto3",
    "botocore": "boto3",
    "s3transfer": "boto3",
    "urllib3": "boto3",
    "dateutil": "boto3",
    "jmespath": "boto3",
    "functions": _OURS,
    "shared": _OURS,
    "pydantic": "pydantic",
    "pydantic_core": "pydantic",
    "annotated_types": "pydantic",
    "typing_extensions": "pydantic",
    "typing_inspection": "pydantic",
    "aws_lambda_powertools": "Powertools",
}
"""What a package is counted for, by the first part of a module's name."""


def figures(folder: Path) -> Iterator[Figure]:
    """Medians, their ratios, and what the time is made of. Compiled modules are kept in `folder`."""
    compiled = {**_bare_environment(), "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    deployed = {**_bare_environment(), "PYTHONPYCACHEPREFIX": str(folder / "none"), "PYTHONDONTWRITEBYTECODE": "1"}
    found = _timed((BARE, CONNECTED, AUTHORIZER, API), ROUNDS, compiled)
    yield Figure("boto3 alone", found[BARE], "ms")
    yield Figure("boto3 with a client for DynamoDB", found[CONNECTED], "ms")
    for what, code in _FUNCTIONS:
        yield Figure(what, found[code], "ms")
        yield at_most(f"{what}: times as long as boto3 alone", found[code] / found[BARE], TIMES_BARE[code], digits=1)
    for what, code in _FUNCTIONS:
        parts = _parts(code, compiled)
        for part, microseconds in parts.most_common():
            yield Figure(f"{what}: {part}", microseconds / parts.total() * 100, "%")
    found = _timed((BARE, AUTHORIZER, API), DEPLOYED_ROUNDS, deployed)
    yield Figure("as they are deployed, not compiled yet: boto3 alone", found[BARE], "ms")
    for what, code in _FUNCTIONS:
        yield Figure(f"as they are deployed, not compiled yet: {what}", found[code], "ms")
        yield Figure(f"{what}: times as long as boto3 alone", found[code] / found[BARE], digits=1)


def _bare_environment() -> dict[str, str]:
    """This process's, without what it says of compiled modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _timed(codes: Sequence[str], rounds: int, environment: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds that each takes, the median. One round more comes first, which brings files into memory."""
    found: dict[str, list[float]] = {code: [] for code in codes}
    for number in range(rounds + 1):
        for code in codes:
            milliseconds = float(_python(environment, "-c", _TIMED.format(code)).stdout) * 1000
            if number:
                found[code].append(milliseconds)
    return {code: median(taken) for code, taken in found.items()}


def _parts(code: str, environment: Mapping[str, str]) -> Counter[str]:
    """Microseconds that Python itself counts for loading, by whose modules they are."""
    parts: Counter[str] = Counter()
    for line in _python(environment, "-X", "importtime", "-c", code).stderr.splitlines():
        own, _, name = line.removeprefix("import time:").split("|")
        # The first line is the table's head.
        if own.strip().isdigit():
            top = name.strip().split(".")[0]
            parts[_LIBRARIES.get(top, _OTHERS)] += int(own)
    return parts


def _python(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT, env=environment)

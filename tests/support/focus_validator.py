"""The official validator of FOCUS files, in an environment of its own, which is made once and kept.

It needs Python 3.12 or newer, and packages that this project's own environment must not have (requirements/focus.in).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_REQUIREMENTS = ROOT / "requirements" / "focus.txt"
_MADE = "made"
_OLDEST = (3, 12)

CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "TAGGING_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
    "VIRTUAL_CURRENCY_SUPPORTED",
)
"""What applies to us: the rules of all other criteria are about zones, commitments, capacity and the like."""


class ValidatorMissing(Exception):
    """It cannot be run here, and why."""


@dataclass(frozen=True)
class Verdict:
    """How many rules passed, and which failed, by their identifiers."""

    passed: int
    failed: frozenset[str]
    text: str


def validate(path: Path) -> Verdict:
    """What the validator says of a file. Raises ValidatorMissing."""
    folder = _environment()
    packages = next((folder / "lib").glob("python3.*")) / "site-packages"
    command = [str(folder / "bin" / "focus-validator"), "--data-file", str(path.resolve()), "--validate-version", "1.2"]
    options = ["--block-download", "--applicability-criteria", ",".join(CRITERIA), "--show-violations"]
    # It looks for its list of currencies below the folder that it is started in. It ends with 0 whatever it finds.
    done = subprocess.run(
        [*command, *options], cwd=packages, capture_output=True, text=True, check=False, timeout=300, encoding="utf-8"
    )
    counted = re.search(r"Total: \d+ \| Pass: (\d+) \| Fail: (\d+)", done.stdout)
    if counted is None:
        raise AssertionError(f"the validator gave no result:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    failed = frozenset(re.findall(r"(\S+): FAIL ", done.stdout))
    assert len(failed) == int(counted[2])
    return Verdict(int(counted[1]), failed, done.stdout)


@cache
def _environment() -> Path:
    """The environment's folder, made now if it is not there. Raises ValidatorMissing."""
    if not _REQUIREMENTS.exists():
        raise ValidatorMissing(f"{_REQUIREMENTS.name} is missing (`make lock` writes it)")
    python = _interpreter()
    name = hashlib.sha256(_REQUIREMENTS.read_bytes() + str(python).encode()).hexdigest()[:16]
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache_home / "productsync" / f"focus-validator-{name}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        # Several tests may want it at once, and one makes it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _MADE).exists():
            _make(folder, python)
    return folder


def _make(folder: Path, python: Path) -> None:
    install = ["install", "--quiet", "--require-hashes", "-r", str(_REQUIREMENTS)]
    for command in ([str(python), "-m", "venv", "--clear", str(folder)], [str(folder / "bin" / "pip"), *install]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise ValidatorMissing(f"it cannot be installed: {done.stderr[-500:]}")
    (folder / _MADE).touch()


def _interpreter() -> Path:
    """An interpreter that is new enough: ours, one of the search path, or one that pyenv keeps."""
    candidates = [Path(sys.executable)] if sys.version_info >= _OLDEST else []
    candidates += [Path(found) for name in ("python3.12", "python3.13") if (found := shutil.which(name))]
    candidates += sorted(
        Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob("versions/3.1[23].*/bin/python")
    )
    for candidate in candidates:
        # What pyenv puts into the search path may be there and start nothing.
        asked = subprocess.run([candidate, "--version"], capture_output=True, check=False, timeout=60)
        if asked.returncode == 0:
            return candidate
    raise ValidatorMissing("there is no Python 3.12 or 3.13")

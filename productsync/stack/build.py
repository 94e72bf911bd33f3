"""The artifacts that functions run from.

`code` is this project's own code, the same on AWS and on the embedded stack. `dependencies` and `exports` are layers
with what requirements/runtime.txt and requirements/exports.txt pin, built for the Lambda runtime; the embedded stack
has the same versions installed. Only the function that writes exports has the second one: it is larger than the rest.

Both are reproducible: the same sources give the same bytes, so an artifact's name is the digest of its content and a
deployment that changes nothing uploads nothing.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from productsync.failures import StackFailure

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ARTIFACT_BYTES = 50 * 1024 * 1024
"""What Lambda takes as one zipped artifact."""

MAX_UNPACKED_BYTES = 250 * 1024 * 1024
"""What Lambda takes of a function's code and all its layers, unpacked."""

PYTHON_VERSION = "3.13"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
"""The Lambda runtime python3.13 on arm64: Amazon Linux 2023, glibc 2.34."""

CODE_ROOMS = ("functions", "shared")
SOURCE_SUFFIXES = frozenset({".py", ".json"})
LEFT_OUT_FOLDERS = frozenset({"__pycache__", "bin", "tests", "test"})
# What pip notes about an installation: the machine's paths and tools, so not the same everywhere, and unused when run.
LEFT_OUT_FILES = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
LEFT_OUT_SUFFIXES = frozenset({".pyc", ".pyi", ".pxd", ".pyx", ".c", ".h"})
# What pyarrow brings and no export imports: half of its size. Its libraries come under three names, of which one is
# linked to; engines for other formats, stores and protocols; and what it is compiled and tested with.
LEFT_OUT_OF_ARROW = re.compile(
    r"""pyarrow/(
        (include|includes|src|tests|interchange|vendored/docscrape)/
        | .*\.(pxi|pyx|cc|h)$
        | libarrow_(flight|s3|python_flight|python_parquet_encryption)\.
        | libarrow_python\.so$ | libarrow_python\.so\.[0-9]+\.
        | _(flight|s3fs|gcsfs|azurefs|hdfs|orc|dataset_orc|dataset_parquet_encryption|parquet_encryption|substrait
            |feather|pyarrow_cpp_tests)\.
    )""",
    re.VERBOSE,
)
EARLIEST_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A zip file and the digest of its content."""

    path: Path
    digest: str

    @property
    def key(self) -> str:
        """Its object key: the same content always has the same one."""
        return f"{self.path.stem}/{self.digest}.zip"


def build_code(root: Path, destination: Path) -> Artifact:
    """The project's own code, as `destination`/code.zip."""
    files = (
        (path.relative_to(root).as_posix(), path)
        for room in CODE_ROOMS
        for path in (root / room).rglob("*")
        if path.suffix in SOURCE_SUFFIXES and path.is_file()
    )
    return _write_zip(destination / "code.zip", files)


def build_dependencies(root: Path, destination: Path) -> Artifact:
    """What all functions import, as `destination`/dependencies.zip, with the layout of a layer.

    Raises StackFailure when pip fails (it needs a registry) or when the artifact is larger than Lambda takes.
    """
    return _build_layer(root / "requirements" / "runtime.txt", destination / "dependencies.zip")


def build_exports(root: Path, destination: Path) -> Artifact:
    """What the function that writes exports imports beside the others, as `destination`/exports.zip; raises as
    `build_dependencies` does.
    """
    return _build_layer(root / "requirements" / "exports.txt", destination / "exports.zip")


def unpacked_bytes(artifact: Artifact) -> int:
    """How large the artifact is where Lambda has unpacked it."""
    with zipfile.ZipFile(artifact.path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _build_layer(requirements: Path, destination: Path) -> Artifact:
    """The pinned packages for the Lambda runtime."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON_VERSION]
        command += [argument for platform in PLATFORMS for argument in ("--platform", platform)]
        command += ["--require-hashes", "--no-deps", "--target", folder, "--requirement", str(requirements)]
        if subprocess.run(command, check=False).returncode != 0:
            raise StackFailure("The dependencies could not be installed", "pip says why above")
        files = (
            (f"python/{path.relative_to(target).as_posix()}", path)
            for path in target.rglob("*")
            if path.is_file() and not _is_left_out(path.relative_to(target))
        )
        return _write_zip(destination, files)


def _is_left_out(path: Path) -> bool:
    return (
        path.name in LEFT_OUT_FILES
        or path.suffix in LEFT_OUT_SUFFIXES
        or not LEFT_OUT_FOLDERS.isdisjoint(path.parts[:-1])
        or LEFT_OUT_OF_ARROW.match(path.as_posix()) is not None
    )


def _write_zip(destination: Path, files: Iterable[tuple[str, Path]]) -> Artifact:
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in sorted(files):
            entry = zipfile.ZipInfo(name, EARLIEST_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    size = partial.stat().st_size
    if size > MAX_ARTIFACT_BYTES:
        raise StackFailure(
            f"{destination.name} is too large",
            f"{size:,} bytes zipped, and Lambda takes {MAX_ARTIFACT_BYTES:,}",
        )
    partial.replace(destination)
    return Artifact(destination, hashlib.sha256(destination.read_bytes()).hexdigest())

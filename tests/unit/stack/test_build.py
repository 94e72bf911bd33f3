"""The artifacts: the same sources make the same bytes, and nothing is in them that does not belong on AWS."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from productsync.failures import StackFailure
from productsync.stack import build


def make_project(root: Path) -> Path:
    for name, text in {
        "functions/__init__.py": "",
        "functions/api/handler.py": "def handler(event, context): ...\n",
        "functions/api/__pycache__/handler.cpython-313.pyc": "bytes",
        "shared/__init__.py": "",
        "shared/feeds/presets/shopify.json": "{}",
        "shared/README.md": "for people",
        "tests/test_api.py": "not for AWS",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_the_code_is_what_functions_import_and_nothing_else(tmp_path: Path) -> None:
    artifact = build.build_code(make_project(tmp_path), tmp_path / "build")
    assert zipfile.ZipFile(artifact.path).namelist() == [
        "functions/__init__.py",
        "functions/api/handler.py",
        "shared/__init__.py",
        "shared/feeds/presets/shopify.json",
    ]


def test_the_same_code_makes_the_same_artifact_wherever_and_whenever_it_is_built(tmp_path: Path) -> None:
    here, there = make_project(tmp_path / "here"), make_project(tmp_path / "there")
    os.utime(there / "functions" / "api" / "handler.py", (0, 0))
    (there / "functions" / "api" / "handler.py").chmod(0o600)
    first, second = build.build_code(here, tmp_path / "1"), build.build_code(there, tmp_path / "2")
    assert first.key == second.key
    assert first.path.read_bytes() == second.path.read_bytes()


def test_other_code_has_another_key(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    before = build.build_code(root, tmp_path / "build").key
    (root / "shared" / "__init__.py").write_text("changed = True\n", encoding="utf-8")
    assert build.build_code(root, tmp_path / "build").key != before


def test_an_artifact_that_lambda_would_not_take_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MAX_ARTIFACT_BYTES", 100)
    with pytest.raises(StackFailure, match=r"code\.zip is too large"):
        build.build_code(make_project(tmp_path), tmp_path / "build")
    assert not (tmp_path / "build" / "code.zip").exists()


def test_the_project_s_own_code_fits_by_far(project: Path, tmp_path: Path) -> None:
    artifact = build.build_code(project, tmp_path)
    assert artifact.path.stat().st_size < build.MAX_ARTIFACT_BYTES / 10
    names = set(zipfile.ZipFile(artifact.path).namelist())
    assert {f"functions/{room}/handler.py" for room in ("api", "authorizer", "import_worker")} <= names


def test_the_dependencies_are_the_same_on_every_platform(project: Path) -> None:
    """pip decides by markers about the machine that it runs on, not the one that it installs for. Only that it is
    CPython is true of both.
    """
    locked = (project / "requirements" / "runtime.txt").read_text(encoding="utf-8").splitlines()
    markers = [line.partition(";")[2].rstrip(" \\") for line in locked if "==" in line and ";" in line]
    asked = {condition.strip() for marker in markers for condition in marker.split(" and ")}
    assert asked <= {"implementation_name != 'PyPy'", "platform_python_implementation != 'PyPy'"}


@pytest.mark.parametrize("name", ["dev.txt", "exports.txt", "lock.txt", "runtime.txt"])
def test_lock_files_have_hashes_and_name_no_place_to_install_from(project: Path, name: str) -> None:
    text = (project / "requirements" / name).read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert not any(word in text for word in ("://", "--index-url", "--extra-index-url", "--find-links"))


def test_functions_run_on_aws_with_the_versions_that_are_tested(project: Path) -> None:
    def versions(name: str) -> set[str]:
        lines = (project / "requirements" / name).read_text(encoding="utf-8").splitlines()
        return {line.split(" ")[0] for line in lines if "==" in line}

    assert versions("runtime.txt") | versions("exports.txt") <= versions("dev.txt")


_WRITES_PARQUET = """
import io
from datetime import UTC, datetime
import pyarrow
from shared.exports.focus import Account
from shared.exports.formats import Format
from shared.exports.lines import Line, LineType
from shared.months import Month
from shared.exports.parts import PartWriter

assert pyarrow.__file__.startswith({layer!r}), pyarrow.__file__
sinks = {{form: io.BytesIO() for form in Format}}
writer = PartWriter(sinks, Account("ws", Month(2026, 11), "EUR"))
writer.write(Line(line_id="1", line_type=LineType.USAGE, at=datetime(2026, 11, 1, tzinfo=UTC), workspace_id="ws"))
writer.close()
assert sinks[Format.PARQUET].getvalue().startswith(b"PAR1")
"""


def test_exports_are_written_with_what_the_layer_keeps_of_its_packages(project: Path, tmp_path: Path) -> None:
    site = Path(pa.__file__).parents[1]
    kept = [
        path
        for path in (site / "pyarrow").rglob("*")
        if path.is_file() and not build._is_left_out(path.relative_to(site))
    ]
    for path in kept:
        target = tmp_path / path.relative_to(site)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    # 250 MB is what Lambda takes of everything together.
    assert sum(path.stat().st_size for path in kept) < 130 * 2**20
    done = subprocess.run(
        [sys.executable, "-c", _WRITES_PARQUET.format(layer=str(tmp_path))],
        cwd=project,
        env={"PYTHONPATH": f"{tmp_path}:{project}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

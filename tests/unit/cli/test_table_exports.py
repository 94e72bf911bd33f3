"""`productsync export from-table`, on folders that are no exported table. The rest is in tests/dynamodb."""

from pathlib import Path

from typer.testing import CliRunner

from productsync.cli import app
from tests.support.export_lines import START
from tests.support.table_exports import write_table_export


def test_a_folder_without_an_export_is_a_problem_that_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", "from-table", str(tmp_path), "--to", str(tmp_path / "to")])
    assert result.exit_code == 1
    assert "manifest-summary.json: No such file" in " ".join(result.stderr.split())


def test_a_month_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    arguments = ["export", "from-table", str(tmp_path), "--to", str(tmp_path), "--month", "2026-13"]
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_table_without_that_workspace_is_a_problem(tmp_path: Path) -> None:
    source = write_table_export(tmp_path / "export", [], START)
    arguments = ["export", "from-table", str(source), "--to", str(tmp_path / "to"), "--workspace", "ws_1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "no account of ws_1" in " ".join(result.stderr.split())
    assert not (tmp_path / "to").exists()

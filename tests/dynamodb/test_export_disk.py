"""What an exporter leaves on its machine's disk when it is killed: nothing.

Lambda does not empty `/tmp` when it ends a function whose time is over, and the files of several parts do not fit
there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.exports.model import ExportState
from shared.exports.worker import work
from tests.support.exports import Exporting, at, never
from tests.support.money import Account, plain_s3

OpenAccount = Callable[[int], Account]


def test_files_of_a_part_have_no_names_which_could_outlive_their_worker(
    open_account: OpenAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporting = Exporting(open_account(5), lines_per_part=2)
    exporting.account.clock.now = at(3)
    for number in range(4):
        exporting.charge(f"call {number}")
        exporting.account.clock.advance(minutes=1)
    left: list[list[str]] = []
    s3 = plain_s3(exporting.account.world)
    s3.meta.events.register("before-call.s3", lambda **_: left.append([path.name for path in tmp_path.iterdir()]))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    export = exporting.ask()
    done = work(exporting.room(s3=s3), exporting.workspace_id, export.export_id, never, export.leg)
    assert done is not None
    assert (done.state, done.parts) == (ExportState.READY, 3)
    assert len(exporting.rows(done)) == 5
    assert len(left) > 9
    assert not any(left)

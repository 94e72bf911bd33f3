"""The process of the embedded AWS: starting it, knowing whether it lives, ending it.

A process id alone does not tell whether the process behind it is still the one that was started. So the process is
given a lock that it holds for as long as it lives: the lock is free exactly when it is gone. Its id is written into it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

from productsync.failures import StackFailure

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"
REGION = "us-east-1"
SERVICES = (
    "apigateway,cloudformation,cognito-idp,dynamodb,dynamodbstreams,events,iam,lambda,logs,monitoring,s3,scheduler,"
    "secretsmanager,sns,sqs,sts"
)
"""What template.yaml uses; nothing else is switched on."""

START_SECONDS = 30.0
STOP_SECONDS = 5.0
ATTEMPTS = 3
"""A port that was free may be taken a moment later by somebody else; then another one is tried."""


_children: dict[int, subprocess.Popen[bytes]] = {}
"""What this very process has started, by process id: only a parent can see a child off."""


class AlreadyRunning(StackFailure):
    """Another embedded stack runs in this directory, or is just being started there."""


class AwsProcess:
    """The embedded AWS that was started in a directory: its log, its files and its lock lie there."""

    def __init__(self, directory: Path, pid: int) -> None:
        self.directory = directory
        self.pid = pid
        self._child = _children.get(pid)

    @staticmethod
    def find(directory: Path) -> AwsProcess | None:
        """The process that was started in `directory`, if it still lives, whoever started it."""
        if not is_running(directory):
            return None
        text = _lock_file(directory).read_text(encoding="ascii")
        # It is empty for the moment between taking the lock and starting the process.
        return AwsProcess(directory, int(text)) if text else None

    def has_ended(self) -> bool:
        """Whether it is gone."""
        if self._child is not None:
            # While it is being started, the starter holds the lock as well; a child can be asked itself.
            return self._child.poll() is not None
        return not is_running(self.directory)

    def stop(self) -> None:
        """Asks it to end, insists after a few seconds, and ends the functions that it has started with it.

        Raises StackFailure when it is still there after that.
        """
        if not self.has_ended():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            self._wait_for_end()
        # It leads a process group of its own, which outlives it for as long as one of its functions does.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._wait_for_end()
        if not self.has_ended():
            raise StackFailure("The embedded stack does not stop", f"process {self.pid} is still there")
        if self._child is not None:
            if self._child.stdin is not None:
                self._child.stdin.close()
            _children.pop(self.pid, None)
        shutil.rmtree(work_directory(self.directory), ignore_errors=True)

    def _wait_for_end(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while not self.has_ended() and time.monotonic() < deadline:
            time.sleep(0.02)


def start(directory: Path, *, preferred_port: int = 0, outlives_starter: bool = False) -> tuple[AwsProcess, str]:
    """Starts the embedded AWS on a free port of loopback. Returns it and its URL when it answers.

    Raises AlreadyRunning, or StackFailure with the end of its log.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(_lock_file(directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"An embedded stack already runs in {directory}", hint="`productsync down` stops it."
            ) from error
        for _ in range(ATTEMPTS):
            chosen = _free_port(preferred_port)
            process = _launch(directory, chosen, lock, outlives_starter=outlives_starter)
            if _comes_up(process, _url(chosen)):
                return process, _url(chosen)
            process.stop()
    finally:
        # The process holds the lock through a descriptor of its own.
        os.close(lock)
    raise StackFailure(
        "The embedded stack does not start", _end_of_log(directory), hint=f"Its log: {log_file(directory)}"
    )


def answers(url: str) -> bool:
    """Whether an embedded AWS is healthy at `url`."""
    try:
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=2) as answer:  # noqa: S310  # always http
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def is_running(directory: Path) -> bool:
    """Whether the process that was started in `directory` is alive."""
    try:
        lock = os.open(_lock_file(directory), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def log_file(directory: Path) -> Path:
    """What the embedded AWS has to say."""
    return directory / "stack.log"


def work_directory(directory: Path) -> Path:
    """Where the embedded AWS keeps its files while it runs."""
    return directory / "embedded"


def _lock_file(directory: Path) -> Path:
    return directory / "stack.lock"


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _launch(directory: Path, port: int, lock: int, *, outlives_starter: bool) -> AwsProcess:
    work = work_directory(directory)
    shutil.rmtree(work, ignore_errors=True)
    (work / "tmp").mkdir(mode=0o700, parents=True)
    module = "ministack" if outlives_starter else "productsync.stack.guard"
    with log_file(directory).open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=work,
            env=_environment(work, port),
            stdin=subprocess.DEVNULL if outlives_starter else subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
        )
    os.truncate(lock, 0)
    os.pwrite(lock, str(child.pid).encode("ascii"), 0)
    _children[child.pid] = child
    return AwsProcess(directory, child.pid)


def _free_port(preferred: int) -> int:
    """A port of loopback that nobody listens on: the preferred one, if that is so."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            # As a server would: a port whose last connections are still winding down is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise StackFailure("No port is free on loopback")


def _environment(work: Path, port: int) -> dict[str, str]:
    """Everything that the embedded AWS and its functions see.

    The caller's own AWS settings are not among it: a function that inherited them could reach a real account.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(work),
        "TMPDIR": str(work / "tmp"),
        "PYTHONUNBUFFERED": "1",
        # Loopback only, and no listener besides the one.
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "localhost",
        "IOT_MTLS_ENABLED": "0",
        "SERVICES": SERVICES,
        "MINISTACK_REGION": REGION,
        "LOG_LEVEL": "WARNING",
        # Functions may do what their roles allow, and nothing else, as on AWS.
        "AUTH": "true",
        # Nothing is kept: a stack that starts is empty.
        "PERSIST_STATE": "0",
        "STATE_DIR": str(work / "state"),
        "S3_DATA_DIR": str(work / "s3"),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _comes_up(process: AwsProcess, url: str) -> bool:
    """Waits until it answers. False when it does not, or ends instead."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not process.has_ended():
        if answers(url):
            return True
        time.sleep(0.05)
    return False


def _end_of_log(directory: Path) -> str:
    lines = log_file(directory).read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-15:]) or "it said nothing"

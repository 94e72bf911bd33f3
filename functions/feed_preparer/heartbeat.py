"""Keeps a queue message hidden for just as long as somebody works on it.

Preparing a large file takes minutes, and the queue must hide a message for at least the function's time limit. A worker
that is killed would leave its message hidden for all of that. So the message is given a short time to stay hidden, and
it is renewed while the work goes on: what is left alone is taken up by another within `HIDDEN_SECONDS`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

HIDDEN_SECONDS = 90
RENEW_EVERY_SECONDS = 30.0

logger = Logger(child=True)


@contextmanager
def heartbeat(sqs: SQSClient, queue_url: str, receipt_handle: str) -> Iterator[None]:
    """Renews the message's time while the block runs.

    One renewal that fails does no harm: the next comes while the message is still hidden. When all fail, the message
    shows again, and another worker takes the run up; working on a run twice does no harm either.
    """
    done = threading.Event()

    def renew() -> None:
        while True:
            try:
                sqs.change_message_visibility(
                    QueueUrl=queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=HIDDEN_SECONDS
                )
            except (BotoCoreError, ClientError):
                logger.warning("the message's time was not renewed", exc_info=True)
            if done.wait(RENEW_EVERY_SECONDS):
                return

    thread = threading.Thread(target=renew, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()

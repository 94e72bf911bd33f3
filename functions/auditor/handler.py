"""Makes audits, one message of the audit queue at a time."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from shared.audits.figures import UsageBooks
from shared.audits.model import AuditState
from shared.audits.reading import BooksReader
from shared.audits.samples import RecordReader
from shared.audits.store import AuditStore
from shared.audits.worker import AuditRoom, give_up, work
from shared.catalog import CatalogStore
from shared.dynamo.client import dynamodb_client
from shared.dynamo.transactions import Backoff
from shared.runs.artifacts import RunArtifacts
from shared.runs.store import RunStore
from shared.settings import Settings
from shared.times import utc_now
from shared.tracing import Tracer
from shared.usage.counting import UsageCounter
from shared.usage.store import UsageStore

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from aws_lambda_powertools.utilities.typing import LambdaContext

HAND_OVER_BEFORE_TIMEOUT_MS = 600_000
"""What is left of the function's time when it hands over: a unit of work takes seconds, but one that looks for usage
figures that are behind goes through a day of the log.
"""

TRIES = 5
"""How often a message is delivered (the queue's redrive policy, template.yaml). The last delivery is the last chance to
say of an audit that nobody could make it; its message ends among the dead letters all the same.
"""

logger = Logger()
metrics = Metrics(namespace="ProductSync")
processor = BatchProcessor(EventType.SQS)


@cache
def room() -> AuditRoom:
    settings, dynamodb = Settings.from_environment(), dynamodb_client()
    books = BooksReader(dynamodb, settings.credit_table, Backoff())
    catalog = CatalogStore(dynamodb, settings.catalog_table)
    artifacts = RunArtifacts(boto3.client("s3"), settings.data_bucket)
    return AuditRoom(
        audits=AuditStore(dynamodb, settings.work_table),
        books=books,
        catalog=catalog,
        records=RecordReader(dynamodb, settings.catalog_table),
        usage=UsageBooks(
            UsageStore(dynamodb, settings.usage_table), UsageCounter(dynamodb, settings.usage_table, utc_now), books
        ),
        trace=Tracer(RunStore(dynamodb, settings.work_table), artifacts, catalog).records_written,
    )


def carry_out(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Goes on with the audit that the message names, and tells of what it found when it is over."""
    try:
        message = record.json_body
        workspace_id, audit_id, leg = message["workspace_id"], message["audit_id"], message["leg"]
    except (KeyError, TypeError, ValueError):
        # No later try will find more in it.
        logger.exception("a message that nothing of ours has sent", extra={"message_id": record.message_id})
        return
    logger.append_keys(workspace_id=workspace_id, audit_id=audit_id)

    def out_of_time() -> bool:
        return lambda_context.get_remaining_time_in_millis() < HAND_OVER_BEFORE_TIMEOUT_MS

    try:
        audit = work(room(), workspace_id, audit_id, leg, out_of_time)
    except Exception as error:
        if int(record.attributes.approximate_receive_count) >= TRIES:
            given_up = give_up(room(), workspace_id, audit_id, leg, error)
            logger.exception("gave an audit up", extra={"state": given_up and given_up.state})
        raise
    if audit is None:
        logger.warning("the message names an audit that does not exist")
        return
    about = {"state": audit.state, "operations": audit.operations, "exact": audit.exact, "repaired": audit.repaired}
    if audit.state is not AuditState.FINISHED:
        logger.info("an audit goes on", extra=about)
        return
    metrics.add_metric("BooksDifferences", MetricUnit.Count, audit.difference_count)
    if audit.balanced:
        logger.info("the books balance", extra=about)
    else:
        first = str(audit.differences[0])
        logger.error("the books do not balance", extra=about | {"first": first, "differences": audit.difference_count})


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Reports the messages that failed; SQS delivers them again."""
    # So that the metric is there whatever becomes of the message: what is missing would look like what is healthy.
    metrics.add_metric("BooksDifferences", MetricUnit.Count, 0)
    return process_partial_response(event=event, record_handler=carry_out, processor=processor, context=context)

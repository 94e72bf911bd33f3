"""The credit guard as it is deployed: which charges call it, and how long it takes from a charge to the last schedule.

Nothing here stands in for anything: the charges go to the deployed credit table, its filtered stream calls the deployed
functions, their own log says how often, and EventBridge Scheduler is asked what became of the schedules.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from productsync.stack import EmbeddedStack
from shared.credits.levels import THRESHOLDS
from shared.dynamo.values import to_item
from shared.keys import schedules as schedule_rows
from shared.schedules.model import Schedule
from shared.schedules.scheduler import Scheduler, Target
from shared.times import utc_now
from shared.usage.store import UsageStore
from tests.bench.accounts import Accounts
from tests.bench.guard import CREDITS, SIZES, THREADS, Bench, put_copies
from tests.bench.report import Figure, exactly
from tests.bench.workbench import WORK_TABLE
from tests.support.waiting import until

if TYPE_CHECKING:
    from mypy_boto3_scheduler.literals import ScheduleStateType

CHARGES = 10_000
SPENDERS = 8
"""Workspaces that are charged at the same time: charges of one workspace wait for each other."""

LEFT_OVER = 15
"""Credits that each keeps: fewer than 5 %, so that it falls under every threshold and never to zero."""

ATTENDED, ANNOUNCED = "attended a workspace", "announced a threshold"
"""What the functions say in their log."""

ROWS_AT_ONCE = 25
PATIENCE_SECONDS = 300.0


class FunctionLog:
    """What one deployed function has written: one JSON document a line, beside Lambda's own lines."""

    def __init__(self, stack: EmbeddedStack, log_group: str) -> None:
        """`log_group` is the logical name that the template gives it."""
        found = stack.aws.cloudformation().describe_stack_resource(
            StackName=stack.state.stack_name, LogicalResourceId=log_group
        )
        self._group = found["StackResourceDetail"]["PhysicalResourceId"]
        self._logs: Any = stack.aws.session.client("logs", endpoint_url=stack.aws.endpoint)

    def invocations(self) -> set[str]:
        """The identifiers of all invocations, as Lambda wrote them down."""
        return {line.split()[2] for line in self._lines('"START RequestId:"')}

    def told(self, message: str) -> list[dict[str, Any]]:
        """Everything that the function itself has said in these words."""
        return [json.loads(line) for line in self._lines(f'"{message}"') if line.startswith("{")]

    def _lines(self, pattern: str) -> Iterator[str]:
        pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=self._group, filterPattern=pattern)
        for page in pages:
            yield from (event["message"] for event in page["events"])


@dataclass(frozen=True, slots=True)
class Switched:
    """How long a workspace of `size` schedules took from one credit operation to its last schedule, in seconds, and how
    many invocations of the guard that were.
    """

    size: int
    paused: float
    resumed: float
    invocations: int


class Deployed:
    """The platform, deployed from template.yaml. `bench` lends it schedules."""

    def __init__(self, stack: EmbeddedStack, bench: Bench) -> None:
        self._bench = bench
        self._work_table = stack.outputs["WorkTable"]
        self._accounts = Accounts(bench.accounts.client, stack.outputs["CreditTable"], self._work_table)
        self._guard = FunctionLog(stack, "CreditGuardLogGroup")
        self._follower = FunctionLog(stack, "CreditFollowerLogGroup")
        self._usage = UsageStore(bench.accounts.client, stack.outputs["UsageTable"])
        configuration = stack.aws.lambda_().get_function_configuration(FunctionName=stack.outputs["CreditGuard"])
        self._target = Target.from_environment(configuration["Environment"]["Variables"])

    def quiet_charges(self) -> Iterator[Figure]:
        """Whom charges call that reach no zero; and one that does, for the sake of comparison."""
        each = CHARGES // SPENDERS
        spenders = [self._accounts.open(each + LEFT_OVER) for _ in range(SPENDERS)]
        last = self._accounts.open(1)
        start = time.perf_counter()
        with ThreadPoolExecutor(SPENDERS) as pool:
            list(pool.map(lambda workspace_id: self._spend(workspace_id, each), spenders))
        seconds = time.perf_counter() - start
        self._accounts.charge(self._accounts.ledger(), last, 1)
        # The stream is in order: who has told of the last charge has seen all those before it.
        until(lambda: self._attended(last), PATIENCE_SECONDS)
        until(lambda: len(self._announced([last])) == len(THRESHOLDS), PATIENCE_SECONDS)

        calls, by_the_last = self._guard.invocations(), self._attended(last)
        attended = {line["workspace_id"] for line in self._guard.told(ATTENDED)}
        crossings = SPENDERS * len(THRESHOLDS)
        yield exactly("by all of them: invocations of the guard", len(calls - by_the_last), 0)
        yield exactly("by all of them: workspaces that the guard attended", len(attended - {last}), 0)
        yield exactly("by one more, to zero: invocations of the guard", len(by_the_last), 1)
        yield exactly(f"of {crossings} thresholds crossed: announced", len(self._announced(spenders)), crossings)
        counted = [self._usage.so_far(workspace_id) for workspace_id in (*spenders, last)]
        yield exactly("of all of them: counted as usage", sum(each.operations for each in counted), CHARGES + 1)
        yield Figure("for that: invocations of the follower", len(self._follower.invocations()))
        yield Figure(f"charges per second, {SPENDERS} at a time", CHARGES / seconds)

    def switches(self) -> Iterator[Figure]:
        """From the charge that exhausts to the last schedule paused, and from the top-up to the last one resumed."""
        for size in SIZES:
            switched = self._switch(size)
            yield Figure(f"{size:,}: from the exhausting charge to the last DISABLED", switched.paused, "s", digits=2)
            yield Figure(f"{size:,}: from the top-up to the last ENABLED", switched.resumed, "s", digits=2)
            yield exactly(f"{size:,}: invocations of the guard for both", switched.invocations, 2)

    def _switch(self, size: int) -> Switched:
        workspace_id = self._accounts.open(CREDITS)
        schedules = self._put_schedules(workspace_id, size)
        before = self._guard.invocations()
        charged_at = utc_now()
        self._accounts.charge(self._accounts.ledger(), workspace_id, CREDITS)
        paused = self._last_change(schedules, "DISABLED") - charged_at
        topped_up_at = utc_now()
        self._accounts.top_up(workspace_id, CREDITS)
        resumed = self._last_change(schedules, "ENABLED") - topped_up_at
        # An invocation stands in the log when it has ended, which may be a moment after its last schedule.
        until(lambda: len(self._attended(workspace_id)) > 1, PATIENCE_SECONDS)
        invocations = len(self._guard.invocations() - before)
        return Switched(size, paused.total_seconds(), resumed.total_seconds(), invocations)

    def _put_schedules(self, workspace_id: str, size: int) -> list[Schedule]:
        """Schedules as if their owners had put them a while ago: the rows and their copies. A row that an owner puts
        rings for the guard; these come from where nobody hears it, and are carried over already.
        """
        schedules, client = self._bench.put_rows(workspace_id, size), self._accounts.client
        pages = client.get_paginator("query").paginate(
            TableName=WORK_TABLE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=to_item({":pk": schedule_rows(workspace_id)}),
        )
        rows: list[Any] = [{"PutRequest": {"Item": row}} for page in pages for row in page["Items"]]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            client.batch_write_item(RequestItems={self._work_table: rows[start : start + ROWS_AT_ONCE]})
        put_copies(Scheduler(self._bench.scheduler, self._target), schedules)
        return schedules

    def _last_change(self, schedules: Iterable[Schedule], state: ScheduleStateType) -> datetime:
        """Waits until every copy has the state, and says when the last one got it, by EventBridge Scheduler's clock.

        They are asked one by one: a listing of the embedded AWS ends after 100.
        """
        names = [f"{schedule.workspace_id}.{schedule.schedule_id}" for schedule in schedules]
        # Whoever asks for all of them all the time keeps the guard waiting. They are switched in this order, nearly.
        self._changed_to(names[-1], state)
        with ThreadPoolExecutor(THREADS) as pool:
            return max(pool.map(lambda name: self._changed_to(name, state), names))

    def _changed_to(self, name: str, state: ScheduleStateType) -> datetime:
        copy = self._copy(name)
        if copy["State"] != state:
            until(lambda: self._copy(name)["State"] == state, PATIENCE_SECONDS)
            copy = self._copy(name)
        changed_at: datetime = copy["LastModificationDate"]
        return changed_at

    def _copy(self, name: str) -> Any:
        return self._bench.scheduler.get_schedule(GroupName=self._target.group, Name=name)

    def _spend(self, workspace_id: str, charges: int) -> None:
        ledger = self._accounts.ledger()
        for _ in range(charges):
            self._accounts.charge(ledger, workspace_id, 1)

    def _attended(self, workspace_id: str) -> set[str]:
        """The invocations of the guard that have attended a workspace."""
        told = self._guard.told(ATTENDED)
        return {line["function_request_id"] for line in told if line["workspace_id"] == workspace_id}

    def _announced(self, workspace_ids: Iterable[str]) -> list[dict[str, Any]]:
        wanted = set(workspace_ids)
        return [line for line in self._follower.told(ANNOUNCED) if line["workspace_id"] in wanted]

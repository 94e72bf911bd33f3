"""The one door through which anything is paid for, and the one through which credits arrive.

`Ledger.commit` sends, in one transaction and in this order: the client's idempotency key if there is one, the operation
entry, the balance, the run's cursor if there is one, and the writes that are paid for (design section 5). Refusals are
read in the same order. It either all happens or nothing does (law 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared import keys
from shared.credits import account
from shared.credits.drawing import Payment, after, drawable, lapsed, pay, withdrawable, withdrawal
from shared.credits.entries import entry_of, expiry, settlement
from shared.credits.granting import Granted, GrantReferenceReused, GrantReplayed, replay_of_grant
from shared.credits.model import Balance, Grant, Operation
from shared.credits.operations import put_operation
from shared.credits.plan import (
    ClientCall,
    Committed,
    OperationIdReused,
    Outcome,
    OutOfCredits,
    Plan,
    Replayed,
    Stale,
    UnknownWorkspace,
)
from shared.credits.replays import put_call, replay_of_call, replay_of_entry
from shared.credits.restitutions import Restitution, RestitutionOutcome, Restored
from shared.credits.views import BalanceViews
from shared.credits.withdrawals import NotThere, UnknownGrant, Withdrawal, WithdrawalOutcome, Withdrawn
from shared.dynamo.reads import Place, batch_get, get_together
from shared.dynamo.transactions import (
    MAX_TRANSACTION_ITEMS,
    Backoff,
    Refused,
    StoreUnavailable,
    transact_get,
    transact_write,
)
from shared.dynamo.values import to_item
from shared.dynamo.writes import Write
from shared.keys import Item
from shared.times import Clock, utc_now

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_WRITES = MAX_TRANSACTION_ITEMS - 3
"""Writes that fit into one transaction beside the operation entry, the balance and a cursor."""

_MAX_DRAWS = 25


@dataclass(frozen=True, slots=True)
class Look:
    """What one request has read: the account (None: there is none, or nobody asked for it), what a retry of the call is
    told (None: it is new), and the items of the other places, in the order asked for.
    """

    balance: Balance | None
    told: Replayed | OperationIdReused | None
    items: tuple[Item | None, ...]


class Ledger:
    """The credit account of every workspace. Safe to share between threads.

    It remembers the last balance it saw of a workspace, so that the usual charge is one blind write. Such a view may be
    old in both directions: conditions keep it from overspending, and no refusal is ever given on it alone.
    """

    def __init__(
        self, client: DynamoDBClient, table: str, *, clock: Clock = utc_now, backoff: Backoff | None = None
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._views = BalanceViews(clock)

    def commit(self, plan: Plan) -> Outcome:
        """Charges and writes what `plan` says, once, or says why not (see `shared.credits.plan`).

        Raises StoreUnavailable when DynamoDB does not decide; whether it was committed is then unknown, and the same
        plan may be sent again at any time.
        """
        now = self._clock()
        if plan.credits == 0:
            outcome = self._send(plan, None, Payment(()), now)
            if isinstance(outcome, Balance):
                raise AssertionError("a plan that costs nothing has no balance to refuse it")
            return outcome
        balance = self.last_seen(plan.workspace_id) or self.balance(plan.workspace_id)
        if balance is None:
            return UnknownWorkspace(plan.workspace_id)
        if pay(balance, plan.credits, plan.owe_up_to, now) is None:
            seen = self._look(plan)
            if not isinstance(seen, Balance):
                return seen
            balance = seen
        for _ in range(_MAX_DRAWS):
            payment = pay(balance, plan.credits, plan.owe_up_to, now)
            if payment is None:
                return OutOfCredits(plan.credits, drawable(balance, now), balance.owed)
            outcome = self._send(plan, balance, payment, now)
            if not isinstance(outcome, Balance):
                return outcome
            # The account as it stood when it refused, after the entry was seen to be new: no view could be fresher.
            balance = outcome
        raise StoreUnavailable(f"the balance of {plan.workspace_id} changed under {_MAX_DRAWS} attempts to draw on it")

    def look(
        self, workspace_id: str, others: Sequence[Place] = (), *, call: ClientCall | None = None, balance: bool = True
    ) -> Look:
        """Reads what a call has to know before it is planned, in one request: its idempotency key, the balance unless
        `balance` is False, and up to 98 other items of any table.

        A look ahead, for checks that only a new call has to pass, and for what is there to spend. `commit` decides.
        Raises StoreUnavailable.
        """
        wanted = list(others)
        if call is not None:
            wanted.append(Place(self._table, call.key))
        if balance:
            wanted.append(Place(self._table, keys.balance(workspace_id)))
        found = get_together(self._client, wanted, self._backoff)
        account_item = found.pop() if balance else None
        known = found.pop() if call is not None else None
        return Look(
            balance=self._views.keep(account.to_balance(account_item)) if account_item else None,
            told=replay_of_call(call, known) if call is not None and known else None,
            items=tuple(found),
        )

    def last_seen(self, workspace_id: str, *, within: timedelta | None = None) -> Balance | None:
        """The last balance that was seen, with what was charged here since; None if there is none, or if it was read
        longer ago than `within`.
        """
        return self._views.get(workspace_id, within=within)

    def short_of(
        self, workspace_id: str, credits: int, *, owe_up_to: int, within: timedelta
    ) -> OutOfCredits | UnknownWorkspace | None:
        """Why so many credits could not be paid now; None where they could, as far as was seen `within` this time.

        A look ahead, before work that should not be done for nothing. Nobody is refused on what was seen before now.
        """
        seen = self.last_seen(workspace_id, within=within)
        if seen is not None and pay(seen, credits, owe_up_to, self._clock()) is not None:
            return None
        balance = self.balance(workspace_id)
        if balance is None:
            return UnknownWorkspace(workspace_id)
        now = self._clock()
        if pay(balance, credits, owe_up_to, now) is not None:
            return None
        return OutOfCredits(credits, drawable(balance, now), balance.owed)

    def balance(self, workspace_id: str) -> Balance | None:
        """The balance as it is now, read consistently; None when there is no such account."""
        key = keys.balance(workspace_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return self._views.keep(account.to_balance(answer["Item"])) if "Item" in answer else None

    def balances(self, workspace_ids: Iterable[str]) -> dict[str, Balance]:
        """The balances of those of up to `READ_BATCH` workspaces that have an account, read consistently.

        Raises StoreUnavailable.
        """
        places = [keys.balance(workspace_id) for workspace_id in dict.fromkeys(workspace_ids)]
        found = map(account.to_balance, batch_get(self._client, self._table, places, self._backoff))
        return {balance.workspace_id: self._views.keep(balance) for balance in found}

    def grants(self, workspace_id: str) -> list[Grant]:
        """All grants ever given, oldest first, as they were given."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=to_item({":pk": keys.grants(workspace_id)}),
            ConsistentRead=True,
        )
        grants = [account.to_grant(item) for page in pages for item in page["Items"]]
        return sorted(grants, key=lambda grant: (grant.granted_at, grant.grant_id))

    def given(self, grant: Grant) -> GrantReplayed | GrantReferenceReused | None:
        """What a grant that was given before is answered; None for a new one."""
        key = keys.grant(grant.workspace_id, grant.grant_id).attributes()
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return replay_of_grant(grant, answer["Item"]) if "Item" in answer else None

    def grant(
        self, grant: Grant, *, actor: str | None = None
    ) -> Granted | GrantReplayed | GrantReferenceReused | UnknownWorkspace:
        """Adds credits, once per `grant_id`; debts are settled from them first (design section 2). `actor` is who gives
        them, for the entry of a debt that they settle.
        """
        balance = self.balance(grant.workspace_id)
        for _ in range(_MAX_DRAWS):
            if balance is None:
                return UnknownWorkspace(grant.workspace_id)
            settled = min(balance.owed, grant.credits)
            writes = self._adding(balance, grant, settled, actor)
            refused = transact_write(self._client, [write.request for write in writes], self._backoff)
            if refused is None:
                self._views.drop(grant.workspace_id)
                return Granted(grant, settled)
            known, changed, *_ = refused.reasons
            if known is not None and known.item is not None:
                return replay_of_grant(grant, known.item)
            balance = None if changed is None or changed.item is None else account.to_balance(changed.item)
        raise StoreUnavailable(f"the balance of {grant.workspace_id} changed under {_MAX_DRAWS} attempts to add to it")

    def restore(self, wanted: Restitution, render: Callable[[Restored], str]) -> RestitutionOutcome:
        """Adds the credits of a correction, once per reference, together with the entry that says why; debts are
        settled from them first.

        `render` gives the answer that a retry of the reference is given again. Raises StoreUnavailable and botocore's
        errors.
        """
        balance = self.balance(wanted.workspace_id)
        for _ in range(_MAX_DRAWS):
            if balance is None:
                return UnknownWorkspace(wanted.workspace_id)
            outcome = Restored(wanted.operation, wanted.grant, min(balance.owed, wanted.credits))
            call = wanted.call(render(outcome))
            writes = [
                put_call(self._table, call, outcome.operation.operation_id),
                put_operation(self._table, outcome.operation),
                *self._adding(balance, outcome.grant, outcome.settled, wanted.actor),
            ]
            refused = transact_write(self._client, [write.request for write in writes], self._backoff)
            if refused is None:
                self._views.drop(wanted.workspace_id)
                return outcome
            known, entry, given, changed, *_ = refused.reasons
            if known is not None:
                return replay_of_call(call, known.item or {})
            if entry is not None or given is not None:
                raise AssertionError(f"an identifier of the correction {wanted.reference} is taken")
            balance = None if changed is None or changed.item is None else account.to_balance(changed.item)
        raise StoreUnavailable(f"the balance of {wanted.workspace_id} changed under {_MAX_DRAWS} corrections of it")

    def book_lapsed(self, workspace_id: str) -> Balance | None:
        """Books credits that have lapsed as expired, each grant's in an entry of its own at the moment at which it
        lapsed, and answers with the balance without them; None when there is no such account.

        Nobody could draw on them: it only makes the account say so, to those who go by its figures without the time,
        such as the filters of its stream. Raises StoreUnavailable and botocore's errors.
        """
        balance = self.balance(workspace_id)
        for _ in range(_MAX_DRAWS):
            gone = () if balance is None else lapsed(balance, self._clock())
            if balance is None or not gone:
                return balance
            entries = [expiry(balance, draw) for draw in gone]
            writes = [account.withdraw(self._table, balance, gone, into="expired")]
            writes += [put_operation(self._table, entry) for entry in entries]
            refused = transact_write(self._client, [write.request for write in writes], self._backoff)
            item = None if refused is None or refused.reasons[0] is None else refused.reasons[0].item
            balance = self.balance(workspace_id) if item is None else self._views.keep(account.to_balance(item))
        raise StoreUnavailable(f"the balance of {workspace_id} changed under {_MAX_DRAWS} attempts to book on it")

    def withdraw(self, wanted: Withdrawal, render: Callable[[Operation], str]) -> WithdrawalOutcome:
        """Takes credits out of the account unused, as void, once per reference; or says why not.

        `render` gives the answer that a retry of the reference is given again. What has lapsed is not there to be
        taken. Raises StoreUnavailable and botocore's errors.
        """
        seen = self.look(wanted.workspace_id, call=wanted.call(""))
        if seen.told is not None:
            return seen.told
        balance = seen.balance
        for _ in range(_MAX_DRAWS):
            if balance is None:
                return UnknownWorkspace(wanted.workspace_id)
            draws = withdrawal(balance, wanted.grant_id, wanted.credits, self._clock())
            if draws is None:
                return self._not_there(balance, wanted.grant_id)
            operation = wanted.operation(draws)
            call = wanted.call(render(operation))
            writes = [
                put_call(self._table, call, operation.operation_id),
                put_operation(self._table, operation),
                account.withdraw(self._table, balance, draws, into="void"),
            ]
            refused = transact_write(self._client, [write.request for write in writes], self._backoff)
            if refused is None:
                self._views.drop(wanted.workspace_id)
                return Withdrawn(operation)
            known, entry, changed = refused.reasons
            if known is not None:
                return replay_of_call(call, known.item or {})
            if entry is not None:
                raise AssertionError(f"the identifier {operation.operation_id} is taken")
            balance = None if changed is None or changed.item is None else account.to_balance(changed.item)
        raise StoreUnavailable(f"the balance of {wanted.workspace_id} changed under {_MAX_DRAWS} withdrawals")

    def _adding(self, balance: Balance, grant: Grant, settled: int, actor: str | None) -> list[Write]:
        """The writes that add a grant, of which `settled` credits pay the debt."""
        writes = [
            account.put_grant(self._table, grant),
            account.credit(self._table, balance, grant, settled=settled),
        ]
        if settled:
            writes.append(put_operation(self._table, settlement(grant, settled, actor)))
        return writes

    def _not_there(self, balance: Balance, grant_id: str | None) -> NotThere | UnknownGrant:
        """Why credits cannot be taken. A grant that is used up may be in the balance no more."""
        if grant_id is not None:
            key = keys.grant(balance.workspace_id, grant_id).attributes()
            if "Item" not in self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True):
                return UnknownGrant(grant_id)
        return NotThere(withdrawable(balance, grant_id, self._clock()))

    def _send(self, plan: Plan, balance: Balance | None, payment: Payment, now: datetime) -> Outcome | Balance:
        """One transaction. Answers with a Balance when the payment does not fit the account as it is: pay anew from
        it.
        """
        operation = entry_of(plan, payment)
        writes = [put_operation(self._table, operation)]
        if plan.call is not None:
            writes.insert(0, put_call(self._table, plan.call, plan.operation_id))
        if balance is not None:
            writes.append(account.charge(self._table, balance, payment, owe_up_to=plan.owe_up_to, now=now))
        if plan.cursor is not None:
            writes.append(plan.cursor)
        writes += plan.writes
        refused = transact_write(self._client, [write.request for write in writes], self._backoff)
        if refused is not None:
            return self._judge(plan, refused, charged=balance is not None)
        if balance is None:
            return Committed(operation, None)
        return Committed(operation, self._views.keep(after(balance, payment), read=False).spendable(now))

    def _judge(self, plan: Plan, refused: Refused, *, charged: bool) -> Outcome | Balance:
        """Reads the reasons in the order in which the items were sent; the first that applies is the outcome."""
        reasons = iter(refused.reasons)
        if plan.call is not None and (reason := next(reasons)) is not None:
            return replay_of_call(plan.call, reason.item or {})
        if (reason := next(reasons)) is not None:
            return replay_of_entry(plan, reason.item or {})
        if charged and (reason := next(reasons)) is not None:
            if reason.item is None:
                return UnknownWorkspace(plan.workspace_id)
            return self._views.keep(account.to_balance(reason.item))
        cursor_moved = plan.cursor is not None and next(reasons) is not None
        return Stale(cursor_moved, {position: reason.item for position, reason in enumerate(reasons) if reason})

    def _look(self, plan: Plan) -> Balance | Outcome:
        """The balance now, or what a retry is answered, all seen at one moment.

        A refusal for lack of credits needs both: the operation that spent the last credit must find itself, not an
        empty account.
        """
        wanted = [keys.balance(plan.workspace_id), keys.operation(plan.workspace_id, plan.operation_id)]
        if plan.call is not None:
            wanted.append(plan.call.key)
        balance, entry, *call = transact_get(self._client, self._table, wanted, self._backoff)
        if plan.call is not None and call[0]:
            return replay_of_call(plan.call, call[0])
        if entry:
            return replay_of_entry(plan, entry)
        return self._views.keep(account.to_balance(balance)) if balance else UnknownWorkspace(plan.workspace_id)

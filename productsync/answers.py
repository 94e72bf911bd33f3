"""The answers of the HTTP API, as types; a test holds them to its OpenAPI document.

They are the parsed JSON itself: nothing is renamed, dropped or converted, so that what a command prints with `--json`
is what the API said. Times are RFC 3339 UTC text, money is decimal text, credits are whole numbers.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar

Item = TypeVar("Item")

JsonValue = None | bool | int | Decimal | str | list[Any] | dict[str, Any]


class Page(TypedDict, Generic[Item]):
    """One page of a listing; `next_cursor` is None on the last one."""

    items: list[Item]
    next_cursor: str | None


class FirstKey(TypedDict):
    """A new workspace's first key, with its secret: shown once, when it is made, and None in a replay."""

    key_id: str
    secret: str | None
    scopes: list[str]


class Key(TypedDict):
    """A key: everything but its secret. `state` is active, expired or revoked; `created_by` is the key or the person
    that made it, None for a first key; `replaced_by` is the key that it was rotated to.
    """

    key_id: str
    name: str
    prefix: str
    scopes: list[str]
    state: str
    created_at: str
    created_by: str | None
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None
    replaced_by: str | None


class NewKey(Key):
    """A key that was just made, with its secret: shown once, and None in a replay."""

    secret: str | None


class StarterCredits(TypedDict):
    """What a new workspace may spend."""

    available: int


class Workspace(TypedDict):
    """A new workspace, its first key and its starter credits."""

    workspace_id: str
    name: str
    created_at: str
    api_key: FirstKey
    credits: StarterCredits


class PersonAdded(TypedDict):
    """Somebody who may sign in, with a password that is shown once, and None in a replay."""

    person_id: str
    workspace_id: str
    email: str
    temporary_password: str | None


class TopUp(TypedDict):
    """The grant that a top-up, or a correction, became."""

    grant_id: str
    workspace_id: str
    kind: str
    credits: int
    unit_price: str
    currency: str
    reference: str | None
    priority: int
    granted_at: str
    expires_at: str | None
    settled: int


class Grant(TypedDict):
    """One grant of a balance."""

    grant_id: str
    kind: str
    credits: int
    remaining: int
    unit_price: str
    currency: str
    priority: int
    reference: str | None
    granted_at: str
    expires_at: str | None


class Waiting(TypedDict):
    """What goes on by itself after a top-up."""

    schedules: int
    runs: int
    passes: int
    changes: bool


class AutomationPaused(TypedDict):
    """Why automation waits, since when, and what waits; `since` is None for the moments until the pause is noted."""

    since: str | None
    reason: str
    waiting: Waiting


class Credits(TypedDict):
    """The balance of a workspace."""

    workspace_id: str
    state: str
    paused: AutomationPaused | None
    available: int
    owed: int
    granted: int
    consumed: int
    expired: int
    void: int
    currency: str
    grants: list[Grant]


class Preset(TypedDict):
    """A feed definition that comes with the service."""

    name: str
    description: str
    formats: list[str]
    entities: list[str]


class PresetInFull(Preset):
    """A preset and its definition, which could be sent for a feed."""

    definition: dict[str, Any]


class Feed(TypedDict):
    """A saved feed definition."""

    feed_id: str
    version: int
    created_at: str
    updated_at: str
    definition: dict[str, Any]


class ScheduleSummary(TypedDict):
    """A schedule in a listing: what its owner wants (`enabled`) and what comes of it (`state`)."""

    schedule_id: str
    feed_id: str | None
    rule_id: str | None
    expression: str
    time_zone: str
    enabled: bool
    description: str
    version: int
    state: str
    next_firings: list[str]
    runs_per_day: str
    created_at: str
    updated_at: str


class ScheduleCost(TypedDict):
    """What a schedule did in the last days, and the credits for it."""

    days: int
    since: str
    credits: int
    trigger_credits: int
    record_credits: int
    started: int
    skipped: int
    refused: int
    runs: int
    created: int
    updated: int
    unchanged: int


class ExpectedCredits(TypedDict):
    """Credits to be expected, as decimal text; `records` and `total` are None without a history."""

    triggers: str
    records: str | None
    total: str | None


class ExpectedCost(TypedDict):
    """What a schedule is expected to cost."""

    runs_per_day: str
    per_day: ExpectedCredits
    per_month: ExpectedCredits


class FrequencyCost(ExpectedCost):
    """What it would cost at another frequency."""

    expression: str


class Schedule(ScheduleSummary):
    """A schedule with its costs."""

    last_run_id: str | None
    cost: ScheduleCost
    expected: ExpectedCost
    frequencies: list[FrequencyCost]


class RuleFired(TypedDict):
    """What a rule has done since it was made. `failures` are records that it failed on; those cost nothing."""

    firings: int
    credits: int
    failures: int
    last_fired_at: str | None
    last_failure_at: str | None
    last_failure: str | None
    fired_this_hour: int


class Rule(TypedDict):
    """A rule: what its owner wants, what comes of it (`state`), and what it has done."""

    rule_id: str
    entity: str
    trigger: dict[str, Any]
    condition: str
    actions: list[dict[str, Any]]
    enabled: bool
    description: str
    max_firings_per_hour: int | None
    version: int
    state: str
    suspended_at: str | None
    fired: RuleFired
    created_at: str
    updated_at: str


class SavedRule(Rule):
    """A rule that was just put. `warnings` are what looks odd about it."""

    warnings: list[str]


class RuleCreates(TypedDict):
    """A record that a rule would create."""

    entity: str
    key: str
    attributes: dict[str, Any]


class RuleExample(TypedDict):
    """A record before and after a rule: the attributes that change, and what it creates beside it. What is too long is
    `shortened`.
    """

    key: str
    before: dict[str, Any]
    after: dict[str, Any]
    creates: list[RuleCreates]
    shortened: bool


class RuleFailure(TypedDict):
    """A record that a rule would fail on."""

    key: str
    reason: str


class RulePreview(TypedDict):
    """What a rule would do with some of today's records; with a `cursor` there are more."""

    examined: int
    matched: int
    would_fire: int
    would_update: int
    would_create: int
    unchanged: int
    failed: int
    credits: int
    examples: list[RuleExample]
    failures: list[RuleFailure]
    warnings: list[str]
    next_cursor: str | None


class SourceCredentials(TypedDict):
    """What is known of the credentials for a feed's source: everything but the secret."""

    type: str
    username: str | None
    name: str | None
    origin: str
    updated_at: str


class Upload(TypedDict):
    """A place to send a file to, until `expires_at`."""

    upload_id: str
    method: str
    url: str
    headers: dict[str, str]
    expires_at: str
    max_bytes: int


class EntityCounts(TypedDict):
    """What became of the records of one entity in a run."""

    created: int
    updated: int
    unchanged: int
    duplicates: int
    rejected: int
    credits: int


class Paused(TypedDict):
    """Why a run waits, and since when."""

    reason: str
    since: str


class RunError(TypedDict):
    """Why a run failed, and where in the file, if that is known."""

    code: str
    detail: str
    row: int | None
    column: str | None


class Run(TypedDict):
    """One execution of a feed."""

    run_id: str
    feed_id: str
    state: str
    dry_run: bool
    channel: str
    upload_id: str
    schedule_id: str | None
    unmodified: bool
    rows_read: int
    created: int
    updated: int
    unchanged: int
    duplicates: int
    rejected: int
    credits: int
    progress: Decimal | int
    by_entity: dict[str, EntityCounts]
    created_at: str
    updated_at: str
    finished_at: str | None
    paused: Paused | None
    error: RunError | None
    credits_available: int | None


class Rejection(TypedDict):
    """A row that could not be a record."""

    row: int
    column: str | None
    entity: str | None
    key: str | None
    reason: str


class Drawn(TypedDict):
    """The part of a charge that one grant paid."""

    grant_id: str
    credits: int
    unit_price: str
    currency: str


class Correction(TypedDict):
    """What a void or a correction did: `credits` is below zero for what was taken, of each grant in `withdrawn`;
    `grant` is what the credits became that were added.
    """

    operation_id: str
    workspace_id: str
    kind: str
    at: str
    credits: int
    reference: str
    reason: str
    withdrawn: list[Drawn]
    corrects: str | None
    grant: TopUp | None


class Money(TypedDict):
    """An exact amount."""

    currency: str
    amount: str


class RecordCounts(TypedDict):
    """What became of one entity's records: `unchanged` were met, and not written; `credits` is what the others cost."""

    created: int
    updated: int
    unchanged: int
    deleted: int
    credits: int


class Operation(TypedDict):
    """One entry of the operation log. `records` counts what became of records, by entity."""

    operation_id: str
    at: str
    kind: str
    channel: str
    actor: str | None
    job_id: str | None
    job_version: int | None
    run_id: str | None
    credits: int
    owed: int
    actions: dict[str, int]
    records: dict[str, RecordCounts]
    drawn: list[Drawn]
    withdrawn: list[Drawn]
    cost: list[Money]
    description: str
    refused: str | None
    reference: str | None
    corrects: str | None


class RecordRule(TypedDict):
    """A rule's last write of a record: the version that it made, and the operation that paid for it."""

    version: int
    operation_id: str


class Record(TypedDict):
    """One item of the catalogue."""

    entity: str
    key: str
    attributes: dict[str, Any]
    version: int
    created_at: str
    updated_at: str
    operation_id: str | None
    rules: dict[str, RecordRule]


class RecordChange(TypedDict):
    """One record of a batch. `method` is PUT (unless it is given), PATCH or DELETE; the first two take `attributes`.
    `if_version` is the version that the record must have, 0 meaning that there must be none yet.
    """

    key: str
    method: NotRequired[Literal["PUT", "PATCH", "DELETE"]]
    attributes: NotRequired[Mapping[str, Any]]
    if_version: NotRequired[int | None]


class BatchItem(TypedDict):
    """What became of one record of a batch: `change` is created, updated, unchanged, deleted or refused, and `detail`
    says why it was refused.
    """

    key: str
    status: int
    change: str
    version: int | None
    detail: str | None


class Batch(TypedDict):
    """What became of a batch, in its order, and how many of each."""

    items: list[BatchItem]
    created: int
    updated: int
    unchanged: int
    deleted: int
    refused: int


class WrittenRecord(TypedDict):
    """A record that an operation wrote or deleted. `current` says whether it still stands as the operation wrote it;
    None where there is no such record now.
    """

    entity: str
    key: str
    current: bool | None


class UsageFigures(TypedDict):
    """What operations come to: `credits` + `settled` = `free_credits` + `paid_credits` + `owed`. Of records: created,
    updated, unchanged (met, and not written) and deleted.
    """

    operations: int
    refused: int
    credits: int
    free_credits: int
    paid_credits: int
    owed: int
    settled: int
    free_value: list[Money]
    cost: list[Money]
    created: int
    updated: int
    unchanged: int
    deleted: int
    expired: int
    void: int


class UsageGroup(UsageFigures):
    """What one value comes to: a job, a kind, an actor, an entity, a day or a month, `-` where there is none. By day,
    `granted` is what was given on it and `available` what was there at its end; otherwise they are None.
    """

    value: str
    granted: int | None
    available: int | None


# `from` is no name in Python, so this one is not a class.
Usage = TypedDict(
    "Usage",
    {
        "from": str,
        "to": str,
        "group_by": str,
        "groups": list[UsageGroup],
        "total": UsageFigures,
        "pending_credits": int,
    },
)
"""Where credits went in a period. The groups add up to `total`; `pending_credits` were consumed, and may not be counted
yet.
"""


class Standing(TypedDict):
    """What an account holds at one moment."""

    available: int
    owed: int


class Books(TypedDict):
    """An account from the beginning of a month to its end, in credits: `opening.available` + `granted` - `expired` -
    `void` - `corrected_down` - `consumed` + `owed` - `settled` = `closing.available`.
    """

    opening: Standing
    granted: int
    corrected_up: int
    expired: int
    void: int
    corrected_down: int
    consumed: int
    owed: int
    settled: int
    closing: Standing


class LineTypeTotals(TypedDict):
    """The lines of one type: how many, and how many credits they are about, and have consumed."""

    lines: int
    quantity: int
    credits: int


class Worth(TypedDict):
    """What credits were worth in one currency: of those bought, given away, and given back by corrections."""

    currency: str
    paid: str
    free: str
    corrected: str


class Invoiced(TypedDict):
    """What one top-up was invoiced."""

    reference: str
    amount: str


class Billed(TypedDict):
    """What was bought in one currency, and by which top-ups."""

    currency: str
    amount: str
    references: list[Invoiced]


class RecordTotals(TypedDict):
    """What became of records; `unchanged` were met, and not written."""

    created: int
    updated: int
    unchanged: int
    deleted: int


class ExportTotals(TypedDict):
    """What the lines of an export add up to. `cost` is what was used and settled, `unused` what left the account
    without having been used, `billed` what was bought.
    """

    lines: int
    operations: int
    refused: int
    credits: int
    by_line_type: dict[str, LineTypeTotals]
    cost: list[Worth]
    unused: list[Worth]
    billed: list[Billed]
    records: RecordTotals


class ExportFile(TypedDict):
    """A file of an export; `url` is where it is fetched from, without a key, until `expires_at`."""

    name: str
    format: str
    part: int
    lines: int
    bytes: int
    sha256: str
    url: str
    expires_at: str


class Export(TypedDict):
    """An export of a month. `state` is preparing, ready or failed; there are `files` only when it is ready, and none in
    listings. `account` is what the account said after the last line; of a month that was over, what usage says
    of its end.
    """

    export_id: str
    month: str
    state: str
    requested_at: str
    finished_at: str | None
    parts: int
    lines: int
    totals: ExportTotals | None
    books: Books | None
    account: Standing | None
    disagreements: list[str]
    failure: str | None
    manifest_url: str | None
    files: list[ExportFile]


class Difference(TypedDict):
    """One thing that does not add up: what it has to be, what was found instead, and where."""

    rule: str
    expected: str
    found: str
    where: str


class Audit(TypedDict):
    """A recount of a workspace's books. `state` is running, finished or failed; `balanced` is None until it is known.
    `differences` are the first of `difference_count`. `traced` operations were followed down to their records,
    `records` up to their operations, and `repaired` entries counted into the usage figures, which had missed them.
    """

    audit_id: str
    state: str
    requested_at: str
    finished_at: str | None
    progress: Decimal | int
    operations: int
    traced: int
    records: int
    exact: bool | None
    repaired: int
    balanced: bool | None
    differences: list[Difference]
    difference_count: int
    failure: str | None

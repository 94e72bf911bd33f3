"""The policies of template.yaml: what AWS is asked for, checked on the template as CloudFormation gets it from SAM."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from functions.api.edge.headers import SECURITY
from functions.auditor import handler as auditor
from functions.usage_exporter import handler as usage_exporter
from productsync.stack.build import PYTHON_VERSION
from productsync.stack.deploy import ON_AWS
from shared.audits.store import DOORBELL as AUDIT_DOORBELL
from shared.credits.levels import FULL, THRESHOLDS
from shared.exports.store import DOORBELL as EXPORT_DOORBELL
from shared.rules.doorbells import RuleDoorbell
from shared.runs.store import Doorbell
from shared.schedules.store import DOORBELL as SCHEDULE_DOORBELL
from shared.workspaces.key_store import MAX_KEYS
from tests.support.filters import matches
from tests.support.functions import sample

Resource = dict[str, Any]

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

FUNCTIONS = {
    "Api",
    "Auditor",
    "Authorizer",
    "CreditFollower",
    "CreditGuard",
    "CreditSweep",
    "DailyAudits",
    "FeedPreparer",
    "GrantExpiry",
    "ImportWorker",
    "MonthlyExports",
    "OperatorApi",
    "PublicApi",
    "ReportsApi",
    "RuleRunner",
    "RuleWorker",
    "RunDispatcher",
    "ScheduleRunner",
    "UsageExporter",
}

OPERATORS = {
    ("POST", "/workspaces"),
    ("POST", "/workspaces/{workspace_id}/people"),
    ("POST", "/workspaces/{workspace_id}/top-ups"),
    ("POST", "/workspaces/{workspace_id}/grants/{grant_id}/void"),
    ("POST", "/workspaces/{workspace_id}/corrections"),
    ("GET", "/workspaces/{workspace_id}/credits"),
}
"""What operators call, and nobody else."""

ROUTES = {
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("POST", "/keys/{key_id}/rotate"),
    ("DELETE", "/keys/{key_id}"),
    ("GET", "/credits"),
    ("GET", "/presets"),
    ("GET", "/presets/{name}"),
    ("GET", "/feeds"),
    ("GET", "/feeds/{feed_id}"),
    ("PUT", "/feeds/{feed_id}"),
    ("DELETE", "/feeds/{feed_id}"),
    ("GET", "/feeds/{feed_id}/credentials"),
    ("PUT", "/feeds/{feed_id}/credentials"),
    ("DELETE", "/feeds/{feed_id}/credentials"),
    ("POST", "/feeds/{feed_id}/uploads"),
    ("POST", "/feeds/{feed_id}/runs"),
    ("GET", "/feeds/{feed_id}/runs"),
    ("GET", "/runs/{run_id}"),
    ("POST", "/runs/{run_id}/cancel"),
    ("POST", "/runs/{run_id}/resume"),
    ("GET", "/runs/{run_id}/rejections"),
    ("GET", "/rules"),
    ("GET", "/rules/{rule_id}"),
    ("PUT", "/rules/{rule_id}"),
    ("DELETE", "/rules/{rule_id}"),
    ("POST", "/rules/{rule_id}/preview"),
    ("GET", "/schedules"),
    ("GET", "/schedules/{schedule_id}"),
    ("PUT", "/schedules/{schedule_id}"),
    ("DELETE", "/schedules/{schedule_id}"),
    ("GET", "/records/{entity}"),
    ("POST", "/records/{entity}/batch"),
    ("GET", "/records/{entity}/batch"),
    ("PUT", "/records/{entity}/batch"),
    ("PATCH", "/records/{entity}/batch"),
    ("DELETE", "/records/{entity}/batch"),
    ("GET", "/records/{entity}/{key+}"),
    ("PUT", "/records/{entity}/{key+}"),
    ("PATCH", "/records/{entity}/{key+}"),
    ("DELETE", "/records/{entity}/{key+}"),
}

REPORTS = {
    ("GET", "/operations"),
    ("GET", "/operations/{operation_id}"),
    ("GET", "/operations/{operation_id}/records"),
    ("GET", "/usage"),
    ("POST", "/exports"),
    ("GET", "/exports"),
    ("GET", "/exports/{export_id}"),
    ("POST", "/audits"),
    ("GET", "/audits"),
    ("GET", "/audits/{audit_id}"),
}
"""What is asked about where credits went."""

THE_REST = {(method, "/{proxy+}") for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")}
"""What no route takes: the function answers it as a problem."""

PUBLIC = {("GET", "/docs"), ("GET", "/openapi.json"), ("OPTIONS", "/{proxy+}")}
"""What needs no credential."""

# Actions that AWS defines without a resource, so that there is nothing narrower than `*`.
WITHOUT_RESOURCE = {"scheduler:ListSchedules", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}

# What the functions use and the template does not make.
OTHERS_RESOURCES = {
    "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default",
    "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${AWS::StackName}/sources/*",
}

SCHEDULES = "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule"


class _NoManagedPolicies:
    """The roles are written out in the template, so SAM never has to look up a managed policy."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def source() -> dict[str, Any]:
    """The template as it is written."""
    return dict(yaml_parse(TEMPLATE.read_text(encoding="utf-8")))


@cache
def resources() -> dict[str, Resource]:
    """The resources that CloudFormation gets, by logical name."""
    return dict(transform(yaml_parse(TEMPLATE.read_text(encoding="utf-8")), {}, _NoManagedPolicies())["Resources"])


def of_type(kind: str) -> dict[str, Resource]:
    """The properties of the resources of one type, by logical name."""
    return {name: one["Properties"] for name, one in resources().items() if one["Type"] == kind}


def statements() -> list[tuple[str, dict[str, Any]]]:
    """Each statement of each role's own policies, with the role's name."""
    return [
        (name, statement)
        for name, role in of_type("AWS::IAM::Role").items()
        for policy in role.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def refers_to(value: Any) -> set[str]:
    """The logical names that a value refers to."""
    if isinstance(value, dict):
        if "Ref" in value:
            return {value["Ref"]}
        if "Fn::GetAtt" in value:
            target = value["Fn::GetAtt"]
            return {target[0] if isinstance(target, list) else target.split(".")[0]}
        if "Fn::Sub" in value:
            text, names = value["Fn::Sub"] if isinstance(value["Fn::Sub"], list) else (value["Fn::Sub"], {})
            found = {part.split("}")[0].split(".")[0] for part in text.split("${")[1:]}
            return (found - set(names)) | refers_to(names)
        return set().union(*map(refers_to, value.values()))
    if isinstance(value, list):
        return set().union(*map(refers_to, value))
    return set()


def test_sam_accepts_the_template() -> None:
    assert set(of_type("AWS::Lambda::Function")) == FUNCTIONS


# --- least privilege ---


def test_no_action_is_a_wildcard() -> None:
    for role, statement in statements():
        for action in as_list(statement["Action"]):
            assert "*" not in action, f"{role}: {statement['Sid']}"


def test_no_resource_is_a_wildcard_where_a_narrower_one_exists() -> None:
    for role, statement in statements():
        if "*" in as_list(statement["Resource"]):
            assert set(as_list(statement["Action"])) <= WITHOUT_RESOURCE, f"{role}: {statement['Sid']}"


def test_every_resource_is_one_of_this_stack() -> None:
    for role, statement in statements():
        for resource in as_list(statement["Resource"]):
            if resource == "*" or (isinstance(resource, dict) and resource.get("Fn::Sub") in OTHERS_RESOURCES):
                continue
            named = {name for name in refers_to(resource) if not name.startswith("AWS::")}
            assert named, f"{role}: {statement['Sid']}"
            assert named <= set(resources()), f"{role}: {statement['Sid']}"


def test_each_function_has_a_role_of_its_own_and_no_managed_policy() -> None:
    roles = [next(iter(refers_to(function["Role"]))) for function in of_type("AWS::Lambda::Function").values()]
    assert len(set(roles)) == len(FUNCTIONS)
    for role in roles:
        assert "ManagedPolicyArns" not in resources()[role]["Properties"]


def test_the_authorizer_reads_keys_notes_their_use_and_nothing_else_of_the_tables() -> None:
    allowed = [
        one for role, one in statements() if role == "AuthorizerRole" and "dynamodb" in json.dumps(one["Action"])
    ]
    assert [one["Action"] for one in allowed] == [["dynamodb:GetItem"], ["dynamodb:UpdateItem"]]
    for one in allowed:
        assert refers_to(one["Resource"]) == {"WorkTable"}
        assert one["Condition"]["ForAllValues:StringLike"] == {"dynamodb:LeadingKeys": "KEY#*"}
    # It cannot make a key good again, or give it scopes.
    assert allowed[1]["Condition"]["ForAllValues:StringEquals"] == {"dynamodb:Attributes": ["pk", "sk", "last_used_at"]}


def test_only_who_pays_may_write_to_the_credit_table_and_who_books_what_has_lapsed() -> None:
    rights: dict[str, set[str]] = {}
    for role, statement in statements():
        if "CreditTable" in refers_to(statement["Resource"]):
            rights.setdefault(role, set()).update(as_list(statement["Action"]))
    # What changes a balance puts an entry beside it.
    puts, updates = ({role for role in rights if f"dynamodb:{verb}Item" in rights[role]} for verb in ("Put", "Update"))
    assert puts == updates
    assert puts == {
        "ApiRole",
        "CreditGuardRole",
        "GrantExpiryRole",
        "ImportWorkerRole",
        "OperatorApiRole",
        "RuleRunnerRole",
        "RuleWorkerRole",
        "ScheduleRunnerRole",
    }


def test_nobody_may_scan_or_delete_what_was_paid_for() -> None:
    for role, statement in statements():
        actions = set(as_list(statement["Action"]))
        assert "dynamodb:Scan" not in actions, role
        if "CreditTable" in refers_to(statement["Resource"]):
            assert "dynamodb:DeleteItem" not in actions, role


def test_the_api_alone_deletes_records_and_definitions_and_the_rules_worker_what_waited_for_it() -> None:
    deleting: dict[str, set[str]] = {}
    for role, statement in statements():
        if "dynamodb:DeleteItem" in as_list(statement["Action"]):
            deleting.setdefault(role, set()).update(refers_to(statement["Resource"]))
    assert deleting == {
        "ApiRole": {"CatalogTable", "WorkTable"},
        # What was remembered of calls that came to nothing.
        "OperatorApiRole": {"WorkTable"},
        # The same, and what says that an export is under way.
        "ReportsApiRole": {"WorkTable"},
        # What says that an audit is under way.
        "AuditorRole": {"WorkTable"},
        "UsageExporterRole": {"WorkTable"},
        "RuleWorkerRole": {"WorkTable"},
    }


def test_who_reads_files_is_told_which_are_missing() -> None:
    """Without a right to list what begins with a file's key, S3 answers 403 where the file is missing."""
    readers: dict[str, set[str]] = {}
    listers: dict[str, set[str]] = {}
    for role, statement in statements():
        if "s3:GetObject" in as_list(statement["Action"]):
            places = {one["Fn::Sub"].removeprefix("${DataBucket.Arn}/") for one in as_list(statement["Resource"])}
            readers.setdefault(role, set()).update(places)
        if "s3:ListBucket" in as_list(statement["Action"]):
            listers[role] = set(as_list(statement["Condition"]["StringLike"]["s3:prefix"]))
    assert readers == listers
    reports = {"AuditorRole", "ReportsApiRole", "UsageExporterRole"}
    assert set(readers) == {"ApiRole", "FeedPreparerRole", "ImportWorkerRole", *reports}


def test_what_is_public_is_answered_without_any_rights_but_to_log_and_trace() -> None:
    allowed = {statement["Sid"] for role, statement in statements() if role == "PublicApiRole"}
    assert allowed == {"Logs", "Traces"}
    others = [one["Roles"] for one in of_type("AWS::IAM::Policy").values()]
    assert {"Ref": "PublicApiRole"} not in [role for roles in others for role in roles]


def test_who_answers_operators_reads_and_writes_accounts_and_no_catalogue() -> None:
    allowed = {
        one["Sid"]: (set(as_list(one["Action"])), refers_to(one["Resource"]))
        for role, one in statements()
        if role == "OperatorApiRole" and one["Sid"] not in {"Logs", "Traces", "Expiries", "PassExpirySchedulerRole"}
    }
    reads_and_writes = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"}
    assert allowed == {
        "Credits": (reads_and_writes | {"dynamodb:BatchGetItem"}, {"CreditTable"}),
        "Work": (reads_and_writes | {"dynamodb:DeleteItem"}, {"WorkTable"}),
        "PausedWork": ({"dynamodb:Query"}, {"WorkTable"}),
        "AddPeople": (
            {"cognito-idp:AdminCreateUser", "cognito-idp:AdminGetUser", "cognito-idp:AdminSetUserPassword"},
            {"People"},
        ),
    }


# --- data ---


@pytest.mark.parametrize("table", ["CreditTable", "CatalogTable", "WorkTable"])
def test_tables_are_recoverable_encrypted_and_kept(table: str) -> None:
    resource = resources()[table]
    properties = resource["Properties"]
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    # Kept when the stack goes; a table of a creation that failed holds nothing and goes with it.
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"


def test_usage_is_derived_encrypted_and_written_by_those_who_count_alone() -> None:
    properties = resources()["UsageTable"]["Properties"]
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "forget_at", "Enabled": True}
    # It is counted from the log, and can be counted again: no backup, and nobody follows it.
    assert properties.keys().isdisjoint({"PointInTimeRecoverySpecification", "StreamSpecification"})
    rights: dict[str, set[str]] = {}
    for role, statement in statements():
        if "UsageTable" in refers_to(statement["Resource"]):
            rights.setdefault(role, set()).update(as_list(statement["Action"]))
    reading = {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"}
    writing = {role for role, actions in rights.items() if actions - reading}
    assert writing == {"AuditorRole", "CreditFollowerRole"}
    assert rights["CreditFollowerRole"] == {"dynamodb:PutItem", "dynamodb:UpdateItem"}
    counting = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"}
    assert rights["AuditorRole"] == counting


def test_the_work_table_streams_the_new_image_and_the_others_both() -> None:
    tables = of_type("AWS::DynamoDB::Table")
    for table in ("CatalogTable", "CreditTable"):
        assert tables[table]["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert tables["WorkTable"]["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def test_the_bucket_is_private_encrypted_and_kept() -> None:
    resource = resources()["DataBucket"]
    properties = resource["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["BucketEncryption"]
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"
    expiry = {rule["Id"]: rule.get("ExpirationInDays") for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert expiry == {"uploads": 30, "runs": 400, "answers": 30, "unfinished-uploads": None}


def test_the_bucket_refuses_what_does_not_come_over_tls() -> None:
    policy = resources()["DataBucketPolicy"]["Properties"]["PolicyDocument"]
    denied = [one for one in policy["Statement"] if one["Effect"] == "Deny"]
    assert [one["Condition"] for one in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]


# --- queues and triggers ---


READING = {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"}


def asynchronous() -> dict[str, Resource]:
    """How Lambda tries what it was called for without anybody waiting, by the function's logical name."""
    return {
        next(iter(refers_to(one["FunctionName"]))): one for one in of_type("AWS::Lambda::EventInvokeConfig").values()
    }


def dead_letter_queues() -> set[str]:
    queues = of_type("AWS::SQS::Queue")
    of_queues = {
        next(iter(refers_to(queue["RedrivePolicy"]["deadLetterTargetArn"])))
        for queue in queues.values()
        if "RedrivePolicy" in queue
    }
    of_mappings = {
        next(iter(refers_to(mapping["DestinationConfig"]["OnFailure"]["Destination"])))
        for mapping in of_type("AWS::Lambda::EventSourceMapping").values()
        if "DestinationConfig" in mapping
    }
    of_calls = {
        next(iter(refers_to(call["DestinationConfig"]["OnFailure"]["Destination"])))
        for call in asynchronous().values()
        if call["DestinationConfig"]
    }
    return of_queues | of_mappings | of_calls


def test_every_queue_is_encrypted_and_has_dead_letters_or_is_dead_letters() -> None:
    for name, queue in of_type("AWS::SQS::Queue").items():
        assert queue["SqsManagedSseEnabled"] is True, name
        assert ("RedrivePolicy" in queue) != (name in dead_letter_queues()), name
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600, name


@pytest.mark.parametrize(
    ("name", "tries"), [("AuditQueue", auditor.TRIES), ("ExportQueue", usage_exporter.TRIES)], ids=["audits", "exports"]
)
def test_who_gives_up_at_the_last_delivery_knows_which_that_is(name: str, tries: int) -> None:
    queue = resources()[name]["Properties"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == tries


def test_every_trigger_reports_partial_failures_and_ends_in_dead_letters() -> None:
    mappings = of_type("AWS::Lambda::EventSourceMapping")
    assert len(mappings) == 11
    for name, mapping in mappings.items():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name
        source_name = next(iter(refers_to(mapping["EventSourceArn"])))
        if resources()[source_name]["Type"] == "AWS::SQS::Queue":
            assert "RedrivePolicy" in resources()[source_name]["Properties"], name
            condition, limit, otherwise = mapping["ScalingConfig"]["Fn::If"]
            (parameter,) = refers_to(limit["MaximumConcurrency"])
            assert source()["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, "0"]}]}, name
            assert otherwise == {"Ref": "AWS::NoValue"}, name
            # What mappings of queues take.
            assert 2 <= source()["Parameters"][parameter]["Default"] <= 1000, name
        else:
            assert mapping["DestinationConfig"]["OnFailure"], name
            assert mapping["StartingPosition"] == "TRIM_HORIZON", name
            assert mapping["BisectBatchOnFunctionError"] is True, name
            tries, age = mapping["MaximumRetryAttempts"], mapping["MaximumRecordAgeInSeconds"]
            if name == "CreditGuardBalance":
                # What fails goes to the guard's queue, and the sweep finds the rest: nobody else has to wait for it.
                assert (tries, age) == (5, 3600)
            else:
                # As long as the stream keeps a record: an outage must cost no doorbell, no figure and no change.
                assert (tries, age) == (-1, 24 * 3600), name


def test_who_ends_in_dead_letters_may_write_them() -> None:
    senders: dict[str, set[str]] = {}
    for role, statement in statements():
        if "sqs:SendMessage" in as_list(statement["Action"]):
            senders.setdefault(role, set()).update(refers_to(statement["Resource"]))
    for mapping in of_type("AWS::Lambda::EventSourceMapping").values():
        if "DestinationConfig" in mapping:
            function = resources()[next(iter(refers_to(mapping["FunctionName"])))]["Properties"]
            (role,) = refers_to(function["Role"])
            assert refers_to(mapping["DestinationConfig"]) <= senders[role], role
    # What could not be announced waits in a queue, and holds up no counting.
    assert senders["CreditFollowerRole"] == {"AnnouncementQueue", "FollowerDeadLetters"}
    assert "ScheduleDeadLetters" in senders["ScheduleRunnerRole"]
    assert "ScheduleDeadLetters" in senders["SchedulerRole"]
    assert "ExpiryDeadLetters" in senders["GrantExpiryRole"]
    assert "ExpiryDeadLetters" in senders["ExpirySchedulerRole"]


def test_a_stream_has_two_readers_at_most() -> None:
    """DynamoDB slows a stream down that more read at once."""
    read = [
        next(iter(refers_to(mapping["EventSourceArn"])))
        for mapping in of_type("AWS::Lambda::EventSourceMapping").values()
        if "StartingPosition" in mapping
    ]
    assert sorted(read) == ["CatalogTable", "CreditTable", "CreditTable", "WorkTable"]


def test_a_message_stays_hidden_as_long_as_its_function_may_run_and_no_longer() -> None:
    for mapping in of_type("AWS::Lambda::EventSourceMapping").values():
        queue = resources()[next(iter(refers_to(mapping["EventSourceArn"])))]
        function = resources()[next(iter(refers_to(mapping["FunctionName"])))]
        if queue["Type"] == "AWS::SQS::Queue":
            assert queue["Properties"]["VisibilityTimeout"] == function["Properties"]["Timeout"]


def patterns_of(mapping: str) -> list[dict[str, Any]]:
    """What a mapping lets through."""
    return [json.loads(one["Pattern"]) for one in resources()[mapping]["Properties"]["FilterCriteria"]["Filters"]]


def lets_through(mapping: str, old: dict[str, Any] | None, new: dict[str, Any]) -> bool:
    """Whether a change calls the function, by the rules of EventBridge's patterns that the template uses."""
    change: dict[str, Any] = {"Keys": {"sk": new["sk"]}, "NewImage": new}
    if old is not None:
        change["OldImage"] = old
    return any(matches(pattern, {"dynamodb": change}) for pattern in patterns_of(mapping))


def an_image(**figures: int) -> dict[str, Any]:
    return {"sk": {"S": "BALANCE"}, **{name: {"N": str(figure)} for name, figure in figures.items()}}


def test_the_stream_calls_only_for_what_rings_a_doorbell() -> None:
    doorbells = [*Doorbell, SCHEDULE_DOORBELL, *RuleDoorbell, EXPORT_DOORBELL, AUDIT_DOORBELL]
    assert patterns_of("RunDispatcherDoorbell") == [{"dynamodb": {"NewImage": {"doorbell": {"S": doorbells}}}}]


def balance_image(available: int, revision: int = 1) -> dict[str, Any]:
    return an_image(available=available, revision=revision)


@pytest.mark.parametrize("revision", [1, 2, 9, 10])
@pytest.mark.parametrize(
    ("old", "new", "is_called"),
    [
        (1, 0, True),
        (97, 0, True),
        (10, 9, False),
        (10, 1, False),
        (10_000, 9_903, False),
        (0, 0, False),  # a read that is owed
    ],
)
def test_of_all_charges_the_guard_is_called_for_the_one_that_reaches_zero(
    old: int, new: int, revision: int, *, is_called: bool
) -> None:
    assert lets_through("CreditGuardBalance", balance_image(old, revision), balance_image(new, revision)) is is_called


@pytest.mark.parametrize("revision", [1, 2, 8, 9, 10, 19, 99, 100, 12_345])
@pytest.mark.parametrize(
    ("old", "new", "is_called"),
    [
        (0, 1, True),
        (0, 5_000, True),
        # What costs more than one credit may wait although one is left, whatever the level was and is.
        (1, 2, True),
        (1, 5_000, True),
        (100, 1_000, True),
        (5_000, 10_000, True),
        (0, 0, False),  # all of it pays for what was owed
    ],
)
def test_the_guard_is_called_for_every_top_up_that_leaves_something_to_spend(
    old: int, new: int, revision: int, *, is_called: bool
) -> None:
    called = lets_through("CreditGuardBalance", balance_image(old, revision), balance_image(new, revision + 1))
    assert called is is_called


def test_the_guard_is_called_when_what_has_lapsed_is_booked_and_nothing_is_left() -> None:
    assert lets_through("CreditGuardBalance", balance_image(10, 1), balance_image(0, 2))


def test_the_guard_is_not_called_for_a_new_account_or_for_other_items() -> None:
    assert not lets_through("CreditGuardBalance", None, balance_image(0))
    assert not lets_through("CreditGuardBalance", None, balance_image(5_000))
    other = {"sk": {"S": "gr_1"}, "available": {"N": "0"}}
    assert not lets_through("CreditGuardBalance", other | {"available": {"N": "1"}}, other)


def test_a_mapping_has_no_more_filters_than_an_account_has_without_asking() -> None:
    for name, mapping in of_type("AWS::Lambda::EventSourceMapping").items():
        assert len(mapping.get("FilterCriteria", {"Filters": []})["Filters"]) <= 5, name


def test_rules_are_called_for_every_record_that_is_written_and_for_none_that_is_deleted() -> None:
    record = {"sk": {"S": "A-1"}, "version": {"N": "2"}}
    assert lets_through("RuleRunnerChange", None, record)
    assert lets_through("RuleRunnerChange", record, record | {"version": {"N": "3"}})
    (deleted,) = sample("rule_runner_deleted")["Records"]
    assert not any(matches(pattern, deleted) for pattern in patterns_of("RuleRunnerChange"))


@pytest.mark.parametrize(
    ("mapping", "samples"),
    [
        (
            "CreditGuardBalance",
            ["credit_guard_exhausted", "credit_guard_topped_up", "credit_guard_topped_up_above_zero"],
        ),
        (
            "RunDispatcherDoorbell",
            ["run_dispatcher_new_run", "run_dispatcher_schedule", "run_dispatcher_rules", "run_dispatcher_reports"],
        ),
        ("CreditFollowerLog", ["credit_follower_counted", "credit_follower_fallen"]),
        ("RuleRunnerChange", ["rule_runner_created", "rule_runner_updated", "rule_runner_fired"]),
    ],
)
def test_the_sample_events_are_what_the_mappings_let_through(mapping: str, samples: list[str]) -> None:
    for name in samples:
        for record in sample(name)["Records"]:
            assert any(matches(pattern, record) for pattern in patterns_of(mapping)), name


@pytest.mark.parametrize("before", [FULL, *THRESHOLDS])
@pytest.mark.parametrize("after", [FULL, *THRESHOLDS])
def test_the_follower_is_called_when_the_level_of_a_balance_falls(before: int, after: int) -> None:
    called = lets_through("CreditFollowerLog", an_image(level=before), an_image(level=after))
    assert called is (after < before)


def test_the_follower_is_called_for_new_entries_of_the_log_and_for_no_other_new_items() -> None:
    (event, *_) = sample("credit_follower_counted")["Records"]
    patterns = patterns_of("CreditFollowerLog")
    assert any(matches(pattern, event) for pattern in patterns)
    assert not any(matches(pattern, event | {"eventName": "REMOVE"}) for pattern in patterns)
    for other in ("gr_01KAMZ5Q00E5K7N9R1T3W5Y7A9", "CALL", "BALANCE"):
        change = event["dynamodb"] | {"Keys": {"sk": {"S": other}}}
        assert not any(matches(pattern, event | {"dynamodb": change}) for pattern in patterns), other


# --- schedules ---


@pytest.mark.parametrize(
    ("role_name", "group", "function", "dead_letters"),
    [
        ("SchedulerRole", "ScheduleGroup", "ScheduleRunner", "ScheduleDeadLetters"),
        ("ExpirySchedulerRole", "ExpiryGroup", "GrantExpiry", "ExpiryDeadLetters"),
    ],
)
def test_eventbridge_scheduler_invokes_one_function_for_one_group_of_this_deployment_alone(
    role_name: str, group: str, function: str, dead_letters: str
) -> None:
    role = resources()[role_name]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {
            "aws:SourceAccount": {"Ref": "AWS::AccountId"},
            "aws:SourceArn": {"Fn::GetAtt": [group, "Arn"]},
        }
    }
    allowed = {tuple(one["Action"]): refers_to(one["Resource"]) for name, one in statements() if name == role_name}
    assert allowed == {
        ("lambda:InvokeFunction",): {function},
        ("sqs:SendMessage",): {dead_letters},
    }


def test_who_keeps_schedules_keeps_those_of_this_deployment_and_passes_their_role_to_one_service() -> None:
    passed, kept = set(), set()
    keeping = (
        "scheduler:CreateSchedule",
        "scheduler:DeleteSchedule",
        "scheduler:GetSchedule",
        "scheduler:UpdateSchedule",
    )
    for role, statement in statements():
        actions = tuple(as_list(statement["Action"]))
        if "iam:PassRole" in actions:
            assert actions == ("iam:PassRole",)
            passed.add((role, statement["Resource"]["Fn::GetAtt"][0]))
            assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
        elif any(action.startswith("scheduler:") for action in actions) and actions != ("scheduler:ListSchedules",):
            condition, on_aws, embedded = statement["Resource"]["Fn::If"]
            assert (condition, embedded) == ("NamesScheduleGroups", {"Fn::Sub": f"{SCHEDULES}/default/*"}), role
            kept.add((role, on_aws["Fn::Sub"], actions))
    schedules, expiries = f"{SCHEDULES}/${{ScheduleGroup}}/*", f"{SCHEDULES}/${{ExpiryGroup}}/*"
    assert kept == {
        ("ApiRole", schedules, keeping),
        ("OperatorApiRole", expiries, ("scheduler:CreateSchedule",)),
        ("CreditGuardRole", schedules, keeping),
    }
    assert passed == {
        ("ApiRole", "SchedulerRole"),
        ("OperatorApiRole", "ExpirySchedulerRole"),
        ("CreditGuardRole", "SchedulerRole"),
    }
    assert source()["Parameters"]["ScheduleGroupInIam"]["Default"] == "true"


def test_a_firing_is_tried_again_and_never_lost_unseen() -> None:
    assert asynchronous()["ScheduleRunner"]["MaximumRetryAttempts"] == 2
    assert refers_to(asynchronous()["ScheduleRunner"]["DestinationConfig"]) == {"ScheduleDeadLetters"}
    assert asynchronous()["GrantExpiry"]["MaximumRetryAttempts"] == 2
    assert refers_to(asynchronous()["GrantExpiry"]["DestinationConfig"]) == {"ExpiryDeadLetters"}
    # The next sweep is the retry of a sweep.
    assert asynchronous()["CreditSweep"]["MaximumRetryAttempts"] == 0


def test_the_sweep_comes_by_a_schedule_that_is_none_of_the_customers() -> None:
    schedule = of_type("AWS::Scheduler::Schedule")["SweepSchedule"]
    assert "GroupName" not in schedule
    assert schedule["ScheduleExpression"] == {"Fn::Sub": "rate(${SweepMinutes} minutes)"}
    # `rate(1 minutes)` is none of EventBridge Scheduler's expressions.
    assert source()["Parameters"]["SweepMinutes"]["MinValue"] == 2
    assert source()["Parameters"]["SweepMinutes"]["Default"] == 5
    assert refers_to(schedule["Target"]["Arn"]) == {"CreditSweep"}
    allowed = [one for name, one in statements() if name == "SweepScheduleRole"]
    assert [(one["Action"], refers_to(one["Resource"])) for one in allowed] == [
        (["lambda:InvokeFunction"], {"CreditSweep"})
    ]


def test_a_month_is_exported_when_it_is_over_and_no_firing_is_lost_unseen() -> None:
    schedule = of_type("AWS::Scheduler::Schedule")["MonthlySchedule"]
    assert schedule["ScheduleExpression"] == "cron(0 6 2 * ? *)"
    assert refers_to(schedule["Target"]["Arn"]) == {"MonthlyExports"}
    assert json.loads(schedule["Target"]["Input"]) == {"scheduled_at": "<aws.scheduler.scheduled-time>"}
    assert refers_to(schedule["Target"]["DeadLetterConfig"]) == {"MonthlyDeadLetters"}
    assert refers_to(asynchronous()["MonthlyExports"]["DestinationConfig"]) == {"MonthlyDeadLetters"}


def test_the_books_are_audited_every_day_and_no_firing_is_lost_unseen() -> None:
    schedule = of_type("AWS::Scheduler::Schedule")["DailySchedule"]
    assert schedule["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert refers_to(schedule["Target"]["Arn"]) == {"DailyAudits"}
    assert refers_to(schedule["Target"]["DeadLetterConfig"]) == {"DailyDeadLetters"}
    assert refers_to(asynchronous()["DailyAudits"]["DestinationConfig"]) == {"DailyDeadLetters"}
    alarm = resources()["BooksDifferencesAlarm"]["Properties"]
    assert (alarm["MetricName"], alarm["Threshold"]) == ("BooksDifferences", 1)


def test_the_auditor_may_not_write_what_it_audits() -> None:
    """Nobody mends the books so that they balance."""
    writing: dict[str, set[str]] = {}
    for role, statement in statements():
        changing = set(as_list(statement["Action"])) - READING
        if role in {"AuditorRole", "DailyAuditsRole"} and any("dynamodb:" in action for action in changing):
            writing.setdefault(role, set()).update(refers_to(statement["Resource"]))
    assert writing == {"AuditorRole": {"UsageTable", "WorkTable"}, "DailyAuditsRole": {"WorkTable"}}


def test_who_writes_exports_changes_no_account_and_no_log() -> None:
    """What is exported must be what was there."""
    writing = {
        table
        for role, statement in statements()
        if role in {"UsageExporterRole", "MonthlyExportsRole"}
        and set(as_list(statement["Action"])) & {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
        for table in refers_to(statement["Resource"])
    }
    assert writing == {"WorkTable"}


def test_who_makes_reports_writes_nothing_else_of_what_is_configured_and_running() -> None:
    """API keys, runs and schedules lie in the same table."""
    exports, audits = ["W#*#EXPORTS", "W#*#EXPORT#*"], ["W#*#AUDITS", "W#*#AUDIT"]
    written: dict[str, list[str]] = {}
    for role, statement in statements():
        if refers_to(statement["Resource"]) != {"WorkTable"} or set(as_list(statement["Action"])) <= READING:
            continue
        condition = statement.get("Condition", {}).get("ForAllValues:StringLike", {})
        written.setdefault(role, []).extend(as_list(condition.get("dynamodb:LeadingKeys", "everything")))
    assert written["ReportsApiRole"] == [
        *exports,
        *audits,
        "W#*#CALL#*",
        "W#*#PERSON#*",
        "W#*#ASKED#EXPORTS",
        "W#*#ASKED#AUDITS",
    ]
    assert written["UsageExporterRole"] == written["MonthlyExportsRole"] == exports
    assert written["AuditorRole"] == written["DailyAuditsRole"] == audits


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_are_told_what_they_read_of_the_environment(name: str) -> None:
    module, _, _ = resources()[name]["Properties"]["Handler"].rpartition(".")
    read = (TEMPLATE.parent / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
    if name == "CreditFollower":
        read += (TEMPLATE.parent / "functions" / "credit_follower" / "announcing.py").read_text(encoding="utf-8")
    if name == "Api":
        # What operators' routes read besides is told to the function that answers them, and to no other.
        services = (TEMPLATE.parent / "functions" / "api" / "services.py").read_text(encoding="utf-8")
        read += services.replace("ExpirySettings.from_environment", "")
    told = set(resources()[name]["Properties"]["Environment"]["Variables"])
    for settings, variables in {
        "PaceLimits": {"PERSON_CALLS_PER_HOUR", "PERSON_CALLS_PER_DAY"},
        "Target": {"SCHEDULE_GROUP", "SCHEDULE_RUNNER_ARN", "SCHEDULE_ROLE_ARN", "SCHEDULE_DEAD_LETTERS_ARN"},
        "ExpirySettings": {"EXPIRY_GROUP", "GRANT_EXPIRY_ARN", "EXPIRY_ROLE_ARN", "EXPIRY_DEAD_LETTERS_ARN"},
        "GuardSettings": {"GUARD_QUEUE_URL"},
        "RuleSettings": {"RULE_QUEUE_URL", "MAX_CHAIN_DEPTH", "RULE_FIRINGS_PER_HOUR"},
        "AnnouncementSettings": {"CREDIT_EVENTS_TOPIC_ARN"},
        "FollowerSettings": {"ANNOUNCEMENT_QUEUE_URL"},
        "UsageSettings": {"STACK_NAME", "USAGE_PLAN_NAME", "OPERATORS_GATEWAY_KEY_ID"},
        "AuthorizerSettings": {"WORK_TABLE", *(f"{name}_USAGE_KEY" for name in USAGE_KEYS)},
        "SourceSettings": {"SOURCE_HOSTS", "SOURCE_BUCKETS", "SOURCE_SECRETS_PREFIX"},
    }.items():
        if f"{settings}.from_environment" in read:
            assert variables <= told


def test_who_announces_announces_on_the_default_bus_and_the_topic_of_this_stack() -> None:
    bus = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"
    for action, resource in (("events:PutEvents", {"Fn::Sub": bus}), ("sns:Publish", {"Ref": "CreditEventsTopic"})):
        allowed = {role: one["Resource"] for role, one in statements() if action in as_list(one["Action"])}
        assert allowed == dict.fromkeys(("CreditFollowerRole", "CreditGuardRole", "RuleWorkerRole"), resource)
    assert resources()["CreditEventsTopic"]["Properties"]["KmsMasterKeyId"] == "alias/aws/sns"


# --- sources ---


def resolved(value: Any, parameters: dict[str, str]) -> Any:
    """What CloudFormation makes of a value, for the functions that the policy of source buckets uses."""
    match value:
        case {"Ref": name}:
            return parameters[name]
        case {"Fn::Split": [separator, text]}:
            return resolved(text, parameters).split(separator)
        case {"Fn::Join": [separator, parts]}:
            return separator.join(resolved(parts, parameters))
        case {"Fn::Sub": [text, {**names}]}:
            for name, replacement in names.items():
                text = text.replace(f"${{{name}}}", resolved(replacement, parameters))
            return text
        case _:
            return value


@pytest.mark.parametrize("buckets", [["feeds-of-acme"], ["feeds-of-acme", "other.feeds", "third"]])
def test_the_preparer_reads_the_workspaces_folders_of_the_named_buckets_and_no_others(buckets: list[str]) -> None:
    policy = resources()["SourceBucketsPolicy"]
    assert policy["Condition"] == "HasSourceBuckets"
    assert source()["Conditions"]["HasSourceBuckets"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "SourceBuckets"}, ""]}]}
    assert policy["Properties"]["Roles"] == [{"Ref": "FeedPreparerRole"}]
    read, find = policy["Properties"]["PolicyDocument"]["Statement"]
    given = {"SourceBuckets": ",".join(buckets)}
    assert read["Action"] == ["s3:GetObject"]
    assert resolved(read["Resource"], given) == [f"arn:*:s3:::{bucket}/ws_*" for bucket in buckets]
    assert find["Action"] == ["s3:ListBucket"]
    assert resolved(find["Resource"], given) == [f"arn:*:s3:::{bucket}" for bucket in buckets]
    assert find["Condition"] == {"StringLike": {"s3:prefix": "ws_*"}}


def test_the_preparer_alone_reads_credentials_for_sources() -> None:
    readers = {role for role, one in statements() if "secretsmanager:GetSecretValue" in as_list(one["Action"])}
    assert readers == {"FeedPreparerRole"}


def test_no_host_and_no_bucket_is_a_source_by_default() -> None:
    assert source()["Parameters"]["SourceHosts"]["Default"] == ""
    assert source()["Parameters"]["SourceBuckets"]["Default"] == ""


# --- watching ---


def test_every_log_group_has_a_retention_and_every_function_its_own() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())
    used = {
        next(iter(refers_to(function["LoggingConfig"]["LogGroup"])))
        for function in of_type("AWS::Lambda::Function").values()
    }
    assert len(used) == len(FUNCTIONS)
    assert used <= set(groups)


def test_alarms_watch_dead_letters_functions_and_failed_runs_and_tell_somebody() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    watched = {
        (alarm["Namespace"], alarm["MetricName"], *sorted(refers_to(alarm["Dimensions"]))) for alarm in alarms.values()
    }
    assert {("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue) for queue in dead_letter_queues()} <= watched
    # The authorizer refuses a wrong key by an exception; when it fails, the API answers 5xx, and that is watched.
    assert {("AWS/Lambda", "Errors", function) for function in FUNCTIONS if function != "Authorizer"} <= watched
    readers = {
        next(iter(refers_to(mapping["FunctionName"])))
        for mapping in of_type("AWS::Lambda::EventSourceMapping").values()
        if "StartingPosition" in mapping
    }
    assert {("AWS/Lambda", "IteratorAge", function) for function in readers} <= watched
    assert ("ProductSync", "FailedRuns", "AWS::StackName") in watched
    assert ("ProductSync", "UncountedOperations", "AWS::StackName") in watched
    assert "RejectedRuns" not in {metric for _, metric, _ in watched}, "a customer's bad file wakes nobody"
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}], name


def test_the_metric_of_failed_runs_has_the_dimension_that_its_alarm_watches() -> None:
    alarm = resources()["FailedRunsAlarm"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}]
    for function in of_type("AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == alarm["Namespace"]


# --- functions ---


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_run_traced_on_the_runtime_that_the_dependencies_are_built_for(name: str) -> None:
    function = resources()[name]["Properties"]
    assert function["Runtime"] == f"python{PYTHON_VERSION}"
    assert function["Architectures"] == ["arm64"]
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["Timeout"] <= 900


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_handlers_exist(name: str) -> None:
    module, _, attribute = resources()[name]["Properties"]["Handler"].rpartition(".")
    path = TEMPLATE.parent / (module.replace(".", "/") + ".py")
    assert f"def {attribute}(" in path.read_text(encoding="utf-8")


# --- the API ---


def api_body() -> dict[str, Any]:
    return dict(resources()["ApiGateway"]["Properties"]["Body"])


def test_the_api_has_exactly_these_routes() -> None:
    routes = {(method.upper(), path) for path, methods in api_body()["paths"].items() for method in methods}
    assert routes == ROUTES | REPORTS | OPERATORS | PUBLIC | THE_REST


def routes_of(function: str) -> set[tuple[str, str]]:
    """The routes whose calls a function answers."""
    events = [event["Properties"] for event in source()["Resources"][function]["Properties"]["Events"].values()]
    return {(event["Method"], event["Path"]) for event in events}


def test_each_route_is_answered_by_the_function_with_the_rights_for_it() -> None:
    assert routes_of("Api") == ROUTES
    assert routes_of("ReportsApi") == REPORTS
    assert routes_of("OperatorApi") == OPERATORS
    assert routes_of("PublicApi") == PUBLIC | THE_REST
    functions = of_type("AWS::Lambda::Function")
    same = [
        {part: functions[name][part] for part in ("Handler", "Code", "MemorySize", "Timeout")}
        for name in ("Api", "OperatorApi", "PublicApi", "ReportsApi")
    ]
    assert all(one == same[0] for one in same)


def test_the_functions_of_the_api_are_told_what_their_routes_read() -> None:
    common = set(source()["Globals"]["Function"]["Environment"]["Variables"])
    functions = of_type("AWS::Lambda::Function")
    told = {
        name: set(functions[name]["Environment"]["Variables"]) - common
        for name in ("OperatorApi", "PublicApi", "ReportsApi")
    }
    usage = {"STACK_NAME", "USAGE_PLAN_NAME", "OPERATORS_GATEWAY_KEY_ID"}
    expiry = {"EXPIRY_GROUP", "GRANT_EXPIRY_ARN", "EXPIRY_ROLE_ARN", "EXPIRY_DEAD_LETTERS_ARN"}
    assert told == {
        "OperatorApi": {"CORS_ORIGIN", "PEOPLE_POOL_ID", *usage, *expiry},
        "PublicApi": {"CORS_ORIGIN"},
        "ReportsApi": {"CORS_ORIGIN", "PERSON_CALLS_PER_HOUR", "PERSON_CALLS_PER_DAY"},
    }


MOST_POLICY_BYTES = 18 * 1024
"""AWS takes 20,480 for a function (AWS documentation, "Lambda quotas"). Past this, move routes to another function."""


def policy_of(function: str) -> dict[str, Any]:
    """The policy that a function comes to have on AWS, in a stack of a long name and a region of a long name."""
    stack, region, account = "s" * 32, "ap-southeast-2", "1" * 12
    given = {"${AWS::Region}": region, "${AWS::AccountId}": account, "${__ApiId__}": "a" * 10, "${__Stage__}": "*"}
    found = []
    for name, permission in of_type("AWS::Lambda::Permission").items():
        if refers_to(permission["FunctionName"]) != {function}:
            continue
        caller, _ = permission["SourceArn"]["Fn::Sub"]
        for variable, value in given.items():
            caller = caller.replace(variable, value)
        assert "$" not in caller, caller
        statement = {
            "Sid": f"{stack}-{name}-{'X' * 12}",
            "Effect": "Allow",
            "Principal": {"Service": permission["Principal"]},
            "Action": permission["Action"],
            # CloudFormation's names are 64 characters at most.
            "Resource": f"arn:aws:lambda:{region}:{account}:function:{f'{stack}-{function}'[:51]}-{'X' * 12}",
            "Condition": {"ArnLike": {"AWS:SourceArn": caller}},
        }
        found.append(statement)
    return {"Version": "2012-10-17", "Id": "default", "Statement": found}


@pytest.mark.parametrize("function", ["Api", "OperatorApi", "PublicApi", "ReportsApi"])
def test_the_policy_of_a_function_which_grows_with_its_routes_is_one_that_aws_takes(function: str) -> None:
    policy = policy_of(function)
    assert len(policy["Statement"]) == len(routes_of(function))
    assert len(json.dumps(policy, separators=(",", ":"))) < MOST_POLICY_BYTES


def test_every_route_asks_the_authorizer() -> None:
    for path, methods in api_body()["paths"].items():
        for method, operation in methods.items():
            authorizer = "Anyone" if (method.upper(), path) in PUBLIC else "ApiKeys"
            asked = [each for each in operation["security"] if "api_key" not in each]
            assert asked == [{authorizer: []}], f"{method} {path}"


def test_a_revoked_key_stops_at_once() -> None:
    scheme = api_body()["components"]["securitySchemes"]["ApiKeys"]["x-amazon-apigateway-authorizer"]
    assert scheme["authorizerResultTtlInSeconds"] == 0
    assert scheme["type"] == "request"


def test_the_stage_is_throttled_traced_and_logged_and_is_the_only_one() -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage").values()
    assert stage["StageName"] == "v1"
    assert stage["TracingEnabled"] is True
    assert stage["AccessLogSetting"]["DestinationArn"] == {"Fn::GetAtt": ["AccessLogGroup", "Arn"]}
    (settings,) = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "ThrottlingRate"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ThrottlingBurst"}


def test_the_access_log_is_json() -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage").values()
    assert json.loads(stage["AccessLogSetting"]["Format"])["request_id"] == "$context.requestId"


def test_the_access_log_holds_no_keys_of_records() -> None:
    (stage,) = of_type("AWS::ApiGateway::Stage").values()
    logged = json.loads(stage["AccessLogSetting"]["Format"])
    assert logged["resource"] == "$context.resourcePath"
    assert "$context.path" not in logged.values()


def test_the_account_s_role_for_logs_outlives_the_stack() -> None:
    for name in ("ApiGatewayAccount", "ApiGatewayLoggingRole"):
        assert resources()[name]["DeletionPolicy"] == "Retain", name
        assert resources()[name]["UpdateReplacePolicy"] == "Retain", name


EDGE_HEADERS = {
    f"gatewayresponse.header.{name}"
    for name in (*SECURITY, "X-Frame-Options", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers")
}


def test_what_api_gateway_answers_by_itself_is_a_problem_document() -> None:
    responses = api_body()["x-amazon-apigateway-gateway-responses"]
    for kind, response in responses.items():
        assert response["responseParameters"]["gatewayresponse.header.Content-Type"] == "'application/problem+json'", (
            kind
        )
        assert response["responseParameters"]["gatewayresponse.header.X-Request-Id"] == "context.requestId", kind
        assert response["responseParameters"].keys() >= EDGE_HEADERS, kind
        template = response["responseTemplates"]["application/json"]
        problem = json.loads(template)
        # The gateway's own words may repeat the header with the key.
        assert "$context.error" not in template, kind
        assert problem["type"].startswith("/problems/"), kind
        assert problem["title"], kind
        assert problem["detail"], kind
        assert problem["request_id"] == "$context.requestId", kind
        # The status in the document and on the line are the same, or the document names none.
        assert str(problem.get("status", response.get("statusCode"))) == str(response.get("statusCode")), kind
    statuses = {str(response["statusCode"]) for response in responses.values() if "statusCode" in response}
    assert statuses == {"401", "403", "404", "413", "429", "503", "504"}
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= set(responses)
    # Nothing here is signed by AWS's own scheme: who is told so asked for a path that does not exist.
    assert {str(responses[kind]["statusCode"]) for kind in ("INVALID_SIGNATURE", "MISSING_AUTHENTICATION_TOKEN")} == {
        "404"
    }


# --- whose calls are counted ---


@cache
def as_on_aws() -> dict[str, Resource]:
    """The resources as the deployment to AWS has them."""
    template = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
    return dict(transform(template, dict(ON_AWS), _NoManagedPolicies())["Resources"])


def test_on_aws_every_call_is_counted_and_an_authorizer_says_whose_it_is() -> None:
    api = as_on_aws()["ApiGateway"]["Properties"]
    assert api["ApiKeySourceType"] == "AUTHORIZER"
    for path, methods in api["Body"]["paths"].items():
        for method, operation in methods.items():
            authorizer = "Anyone" if (method.upper(), path) in PUBLIC else "ApiKeys"
            assert operation["security"] == [{authorizer: []}, {"api_key": []}], f"{method} {path}"


def test_the_embedded_stack_which_knows_no_such_source_of_keys_asks_for_none() -> None:
    assert source()["Parameters"]["ApiKeyRequired"]["Default"] == ""
    assert "api_key" not in json.dumps(api_body()["paths"])


def test_what_is_public_is_authorized_by_the_same_function_without_a_credential() -> None:
    schemes = as_on_aws()["ApiGateway"]["Properties"]["Body"]["components"]["securitySchemes"]
    anyone, keys = (schemes[name]["x-amazon-apigateway-authorizer"] for name in ("Anyone", "ApiKeys"))
    assert anyone["authorizerUri"] == keys["authorizerUri"]
    assert "identitySource" not in anyone
    assert keys["identitySource"] == "method.request.header.Authorization"
    assert anyone["authorizerResultTtlInSeconds"] == keys["authorizerResultTtlInSeconds"] == 0


PLANS = {
    "UsagePlan": "Key",
    "SharedUsagePlan": "Throttling",
    "DocumentsUsagePlan": "Documents",
    "PreflightUsagePlan": "Preflight",
}
"""Usage plans, and what the parameters of their bounds are called."""

USAGE_KEYS = {
    "OPERATORS": "UsagePlan",
    "SHARED": "SharedUsagePlan",
    "PEOPLE": "SharedUsagePlan",
    "DOCUMENTS": "DocumentsUsagePlan",
    "PREFLIGHT": "PreflightUsagePlan",
}
"""The usage keys of the template, and the plans that they are in."""


@pytest.mark.parametrize("plan", PLANS)
def test_each_usage_plan_bounds_the_calls_to_the_stage_by_parameters(plan: str) -> None:
    properties = resources()[plan]["Properties"]
    (stage,) = of_type("AWS::ApiGateway::Stage")
    assert properties["ApiStages"] == [{"ApiId": {"Ref": "ApiGateway"}, "Stage": {"Ref": stage}}]
    limits = {"RateLimit": f"{PLANS[plan]}Rate", "BurstLimit": f"{PLANS[plan]}Burst"}
    assert properties["Throttle"] == {limit: {"Ref": parameter} for limit, parameter in limits.items()}


def default(parameter: str) -> int:
    return int(source()["Parameters"][parameter]["Default"])


def test_nobody_takes_what_there_is_for_all() -> None:
    for limit in ("Rate", "Burst"):
        # Not even all keys of a workspace at once, beside all that is asked without a key.
        public = default(f"Documents{limit}") + default(f"Preflight{limit}")
        assert MAX_KEYS * default(f"Key{limit}") + public < default(f"Throttling{limit}")
    # What AWS lets a whole account have, unless it is asked for more.
    assert default("ThrottlingRate") <= 10_000
    assert default("ThrottlingBurst") <= 5_000
    assert (default("DocumentsRate"), default("DocumentsBurst")) == (2, 20)
    assert (default("PreflightRate"), default("PreflightBurst")) == (100, 200)


def test_the_authorizer_knows_the_usage_keys_of_who_has_none() -> None:
    told = resources()["Authorizer"]["Properties"]["Environment"]["Variables"]
    plan_of = {
        one["KeyId"]["Ref"]: one["UsagePlanId"]["Ref"] for one in of_type("AWS::ApiGateway::UsagePlanKey").values()
    }
    assert plan_of == {f"{name.capitalize()}UsageKey": plan for name, plan in USAGE_KEYS.items()}
    for name in USAGE_KEYS:
        key = resources()[f"{name.capitalize()}UsageKey"]["Properties"]
        assert told[f"{name}_USAGE_KEY"] == key["Value"], name
    values = [json.dumps(one["Value"]) for one in of_type("AWS::ApiGateway::ApiKey").values()]
    assert len(set(values)) == len(values) == len(USAGE_KEYS)


@pytest.mark.parametrize("function", ["Api", "OperatorApi"])
def test_who_makes_usage_keys_finds_the_plan_by_a_key_that_is_in_it(function: str) -> None:
    told = resources()[function]["Properties"]["Environment"]["Variables"]
    assert told["OPERATORS_GATEWAY_KEY_ID"] == {"Ref": "OperatorsUsageKey"}
    assert told["USAGE_PLAN_NAME"] == resources()["UsagePlan"]["Properties"]["UsagePlanName"]


def test_the_api_makes_and_removes_usage_keys_of_this_stack_in_its_one_plan() -> None:
    policy = as_on_aws()["UsageKeysPolicy"]["Properties"]
    assert policy["Roles"] == [{"Ref": "ApiRole"}, {"Ref": "OperatorApiRole"}]
    gateway = "arn:${AWS::Partition}:apigateway:${AWS::Region}::"
    key = "arn%3A${AWS::Partition}%3Aapigateway%3A${AWS::Region}%3A%3A%2Fapikeys%2F*"
    allowed = {
        (*one["Action"], one["Resource"]["Fn::Sub"]): one.get("Condition")
        for one in policy["PolicyDocument"]["Statement"]
    }

    def on_aws(kind: str) -> dict[str, Any]:
        of_this_stack = {"StringEquals": {f"aws:{kind}/Stack": {"Ref": "AWS::StackName"}}}
        return {"Fn::If": ["CountsByUsageKeys", of_this_stack, {"Ref": "AWS::NoValue"}]}

    assert allowed == {
        ("apigateway:GET", f"{gateway}/usageplans"): None,
        ("apigateway:POST", f"{gateway}/apikeys"): on_aws("RequestTag"),
        ("apigateway:PUT", f"{gateway}/tags/{key}"): on_aws("RequestTag"),
        ("apigateway:POST", f"{gateway}/usageplans/${{UsagePlan}}/keys"): None,
        ("apigateway:DELETE", f"{gateway}/apikeys/*"): on_aws("ResourceTag"),
    }
    assert source()["Conditions"]["CountsByUsageKeys"] == {"Fn::Equals": [{"Ref": "ApiKeyRequired"}, "true"]}


def test_nobody_else_manages_api_gateway() -> None:
    assert not [role for role, one in statements() if "apigateway:" in json.dumps(one["Action"])]


def test_no_resource_needs_itself_by_way_of_others() -> None:
    """AWS refuses such a template, the embedded CloudFormation does not."""
    needs = {
        name: (refers_to(one) | set(as_list(one.get("DependsOn", [])))) & set(as_on_aws())
        for name, one in as_on_aws().items()
    }
    settled: set[str] = set()
    while ready := {name for name in needs if name not in settled and needs[name] <= settled}:
        settled |= ready
    assert set(needs) == settled


# --- tags and parameters ---


@pytest.mark.parametrize(
    "kind",
    [
        "AWS::ApiGateway::ApiKey",
        "AWS::ApiGateway::UsagePlan",
        "AWS::DynamoDB::Table",
        "AWS::IAM::Role",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
        "AWS::Scheduler::ScheduleGroup",
    ],
)
def test_everything_is_tagged(kind: str) -> None:
    for name, properties in of_type(kind).items():
        tags = {tag["Key"]: tag["Value"] for tag in properties["Tags"]}
        assert tags == {"Project": "productsync", "Stage": {"Ref": "Stage"}}, name


def test_functions_are_tagged() -> None:
    for name, properties in of_type("AWS::Lambda::Function").items():
        tags = {tag["Key"]: tag["Value"] for tag in properties["Tags"]}
        assert tags["Project"] == "productsync", name
        assert tags["Stage"] == {"Ref": "Stage"}, name


def test_every_parameter_is_described_and_has_a_default_unless_the_deployment_fills_it_in() -> None:
    for name, parameter in source()["Parameters"].items():
        assert parameter["Description"], name
        assert ("Default" in parameter) != (name in {"CodeBucket", "CodeKey"}), name


def test_the_defaults_are_those_of_the_design() -> None:
    defaults = {name: parameter.get("Default") for name, parameter in source()["Parameters"].items()}
    assert defaults["StarterCredits"] == 5000
    assert defaults["OwedCap"] == 1000
    assert set(json.loads(defaults["ActionPrices"]).values()) == {1}
    assert defaults["MaxChainDepth"] == 5
    assert defaults["RuleFiringsPerHour"] == 100_000


# --- people ---


def test_only_operators_make_people_and_nobody_changes_workspaces() -> None:
    pool = resources()["People"]["Properties"]
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    (workspace,) = [attribute for attribute in pool["Schema"] if attribute["Name"] == "workspace_id"]
    assert workspace["Mutable"] is False
    client = resources()["PeopleClient"]["Properties"]
    assert client["WriteAttributes"] == ["email"]
    assert "custom:workspace_id" in client["ReadAttributes"]
    # An address that somebody changes signs them in when it is proved to be theirs, not before.
    assert pool["UserAttributeUpdateSettings"] == {"AttributesRequireVerificationBeforeUpdate": ["email"]}


def test_people_outlive_the_stack_and_a_sign_in_does_not_tell_who_is_known() -> None:
    pool = resources()["People"]
    assert (pool["DeletionPolicy"], pool["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert pool["Properties"]["UserPoolTags"] == {"Project": "productsync", "Stage": {"Ref": "Stage"}}
    client = resources()["PeopleClient"]["Properties"]
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["EnableTokenRevocation"] is True
    assert client["GenerateSecret"] is False
    assert client["ExplicitAuthFlows"] == ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    assert (client["IdTokenValidity"], client["TokenValidityUnits"]["IdToken"]) == (15, "minutes")
    # The seconds that Cognito says a sign-in lasts are the access token's: as many, so that they are true of both.
    assert (client["AccessTokenValidity"], client["TokenValidityUnits"]["AccessToken"]) == (15, "minutes")


def test_the_authorizer_goes_by_the_stack_s_own_pool_and_only_operators_add_people() -> None:
    variables = resources()["Authorizer"]["Properties"]["Environment"]["Variables"]
    assert (variables["PEOPLE_POOL_ID"], variables["PEOPLE_CLIENT_ID"]) == ({"Ref": "People"}, {"Ref": "PeopleClient"})
    allowed = [(role, one) for role, one in statements() if "cognito" in json.dumps(one["Action"])]
    assert [role for role, _ in allowed] == ["OperatorApiRole"]
    assert refers_to(allowed[0][1]["Resource"]) == {"People"}

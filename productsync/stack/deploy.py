"""Deploys template.yaml through CloudFormation: to AWS with the caller's credentials, and to the embedded stack.

Deploying twice is the same as deploying once: artifacts are stored under the digest of their content, and a change set
without changes is dropped.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from productsync.failures import StackFailure
from productsync.stack.aws import refusals_told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef
    from mypy_boto3_s3 import S3Client

    from productsync.stack.aws import Aws
    from productsync.stack.build import Artifact

WAIT_SECONDS = 1800.0
TAGS = {"Project": "productsync"}
LOGGING_PARAMETER = "ApiGatewayLogging"
ON_AWS = {"ApiKeyRequired": "true"}
"""What a deployment to AWS has otherwise than the template's defaults, which are what the embedded CloudFormation can
show to SAM: there, API Gateway counts the calls of each key.
"""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A stack as it is after a deployment."""

    stack_name: str
    outputs: dict[str, str]
    created: bool
    """Whether there was no such stack before."""
    changed: bool
    """Whether anything had to be done."""


@refusals_told()
def deploy(
    aws: Aws,
    root: Path,
    stack_name: str,
    *,
    code: Artifact,
    dependencies: Artifact | None,
    exports: Artifact | None,
    parameters: Mapping[str, str],
    poll_seconds: float = 3.0,
) -> Deployment:
    """Creates the stack or updates it, and waits until that is done.

    `dependencies` and `exports` are None where the functions find them installed (the embedded stack). Parameters that
    are not given keep the value that the stack has, or else the template's default; a new stack leaves alone what the
    account has already to log with. Raises StackFailure with the resources that failed and why, or with what AWS
    refuses.
    """
    cloudformation, s3 = aws.cloudformation(), aws.s3()
    bucket = _artifact_bucket(aws, s3)
    template_url = _upload_template(s3, bucket, (root / "template.yaml").read_bytes())
    given = {
        **parameters,
        "CodeBucket": bucket,
        "CodeKey": _upload(s3, bucket, code),
        "DependenciesKey": _upload(s3, bucket, dependencies) if dependencies else "",
        "ExportsKey": _upload(s3, bucket, exports) if exports else "",
    }
    existing = _existing_parameters(cloudformation, stack_name)
    if existing is None and LOGGING_PARAMETER not in given and _has_logging_role(aws):
        given[LOGGING_PARAMETER] = "existing"
    change_set = f"deploy-{int(time.time() * 1000)}"
    try:
        cloudformation.create_change_set(
            StackName=stack_name,
            ChangeSetName=change_set,
            ChangeSetType="CREATE" if existing is None else "UPDATE",
            TemplateURL=template_url,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=_parameters(cloudformation, template_url, given, existing or {}),
            Tags=[{"Key": key, "Value": value} for key, value in TAGS.items()],
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise StackFailure(f"CloudFormation refuses the template for {stack_name}", str(error)) from error
    changed = _wait_for_change_set(cloudformation, stack_name, change_set, poll_seconds)
    if changed:
        cloudformation.execute_change_set(StackName=stack_name, ChangeSetName=change_set)
        _wait_for_stack(cloudformation, stack_name, poll_seconds)
    else:
        cloudformation.delete_change_set(StackName=stack_name, ChangeSetName=change_set)
    return Deployment(stack_name, _outputs(cloudformation, stack_name), created=existing is None, changed=changed)


def _has_logging_role(aws: Aws) -> bool:
    """Whether API Gateway has a role to write logs with, in this account and region. A stack that brings its own would
    take the place of that role for every API there.
    """
    return bool(aws.apigateway().get_account().get("cloudwatchRoleArn"))


def _artifact_bucket(aws: Aws, s3: S3Client) -> str:
    """The account's bucket for artifacts, made when it is not there: private and encrypted."""
    account = aws.sts().get_caller_identity()["Account"]
    bucket = f"productsync-artifacts-{account}-{aws.region}"
    try:
        # Whose bucket it is, is asked as well: a bucket's name may be taken by somebody else.
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
    else:
        return bucket
    if aws.region == "us-east-1":
        # The one region that must not be named.
        s3.create_bucket(Bucket=bucket)
    else:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})  # type: ignore[typeddict-item]  # any region
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    return bucket


def _upload(s3: S3Client, bucket: str, artifact: Artifact) -> str:
    """Stores the artifact, unless it is there, and returns its key."""
    try:
        s3.head_object(Bucket=bucket, Key=artifact.key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        s3.upload_file(str(artifact.path), bucket, artifact.key)
    return artifact.key


def _upload_template(s3: S3Client, bucket: str, template: bytes) -> str:
    """Stores the template, which is too large to be sent along, and returns its URL."""
    key = f"template/{hashlib.sha256(template).hexdigest()}.yaml"
    s3.put_object(Bucket=bucket, Key=key, Body=template)
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def _existing_parameters(cloudformation: CloudFormationClient, stack_name: str) -> dict[str, str] | None:
    """The parameters of the stack as it is; None when there is no stack.

    A stack whose creation failed cannot be updated, and has nothing that would be lost: it is removed first.
    """
    try:
        stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    status = stack["StackStatus"]
    if status == "REVIEW_IN_PROGRESS":
        return None
    if status == "ROLLBACK_COMPLETE":
        cloudformation.delete_stack(StackName=stack_name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack_name)
        return None
    if status.endswith("_IN_PROGRESS"):
        raise StackFailure(
            f"The stack {stack_name} is busy", f"it is in the state {status}; try again when that is over"
        )
    return {one["ParameterKey"]: one.get("ParameterValue", "") for one in stack.get("Parameters", [])}


def _parameters(
    cloudformation: CloudFormationClient, template_url: str, given: Mapping[str, str], existing: Mapping[str, str]
) -> list[ParameterTypeDef]:
    declared = [one["ParameterKey"] for one in cloudformation.validate_template(TemplateURL=template_url)["Parameters"]]
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise StackFailure(
            f"The template has no parameter {', '.join(unknown)}", f"it has {', '.join(sorted(declared))}"
        )
    values: list[ParameterTypeDef] = []
    for name in declared:
        if name in given:
            values.append({"ParameterKey": name, "ParameterValue": given[name]})
        elif name in existing:
            values.append({"ParameterKey": name, "UsePreviousValue": True})
    return values


def _wait_for_change_set(
    cloudformation: CloudFormationClient, stack_name: str, change_set: str, poll_seconds: float
) -> bool:
    """Waits until the change set is made. False when nothing would change."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        described = cloudformation.describe_change_set(StackName=stack_name, ChangeSetName=change_set)
        status, reason = described["Status"], described.get("StatusReason", "")
        if status == "CREATE_COMPLETE":
            return True
        if status == "FAILED":
            if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                return False
            raise StackFailure(f"CloudFormation refuses the template for {stack_name}", reason)
        time.sleep(poll_seconds)
    raise StackFailure(f"The change set of {stack_name} is not ready after {WAIT_SECONDS / 60:.0f} minutes")


def _wait_for_stack(cloudformation: CloudFormationClient, stack_name: str, poll_seconds: float) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        status = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]["StackStatus"]
        if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            return
        if not status.endswith("_IN_PROGRESS") or "ROLLBACK" in status:
            raise StackFailure(
                f"The deployment of {stack_name} failed ({status})", _failures(cloudformation, stack_name)
            )
        time.sleep(poll_seconds)
    raise StackFailure(f"The stack {stack_name} is not ready after {WAIT_SECONDS / 60:.0f} minutes")


def _failures(cloudformation: CloudFormationClient, stack_name: str) -> str:
    """Why the last deployment failed: each resource with its reason, the first failure first."""
    reasons: list[str] = []
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_name):
        for event in page["StackEvents"]:
            status = event.get("ResourceStatus", "")
            if event.get("LogicalResourceId") == stack_name and status in {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"}:
                # Where the last deployment began; what is older belongs to another one.
                return "\n".join(reversed(reasons)) or "CloudFormation gives no reason"
            if status.endswith("_FAILED"):
                reasons.append(f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason', status)}")
    return "\n".join(reversed(reasons)) or "CloudFormation gives no reason"


def _outputs(cloudformation: CloudFormationClient, stack_name: str) -> dict[str, str]:
    stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}

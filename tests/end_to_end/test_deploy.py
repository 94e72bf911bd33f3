"""Deploying as to AWS: the same command, with the caller's environment pointing at an embedded AWS instead."""

from __future__ import annotations

import zipfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from productsync.stack import build, process
from productsync.stack.__main__ import main
from productsync.stack.aws import Aws
from productsync.stack.build import Artifact
from productsync.stack.deploy import ON_AWS

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "eu-central-1"


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """An empty embedded AWS, and a caller whose environment leads to it."""
    running, url = process.start(tmp_path / "aws")
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        # What `make build` has made in the checkout is left alone.
        build_code, built = build.build_code, tmp_path / "build"
        monkeypatch.setattr(build, "build_code", lambda root, _: build_code(root, built))
        monkeypatch.setattr(build, "build_dependencies", lambda _root, _destination: make_layer(built, "dependencies"))
        monkeypatch.setattr(build, "build_exports", lambda _root, _destination: make_layer(built, "exports"))
        # The embedded AWS has no named queries.
        monkeypatch.setitem(ON_AWS, "AthenaQueries", "false")
        yield Aws.embedded(url, REGION)
    finally:
        running.stop()


def make_layer(destination: Path, name: str) -> Artifact:
    """What stands for the dependencies here; the real ones come from a registry (`make build`)."""
    path = destination / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("python/pinned.py", build.EARLIEST_TIME), "version = 1\n")
    return Artifact(path, sha256(path.read_bytes()).hexdigest())


def parameters(aws: Aws, stack_name: str = "productsync") -> dict[str, str]:
    stack = aws.cloudformation().describe_stacks(StackName=stack_name)["Stacks"][0]
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}


def test_a_deployment_is_made_then_changed_and_otherwise_left_alone(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", "--parameters", "StarterCredits=100", "Currency=USD"]) == 0
    said = capsys.readouterr().out
    assert "productsync is deployed." in said
    assert f".execute-api.{REGION}.amazonaws.com\n" in said
    key = next(line.split()[-1] for line in said.splitlines() if line.startswith("operator key"))
    assert key.startswith("psk_")
    assert parameters(aws)["DependenciesKey"].startswith("dependencies/")
    assert parameters(aws)["ExportsKey"].startswith("exports/")
    # On AWS, API Gateway counts the calls of each key.
    assert parameters(aws)["ApiKeyRequired"] == "true"

    assert main(["deploy"]) == 0
    said = capsys.readouterr().out
    assert "productsync is as it was." in said
    assert "operator key" not in said

    assert main(["deploy", "--parameters", "StarterCredits=200"]) == 0
    assert "productsync is deployed." in capsys.readouterr().out
    # What is not given again stays as it was given.
    assert (parameters(aws)["StarterCredits"], parameters(aws)["Currency"]) == ("200", "USD")


def test_what_the_account_logs_with_is_left_alone(aws: Aws) -> None:
    gateway = aws.apigateway()
    assert main(["deploy"]) == 0
    role = gateway.get_account()["cloudwatchRoleArn"]
    assert role
    # The account has a role by now: another stack uses it, and the first one stays as it was.
    assert main(["deploy", "--stack", "second"]) == 0
    assert parameters(aws, "second")["ApiGatewayLogging"] == "existing"
    assert main(["deploy", "--parameters", "StarterCredits=7"]) == 0
    assert parameters(aws)["ApiGatewayLogging"] == "create"
    assert gateway.get_account()["cloudwatchRoleArn"] == role
    # Unless it is told.
    assert main(["deploy", "--stack", "third", "--parameters", "ApiGatewayLogging=create"]) == 0
    assert gateway.get_account()["cloudwatchRoleArn"] != role


def test_what_aws_refuses_is_told_in_its_words(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert aws.region == REGION
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody's")
    assert main(["deploy"]) == 1
    assert capsys.readouterr().err.startswith("AWS refuses: An error occurred (")


def test_the_dependencies_are_a_layer_of_every_function(aws: Aws) -> None:
    assert main(["deploy"]) == 0
    functions = aws.lambda_().list_functions()["Functions"]
    of_all, *_ = min((function["Layers"] for function in functions), key=len)
    assert all(of_all in function["Layers"] for function in functions)
    # What Parquet takes is larger than all the rest.
    (more,) = (function for function in functions if len(function["Layers"]) > 1)
    assert "UsageExporter" in more["FunctionName"]
    assert len(more["Layers"]) == 2


def test_artifacts_lie_in_a_private_bucket_of_the_account(aws: Aws) -> None:
    assert main(["deploy"]) == 0
    bucket = f"productsync-artifacts-000000000000-{REGION}"
    access = aws.s3().get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(access.values()) == {True}
    keys = {item["Key"].split("/")[0] for item in aws.s3().list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == {"code", "dependencies", "exports", "template"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--parameters", "Currenzy=USD"], "no parameter Currenzy"),
        (["--parameters", "Currency=dollars"], "Currency"),
    ],
)
def test_what_cannot_be_deployed_says_why(
    aws: Aws, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert aws.region == REGION
    assert main(["deploy", *arguments]) == 1
    assert reason in capsys.readouterr().err


def test_the_new_key_works(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    # The embedded IAM knows nothing of the tags of usage keys.
    assert main(["deploy", "--parameters", "ApiKeyRequired="]) == 0
    said = capsys.readouterr().out
    key = next(line.split()[-1] for line in said.splitlines() if line.startswith("operator key"))
    stack = aws.cloudformation().describe_stacks(StackName="productsync")["Stacks"][0]
    api = next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "ApiId")
    answer = httpx.post(
        f"{aws.endpoint}/_aws/execute-api/{api}/v1/workspaces",
        json={"name": "first"},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 201, answer.text


def test_a_profile_that_does_not_exist_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert main(["deploy"]) == 1
    assert "AWS refuses: The config profile (nobody)" in capsys.readouterr().err


def test_without_a_region_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert main(["deploy"]) == 1
    assert "No region is set" in capsys.readouterr().err

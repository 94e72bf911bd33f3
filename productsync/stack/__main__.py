"""What `make build` and `make deploy` call: `python -m productsync.stack build` and `... deploy`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from productsync.failures import CommandFailure, StackFailure
from productsync.settings import home
from productsync.stack import build
from productsync.stack.aws import Aws, refusals_told
from productsync.stack.deploy import ON_AWS, deploy
from productsync.stack.operator_key import create_operator_key

if TYPE_CHECKING:
    from collections.abc import Callable


def main(arguments: list[str] | None = None) -> int:
    """Builds or deploys, and returns the exit code."""
    given = _parse(arguments)
    try:
        if given.command == "build":
            _build()
        else:
            _deploy(given.stack, dict(one.split("=", 1) for one in given.parameters), another_key=given.operator_key)
    except CommandFailure as failure:
        _say(sys.stderr.write, str(failure), failure.hint)
        return failure.exit_code
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m productsync.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="make the artifacts that go to AWS, in build/")
    deployment = commands.add_parser("deploy", help="deploy to AWS with your credentials")
    deployment.add_argument("--stack", default="productsync", help="the name of the CloudFormation stack")
    deployment.add_argument(
        "--parameters", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of template.yaml"
    )
    deployment.add_argument(
        "--operator-key", action="store_true", help="make an operator's key for a stack that has one"
    )
    given = parser.parse_args(arguments)
    for one in getattr(given, "parameters", []):
        if "=" not in one:
            parser.error(f"{one!r} is not NAME=VALUE")
    return given


def _build() -> None:
    root = home()
    limit = build.MAX_ARTIFACT_BYTES / 1024 / 1024
    builders = (build.build_code, build.build_dependencies, build.build_exports)
    artifacts = [one(root, root / "build") for one in builders]
    for artifact in artifacts:
        size = artifact.path.stat().st_size / 1024 / 1024
        name = str(artifact.path.relative_to(root))
        _say(sys.stdout.write, f"{name:<24} {size:5.1f} MB of {limit:.0f}  sha256 {artifact.digest}")
    together = sum(build.unpacked_bytes(artifact) for artifact in artifacts)
    if together > build.MAX_UNPACKED_BYTES:
        raise StackFailure(
            "The artifacts are too large", f"{together:,} bytes unpacked, and Lambda takes {build.MAX_UNPACKED_BYTES:,}"
        )
    _say(sys.stdout.write, f"{'unpacked, together':<24} {together / 2**20:5.1f} MB of {build.MAX_UNPACKED_BYTES >> 20}")


@refusals_told()
def _deploy(stack_name: str, parameters: dict[str, str], *, another_key: bool) -> None:
    aws, root = Aws.of_caller(), home()
    if not aws.region:
        raise StackFailure("No region is set", hint="Set AWS_REGION, or a region in your AWS profile.")
    deployment = deploy(
        aws,
        root,
        stack_name,
        code=build.build_code(root, root / "build"),
        dependencies=build.build_dependencies(root, root / "build"),
        exports=build.build_exports(root, root / "build"),
        parameters={**ON_AWS, **parameters},
    )
    _say(
        sys.stdout.write,
        f"{stack_name} is {'deployed' if deployment.changed else 'as it was'}.",
        f"endpoint      {deployment.outputs['ApiEndpoint']}",
    )
    if deployment.created or another_key:
        key = create_operator_key(aws.dynamodb(), deployment.outputs["WorkTable"])
        _say(sys.stdout.write, f"operator key  {key}", "Keep the operator key: only its digest is stored.")


def _say(write: Callable[[str], object], *lines: str | None) -> None:
    for line in lines:
        if line:
            write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())

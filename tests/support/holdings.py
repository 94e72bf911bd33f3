"""Everything that a deployment holds, read from AWS itself: what a call that must change nothing is held against."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tests.support.waiting import until

if TYPE_CHECKING:
    from productsync.stack import EmbeddedStack

Holdings = Mapping[str, str]
"""What there is: its place, and its content as text."""

TABLES = ("CreditTable", "CatalogTable", "WorkTable")


class Deployment:
    """All items of the three tables, all objects of the bucket, all secrets, schedules, people and keys of API Gateway.

    It scans: it is for a stack of one's own, which is small.
    """

    def __init__(self, stack: EmbeddedStack) -> None:
        session, endpoint = stack.aws.session, stack.aws.endpoint
        self._outputs = stack.outputs
        self._dynamodb = stack.aws.dynamodb()
        self._s3 = stack.aws.s3()
        self._scheduler = stack.aws.scheduler()
        self._gateway = stack.aws.apigateway()
        self._secrets = session.client("secretsmanager", endpoint_url=endpoint)
        self._cognito = session.client("cognito-idp", endpoint_url=endpoint)

    def holdings(self) -> Holdings:
        return {place: json.dumps(content, sort_keys=True, default=str) for place, content in self._all()}

    def at_rest(self) -> Holdings:
        """The same, once nothing in the background changes it any more."""
        seen = [self.holdings()]

        def quiet() -> bool:
            seen.append(self.holdings())
            return seen[-1] == seen[-2]

        until(quiet)
        return seen[-1]

    def _all(self) -> Iterator[tuple[str, Any]]:
        for name in TABLES:
            for page in self._dynamodb.get_paginator("scan").paginate(TableName=self._outputs[name]):
                for item in page["Items"]:
                    yield f"{name} {item['pk']['S']} {item['sk']['S']}", item
        for listing in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._outputs["DataBucket"]):
            for each in listing.get("Contents", []):
                yield f"object {each['Key']}", each["ETag"]
        for secret in self._secrets.list_secrets()["SecretList"]:
            yield f"secret {secret['Name']}", [secret.get("LastChangedDate"), secret.get("SecretVersionsToStages")]
        for schedule in self._schedules():
            yield f"schedule {schedule['Name']}", [schedule["LastModificationDate"], schedule["State"]]
        pool_id, _, _ = self._outputs["SignIn"].partition("/")
        for user in self._cognito.list_users(UserPoolId=pool_id)["Users"]:
            yield f"person {user['Username']}", [user["UserLastModifiedDate"], user["UserStatus"], user["Attributes"]]
        for key in self._gateway.get_api_keys()["items"]:
            yield f"key of the gateway {key['id']}", [key["name"], key["enabled"], key["lastUpdatedDate"]]

    def _schedules(self) -> Iterator[Any]:
        for group in ("ScheduleGroup", "ExpiryGroup"):
            yield from self._scheduler.list_schedules(GroupName=self._outputs[group])["Schedules"]


def differences(before: Holdings, after: Holdings) -> list[str]:
    """The places at which something came, went or changed."""
    return sorted(place for place in before.keys() | after.keys() if before.get(place) != after.get(place))

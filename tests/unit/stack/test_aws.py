"""What AWS refuses is a failure like any other: told in AWS's own words, with an exit code."""

from __future__ import annotations

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, NoCredentialsError

from productsync.failures import StackFailure
from productsync.stack.aws import refusals_told

DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "not yours"}}, "CreateChangeSet")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DENIED, r"\(AccessDenied\) when calling the CreateChangeSet operation: not yours"),
        (NoCredentialsError(), "Unable to locate credentials"),
        (S3UploadFailedError("Failed to upload code.zip"), "Failed to upload code.zip"),
    ],
)
def test_a_refusal_is_told_in_its_own_words(error: Exception, words: str) -> None:
    with pytest.raises(StackFailure, match=f"AWS refuses: .*{words}"), refusals_told():
        raise error


def test_what_is_told_already_and_what_is_a_bug_are_left_alone() -> None:
    for error in (StackFailure("The stack is busy"), KeyError("bug")):
        with pytest.raises(type(error)) as caught, refusals_told():
            raise error
        assert caught.value is error

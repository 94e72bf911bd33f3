"""The settings that functions read."""

from __future__ import annotations

import pytest

from shared.credits import Action
from shared.schedules.scheduler import Target
from shared.settings import AnnouncementSettings, GuardSettings, Settings, SourceSettings

ENVIRONMENT = {
    "CREDIT_TABLE": "credit",
    "CATALOG_TABLE": "catalog",
    "WORK_TABLE": "work",
    "USAGE_TABLE": "usage",
    "DATA_BUCKET": "data",
    "PREPARE_QUEUE_URL": "https://prepare",
    "IMPORT_QUEUE_URL": "https://import",
    "STARTER_CREDITS": "5000",
    "ACTION_PRICES": '{"api_call":3}',
    "CURRENCY": "EUR",
    "OWED_CAP": "1000",
    "MAX_FEED_BYTES": "1073741824",
    "IMPORT_LEG_SECONDS": "90",
}


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    assert settings.starter_credits == 5000
    assert settings.prices.cost({Action.API_CALL: 2, Action.RECORD_CREATED: 1}) == 7


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_a_function_without_one_of_them_does_not_start(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        Settings.from_environment({key: value for key, value in ENVIRONMENT.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("STARTER_CREDITS", "many", "many"),
        ("ACTION_PRICES", "{", "property name"),
        ("ACTION_PRICES", '{"tea": 1}', "tea"),
    ],
)
def test_nor_with_one_that_does_not_parse(name: str, value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings.from_environment(ENVIRONMENT | {name: value})


OF_SOME = {
    "SCHEDULE_GROUP": "schedules",
    "SCHEDULE_RUNNER_ARN": "arn:runner",
    "SCHEDULE_ROLE_ARN": "arn:role",
    "SCHEDULE_DEAD_LETTERS_ARN": "arn:lost",
    "GUARD_QUEUE_URL": "https://guard",
    "CREDIT_EVENTS_TOPIC_ARN": "arn:events",
    "SOURCE_HOSTS": "localhost,Feeds.Internal",
    "SOURCE_BUCKETS": "",
    "SOURCE_SECRETS_PREFIX": "productsync/sources/",
}


def test_some_functions_have_settings_of_their_own() -> None:
    assert Target.from_environment(OF_SOME).function_arn == "arn:runner"
    assert GuardSettings.from_environment(OF_SOME).queue_url == "https://guard"
    assert AnnouncementSettings.from_environment(OF_SOME).topic_arn == "arn:events"
    sources = SourceSettings.from_environment(OF_SOME)
    assert sources.hosts == {"localhost", "feeds.internal"}
    assert sources.buckets == frozenset()
    assert sources.secrets_prefix == "productsync/sources/"


@pytest.mark.parametrize("name", sorted(OF_SOME))
def test_which_have_to_be_there_where_they_are_read(name: str) -> None:
    missing = {key: value for key, value in OF_SOME.items() if key != name}

    def read_all() -> None:
        Target.from_environment(missing)
        GuardSettings.from_environment(missing)
        AnnouncementSettings.from_environment(missing)
        SourceSettings.from_environment(missing)

    with pytest.raises(KeyError, match=name):
        read_all()

"""Schedules and rules: what happens by itself."""

from collections.abc import Iterator, Mapping
from typing import Any

from productsync.answers import Page, Rule, RulePreview, SavedRule, Schedule, ScheduleSummary
from productsync.client.calls import Answer, Calls, path_of


class SchedulesGroup:
    """When feeds are pulled, and rules run. All of it is free; what a schedule sets off is charged."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Answer[Page[ScheduleSummary]]:
        """One page of the schedules, without their costs."""
        return self._calls.get("schedules", {"limit": limit, "cursor": cursor})

    def get(self, schedule_id: str) -> Answer[Schedule]:
        """One schedule, and what it costs."""
        return self._calls.get(path_of("schedules", schedule_id))

    def put(
        self, schedule_id: str, definition: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Answer[Schedule]:
        """Sets a schedule in place of the one there is, if any."""
        path = path_of("schedules", schedule_id)
        return self._calls.write("PUT", path, definition, idempotency_key=idempotency_key)

    def delete(self, schedule_id: str, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Deletes a schedule; what it did stays in the log."""
        return self._calls.write("DELETE", path_of("schedules", schedule_id), idempotency_key=idempotency_key)


class RulesGroup:
    """What happens when records change. All of it is free; what a rule does is charged."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Answer[Page[Rule]]:
        """One page of the rules."""
        return self._calls.get("rules", {"limit": limit, "cursor": cursor})

    def get(self, rule_id: str) -> Answer[Rule]:
        """One rule, and what it has done."""
        return self._calls.get(path_of("rules", rule_id))

    def put(
        self, rule_id: str, definition: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Answer[SavedRule]:
        """Saves a rule in place of the one there is, if any."""
        return self._calls.write("PUT", path_of("rules", rule_id), definition, idempotency_key=idempotency_key)

    def delete(self, rule_id: str, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Deletes a rule; what it did stays."""
        return self._calls.write("DELETE", path_of("rules", rule_id), idempotency_key=idempotency_key)

    def preview(
        self, rule_id: str, definition: Mapping[str, Any] | None = None, *, cursor: str | None = None
    ) -> Answer[RulePreview]:
        """What a rule would do with some of today's records; `definition` is one that is not saved."""
        given = {"definition": definition, "cursor": cursor}
        body = {name: value for name, value in given.items() if value is not None}
        return self._calls.ask(path_of("rules", rule_id, "preview"), body)

    def preview_all(self, rule_id: str, definition: Mapping[str, Any] | None = None) -> Iterator[RulePreview]:
        """What a rule would do with all of today's records, a part of them at a time."""
        cursor = None
        while True:
            part = self.preview(rule_id, definition, cursor=cursor).body
            yield part
            cursor = part["next_cursor"]
            if cursor is None:
                return

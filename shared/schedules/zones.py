"""IANA time zones by their names. The rules of the zones come from the `tzdata` package where the system has none."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

MAX_NAME = 50
"""Characters that EventBridge Scheduler takes (API Reference, ScheduleExpressionTimezone)."""


class UnknownZone(ValueError):
    """There is no such time zone. The message is for a schedule's owner."""


def zone_named(name: str) -> ZoneInfo:
    """The time zone, such as `Europe/Berlin`. Raises UnknownZone, with the nearest name there is."""
    if name in _names():
        return ZoneInfo(name)
    near = _nearest(name)
    example = f"did you mean {near}?" if near else "use a name of the IANA list, such as Europe/Berlin or UTC"
    raise UnknownZone(f"there is no time zone {name[:MAX_NAME]!r}; {example}")


@cache
def _names() -> frozenset[str]:
    """Every name but those that mean whatever the machine was set to."""
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _nearest(name: str) -> str | None:
    """The name that was probably meant: in other capitals, a city without its continent, or with a typing error."""
    wanted = name.strip().replace(" ", "_").lower()[:MAX_NAME]
    whole = {known.lower(): known for known in _names()}
    if wanted in whole:
        return whole[wanted]
    # The signs of Etc/GMT+2 are the other way round than people expect: never guess one.
    places = {spelled: known for spelled, known in whole.items() if "/" in known and not known.startswith("Etc/")}
    cities = {spelled.rpartition("/")[2]: known for spelled, known in sorted(places.items(), reverse=True)}
    if wanted in cities:
        return cities[wanted]
    for spelled in (places, cities):
        if near := get_close_matches(wanted, spelled, n=1, cutoff=0.75):
            return spelled[near[0]]
    return None

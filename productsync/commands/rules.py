"""`productsync rules`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from productsync.answers import Rule, RulePreview
from productsync.client import gather
from productsync.commands.session import Session, in_session
from productsync.files import read_definition
from productsync.output import count_text
from productsync.rule_reports import add_up, show_preview, show_rule, show_rules, show_warnings

app = typer.Typer(no_args_is_help=True)

RuleId = Annotated[str, typer.Argument(metavar="RULE_ID", help="The rule.")]

_OWNED = ("entity", "trigger", "condition", "actions", "enabled", "description", "max_firings_per_hour")
"""The fields that an owner sets."""


@app.callback()
@in_session
def rules(session: Session) -> None:
    """What happens by itself when records change. Configuring and previewing is free; a firing costs 1 credit, and 1
    for each record that it changes.
    """


@app.command("list")
@in_session
def list_rules(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Go on after an earlier listing.")] = None,
) -> None:
    """The rules, and what each has done. Free."""
    with session.client() as client:
        page = gather(client.rules.list, limit=limit, cursor=cursor)
    if session.as_json:
        session.output.answer(page)
        return
    show_rules(session.output, page["items"])
    if page["next_cursor"] is not None:
        session.output.note(f"There are more: --cursor {page['next_cursor']}")


@app.command(no_args_is_help=True)
@in_session
def show(session: Session, rule_id: RuleId) -> None:
    """One rule: what it does, and what it has done. Free."""
    with session.client() as client:
        rule = client.rules.get(rule_id).body
    if session.as_json:
        session.output.answer(rule)
    else:
        show_rule(session.output, rule)


@app.command(no_args_is_help=True)
@in_session
def put(
    session: Session,
    rule_id: RuleId,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="The definition, as JSON.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Save nothing: say what it would do with today's records, and cost.")
    ] = False,
) -> None:
    """Save a rule, in place of the one there is; one that was suspended fires again. Free."""
    definition = read_definition(file, of="a rule")
    if dry_run:
        _preview(session, rule_id, definition)
        return
    with session.client() as client:
        saved = client.rules.put(rule_id, definition).body
    _tell_saved(session, saved, f"Saved {rule_id}, version {saved['version']}.", saved["warnings"])


@app.command(no_args_is_help=True)
@in_session
def preview(session: Session, rule_id: RuleId) -> None:
    """What a saved rule would do if it looked at all of today's records now, and what that would cost. Free."""
    _preview(session, rule_id, None)


@app.command(no_args_is_help=True)
@in_session
def enable(session: Session, rule_id: RuleId) -> None:
    """Let a rule fire: one that is disabled, or one that was suspended; its count of this hour goes on. Free."""
    saved, warnings = _switch(session, rule_id, enabled=True)
    then = ""
    if saved["state"] == "paused":
        then = ", and fires when there are credits again"
    _tell_saved(session, saved, f"{rule_id} is enabled{then}.", warnings)


@app.command(no_args_is_help=True)
@in_session
def disable(session: Session, rule_id: RuleId) -> None:
    """Keep a rule from firing until it is enabled again; what changes until then is not looked at later. Free."""
    saved, warnings = _switch(session, rule_id, enabled=False)
    _tell_saved(session, saved, f"{rule_id} is disabled.", warnings)


@app.command(no_args_is_help=True)
@in_session
def delete(session: Session, rule_id: RuleId) -> None:
    """Delete a rule; what it has written stays. Free."""
    with session.client() as client:
        answer = client.rules.delete(rule_id).body
    if session.as_json:
        session.output.answer(answer)
    else:
        session.output.line(f"Deleted {rule_id}.")


def _preview(session: Session, rule_id: str, definition: dict[str, Any] | None) -> None:
    """Goes through all records, a part of them with each call."""
    output = session.output
    with session.client() as client:
        with output.stage(f"Previewing {rule_id}") as stage:
            parts: list[RulePreview] = []
            for part in client.rules.preview_all(rule_id, definition):
                parts.append(part)
                stage.detail(f"{count_text(_examined(parts), 'record')} so far")
            stage.done(count_text(_examined(parts), "record"))
        whole = add_up(parts)
        if session.as_json:
            output.answer(whole)
            return
        available = client.credits.get().body["available"]
    show_preview(output, whole, available=available, calls=len(parts))


def _examined(parts: Iterable[RulePreview]) -> int:
    return sum(part["examined"] for part in parts)


def _switch(session: Session, rule_id: str, *, enabled: bool) -> tuple[Rule, list[str]]:
    """The rule as it is then, and what looks odd about it."""
    with session.client() as client:
        known = client.rules.get(rule_id).body
        is_so = known["enabled"] is enabled and not (enabled and known["suspended_at"])
        if is_so:
            return known, []
        owned = {name: value for name, value in known.items() if name in _OWNED}
        saved = client.rules.put(rule_id, owned | {"enabled": enabled}).body
    return saved, saved["warnings"]


def _tell_saved(session: Session, rule: Rule, told: str, warnings: Iterable[str]) -> None:
    if session.as_json:
        session.output.answer(rule)
        return
    session.output.line(told)
    show_warnings(session.output, warnings)

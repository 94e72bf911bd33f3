"""What an audit keeps between two workers fits into its item."""

from __future__ import annotations

import json
import random
import string
import zlib
from datetime import UTC, datetime
from decimal import Decimal

from shared import keys
from shared.audits.model import Audit, AuditState
from shared.audits.samples import MAX_ENTITIES, MAX_NAMED, MAX_TRACED, Named
from shared.audits.store import MAX_WORK_BYTES, _item
from shared.audits.work import MAX_DOUBTS, Work
from shared.catalog import MAX_KEY_BYTES
from shared.credits.audit import GoneOfGrant
from shared.ids import grant_id, new_audit_id, new_workspace_id, operation_id

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)
ITEM_BYTES = 400 * 1024


def test_a_workspace_of_many_entities_with_long_keys_can_be_audited() -> None:
    """Its customer chooses the keys, which do not pack well."""
    lots = random.Random(1)
    letters = string.ascii_letters + string.digits
    audit_id, workspace_id = new_audit_id(AT), new_workspace_id(AT)
    work = Work.begin(workspace_id, audit_id, None, AT)
    for number in range(MAX_TRACED):
        work.drawn.offer(operation_id(AT, str(number)))
    for number in range(MAX_ENTITIES):
        entity = f"{number:02d}{''.join(lots.choices(string.ascii_lowercase, k=62))}"
        work.meet_entity(entity)
        for length in [MAX_KEY_BYTES, 64] * 5 * keys.RECORD_SHARDS:
            work.starts.offer(entity, "".join(lots.choices(letters, k=length)))
    for named in (work.by_hand, work.deleted):
        named.add("product", (str(number) for number in range(MAX_NAMED)))
        assert not named.overflown
    for number in range(MAX_DOUBTS):
        work.doubt("product", "".join(lots.choices(letters, k=MAX_KEY_BYTES)), operation_id(AT, str(number)))
    assert len(work.doubts) == MAX_DOUBTS
    audit = Audit(
        audit_id=audit_id, workspace_id=workspace_id, state=AuditState.RUNNING, requested_at=AT, updated_at=AT
    )
    packed = _item(audit, work.to_values(), rings=True)["work"]["B"]
    assert len(packed) < min(ITEM_BYTES - 32 * 1024, MAX_WORK_BYTES)
    assert len(work.starts.keys) > MAX_ENTITIES * keys.RECORD_SHARDS * 0.95


def test_where_a_shard_is_begun_is_told_by_short_keys_alone() -> None:
    work = Work.begin(new_workspace_id(AT), new_audit_id(AT), None, AT)
    work.starts.offer("product", "x" * 65)
    assert work.starts.of("product", keys.record_shard("x" * 65)) == ""
    work.starts.offer("product", "x" * 64)
    assert work.starts.of("product", keys.record_shard("x" * 64)) == "x" * 64


def test_what_was_named_is_known_again_and_of_too_much_anything_may_be() -> None:
    audit_id = new_audit_id(AT)
    named = Named(audit_id)
    named.add("product", ["a", "b"])
    for each in (named, Named.of(audit_id, named.to_value())):
        assert [each.may_hold("product", name) for name in "abc"] == [True, True, False]
        assert not each.may_hold("stock", "a")
    named.add("product", map(str, range(MAX_NAMED)))
    for each in (named, Named.of(audit_id, named.to_value())):
        assert each.overflown
        assert each.may_hold("product", "c")


def test_where_the_room_is_needed_the_names_of_records_are_given_up() -> None:
    """A workspace of very many grants can be audited all the same; it doubts nothing then."""
    lots = random.Random(2)
    audit_id, workspace_id = new_audit_id(AT), new_workspace_id(AT)
    work = Work.begin(workspace_id, audit_id, None, AT)
    for named in (work.by_hand, work.deleted):
        named.add("product", (str(number) for number in range(MAX_NAMED)))
    work.doubt("product", "gone", operation_id(AT, "lost"))
    work.recount.gone = {
        grant_id(AT, str(number)): GoneOfGrant(lots.randrange(10**9), Decimal(lots.randrange(10**6)), "EUR")
        for number in range(12_000)
    }
    audit = Audit(
        audit_id=audit_id, workspace_id=workspace_id, state=AuditState.RUNNING, requested_at=AT, updated_at=AT
    )
    item = _item(audit, work.to_values(), rings=True)
    packed = item["work"]["B"]
    assert len(packed) <= MAX_WORK_BYTES
    kept = Work.from_values(audit_id, json.loads(zlib.decompress(packed)))
    assert kept.recount == work.recount
    assert (kept.by_hand.overflown, kept.deleted.overflown, kept.doubts) == (True, True, [])

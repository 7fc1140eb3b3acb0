"""The audit chain: any change to it is found, and nothing personal is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from beffroi.core.audit import actions, chain, queries
from beffroi.core.audit.models import AuditEntry, AuditPersonal, AuditSeal
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("database")

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
ENTRIES = st.lists(
    st.tuples(TEXTS, TEXTS, st.dictionaries(TEXTS, st.integers(-(2**53), 2**53) | TEXTS, max_size=3)),
    min_size=1,
    max_size=12,
)


def record(actor: Actor, object_id: str = "dec_1", **values: object) -> int:
    given_values = {"verb": "test:done", "collectivite_id": None} | values
    return actions.record(actor=actor, object_id=object_id, **given_values)  # type: ignore[arg-type]


@contextmanager
def undone() -> Iterator[None]:
    """Hypothesis runs many cases in one test: each leaves the tables as it found them."""
    mark = transaction.savepoint()
    try:
        yield
    finally:
        transaction.savepoint_rollback(mark)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=ENTRIES, data=st.data())
def test_every_change_to_a_sealed_entry_is_found_where_it_is(
    system: Actor, entries: list[tuple[str, str, dict[str, str | int]]], data: st.DataObject
) -> None:
    with undone():
        for verb, object_id, details in entries:
            record(system, object_id, verb=verb, details=details)
        assert actions.seal() == len(entries)
        assert queries.verify().ok

        position = data.draw(st.integers(1, len(entries)))
        field, value = data.draw(
            st.sampled_from(
                [
                    ("verb", "forged"),
                    ("object_id", "forged"),
                    ("actor_id", "forged"),
                    ("actor_kind", "forged"),
                    ("collectivite_id", "forged"),
                    ("details", '{"forged":1}'),
                    ("personal_digest", "f" * 64),
                ]
            )
        )
        AuditEntry.objects.filter(seal__position=position).update(**{field: value})
        report = queries.verify()
        assert (report.ok, report.first_bad) == (False, position)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(2, 10), data=st.data())
def test_entry_taken_out_of_the_chain_is_found(system: Actor, count: int, data: st.DataObject) -> None:
    with undone():
        for _ in range(count):
            record(system)
        actions.seal()
        position = data.draw(st.integers(1, count - 1))
        AuditSeal.objects.filter(position=position).delete()
        assert queries.verify().first_bad == position


def test_entries_are_read_and_hashed_while_others_may_write(system: Actor) -> None:
    """A thousand in one transaction held up each decision by 150 ms."""
    record(system)
    outside, inside = len(connection.savepoint_ids), set[str]()

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        if len(connection.savepoint_ids) > outside:
            inside.add(sql.split(maxsplit=1)[0])
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        assert actions.seal() == 1
    assert inside == {"INSERT"}


def test_chain_cut_at_its_end_is_found_by_the_head_that_a_witness_kept(system: Actor) -> None:
    for _ in range(3):
        record(system)
    actions.seal()
    witnessed = queries.head()
    AuditSeal.objects.filter(position=3).delete()
    assert queries.verify().ok
    assert not queries.verify(expected_head=witnessed).ok


def test_chain_that_grew_still_holds_what_a_witness_kept(system: Actor) -> None:
    record(system)
    actions.seal()
    witnessed = queries.head()
    record(system)
    actions.seal()
    assert queries.verify(expected_head=witnessed).ok
    assert queries.verify(expected_head=chain.GENESIS).ok


def test_entry_slipped_in_among_sealed_ones_is_found(system: Actor) -> None:
    ids = [record(system) for _ in range(3)]
    AuditEntry.objects.filter(pk=ids[1]).delete()
    actions.seal()
    assert queries.verify().ok
    AuditEntry.objects.create(pk=ids[1], actor_kind="system", actor_id="x", verb="forged", object_id="x")
    assert (queries.verify().ok, queries.verify().first_bad) == (False, 2)


def test_sealing_twice_changes_nothing(system: Actor) -> None:
    record(system)
    assert actions.seal() == 1
    head = queries.head()
    assert actions.seal() == 0
    assert queries.head() == head


def test_each_sealed_entry_is_said_in_the_log_as_an_export_has_it(
    system: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        record(system, f"line\n{number}", personal={"name": "Claire Moreau"})
    with caplog.at_level("INFO", "beffroi.audit"):
        actions.seal()
        actions.seal()
    said = [one.message for one in caplog.records if one.name == "beffroi.audit"]
    head = chain.GENESIS
    for position, line in enumerate(said, 1):
        kind, hashed, at, *fields = json.loads(line)
        head = chain.link_fields(head, position, fields)
        assert (kind, hashed, at) == ("e", head, position)
        assert "\n" not in line
        assert "Claire" not in line
    assert (len(said), head) == (3, queries.verify(full=True).head)


def test_entry_not_sealed_yet_is_counted_and_does_not_break_the_chain(system: Actor) -> None:
    record(system)
    actions.seal()
    record(system)
    report = queries.verify()
    assert (report.ok, report.count, report.unsealed) == (True, 1, 1)


def test_personal_side_is_erased_and_the_chain_stays_valid(administrator: Actor, system: Actor) -> None:
    entry_id = record(system, personal={"name": "Jeanne Dupont"})
    actions.seal()
    entry = AuditEntry.objects.get(pk=entry_id)
    assert actions.personal_of(entry) == {"name": "Jeanne Dupont"}
    assert "Dupont" not in json.dumps([entry.details, entry.personal_digest])

    assert actions.erase_personal(actor=administrator, entry_id=entry_id)
    assert not actions.erase_personal(actor=administrator, entry_id=entry_id)
    assert actions.personal_of(entry) == {}
    actions.seal()
    assert queries.verify().ok


def test_changed_personal_side_is_found(system: Actor) -> None:
    entry_id = record(system, personal={"name": "Jeanne Dupont"})
    actions.seal()
    AuditPersonal.objects.filter(entry_id=entry_id).update(content='{"name":"Jean Durand"}')
    assert queries.verify().first_bad == 1


def test_equal_personal_sides_have_different_commitments(system: Actor) -> None:
    for _ in range(2):
        record(system, personal={"name": "Jeanne Dupont"})
    digests = AuditEntry.objects.values_list("personal_digest", flat=True)
    assert len(set(digests)) == 2


@pytest.mark.django_db(transaction=True)
def test_entry_outside_of_a_transaction_is_refused(system: Actor) -> None:
    with pytest.raises(Conflict):
        record(system)


def test_commune_reads_its_own_entries_through_its_referent_only(beaune, nuits, system: Actor) -> None:  # type: ignore[no-untyped-def]
    entry_id = record(system, collectivite_id=beaune.id)
    assert queries.visible_entries(beaune.referent).filter(pk=entry_id).exists()
    for actor in (nuits.referent, beaune.agent):
        assert not queries.visible_entries(actor).filter(pk=entry_id).exists()

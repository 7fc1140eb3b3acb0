"""Coffre, ways back longer than a request: drive-keeper goes on with them, or stops, and the audit log says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.registry import Event
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.drive import audited, consumers, past_actions, past_worker
from beffroi.drive.past_worker import WaysBack
from beffroi.drive.store import going_back, tree
from beffroi.drive.store.commune import open_communes
from beffroi.lib import clock
from beffroi.portal import drive_access
from django.conf import settings
from django.db import transaction
from django.test import Client

from tests.conftest import Commune
from tests.drive_pages import Drive, client, drive
from tests.drive_trees import way_to
from tests.drive_ways import ways_back
from tests.fixtures_portal import no_door, portal_client
from tests.fixtures_stream import eventually
from tests.integration.test_drive_past_pages import AGO_S, Aged, aged, lines, plain, text

__all__ = ["aged", "client", "drive", "no_door"]
pytestmark = pytest.mark.django_db


def test_a_long_way_is_shown_going_on_and_the_keeper_goes_on(
    committed: str, aged: Aged, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged.spoil_much()
    monkeypatch.setattr(past_actions, "PATIENCE_S", 0.0)
    page = plain(aged.back(client).content.decode())
    assert "la remise continue" in page and 'hx-trigger="every 2s"' in page and 'value="40"' in page
    part = client.get(f"{aged.page}?part=way", headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith("<div") and "<main" not in part
    assert "déjà en cours" in plain(aged.back(client).content.decode())
    worker = ways_back(drive_access._communes(), committed)
    while worker.step(aged.drive.collectivite_id):
        pass
    assert "Dossier remis comme il était" in text(client, aged.page)
    assert len(aged.drive.names(aged.folder)) == 254 and len(lines()) == 1


@pytest.fixture
def worker(committed: str, aged: Aged) -> Iterator[WaysBack]:
    """Running, as in drive-keeper, over metadata that it opened itself."""
    with ThreadPoolExecutor(2) as pool:
        communes = open_communes(settings.BEFFROI, pool)
        one = ways_back(communes, committed)
        yield one
        one.stop()
        communes.close()


def test_the_keeper_finds_at_its_start_what_a_crash_left(aged: Aged, worker: WaysBack) -> None:
    aged.spoil()
    with aged.drive.database.reading() as reading:
        plan = way_to(reading, aged.folder.id, aged.now_s - AGO_S + 60)
    going_back.begin(aged.drive.database, aged.drive.act, plan)
    worker.start()

    eventually(lambda: aged.way().state == "done", "put back")
    assert aged.drive.names(aged.folder) == ["Annexes", "changed.ods", "gone.ods", "kept.ods"]


def _to_elu(one: Membership, by: Actor) -> None:
    actions.change_role(actor=by, membership=one, role="elu")


def _leaves(one: Membership, by: Actor) -> None:
    actions.end_access(actor=by, membership=one)


def _ends_as_planned(one: Membership, by: Actor) -> None:
    Membership.objects.filter(pk=one.pk).update(until=clock.now())


@pytest.mark.parametrize("lose", [_to_elu, _leaves, _ends_as_planned])
def test_a_way_of_who_may_write_there_no_more_stops_where_it_is(
    committed: str,
    aged: Aged,
    client: Client,
    beaune: Commune,
    lose: Callable[[Membership, Actor], None],
) -> None:
    aged.spoil_much()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(past_actions, "PATIENCE_S", 0.0)
        aged.back(client)
    lose(beaune.agent_membership, Actor("person", beaune.referent.id, beaune.id, "referent"))
    keeper = ways_back(drive_access._communes(), committed)
    assert not keeper.step(aged.drive.collectivite_id) and not keeper.step(aged.drive.collectivite_id)
    way = aged.way()
    assert (way.state, way.why, way.done, way.total) == ("stopped", "drive.read_only", 100, 250)
    assert len(aged.drive.names(aged.folder)) == 104, "what was done stays"
    page = text(portal_client(beaune.referent_membership), aged.page)
    assert "s’est arrêtée" in page and "n’a plus le droit d’écrire dans ce dossier" in page
    assert "100 changements sur 250 sont faits." in page and f'href="{aged.page}?a={way.at_s}"' in page
    again = text(portal_client(beaune.referent_membership), f"{aged.page}?a={way.at_s}")
    assert "150 éléments reviennent de la corbeille" in again, "whoever may write goes on from there"
    (told,) = OutboxEvent.objects.filter(kind=past_worker.STOPPED)
    payload = msgspec.json.decode(told.payload)
    with transaction.atomic():
        consumers.record_stopped_way(
            Event(told.id, told.kind, told.collectivite_id, payload, told.created_at)
        )
    entry = AuditEntry.objects.get(verb="drive:folder:put_back_stopped")
    assert (entry.object_id, entry.collectivite_id) == (str(aged.folder.id), beaune.id)
    assert msgspec.json.decode(entry.details) == {"person_id": beaune.agent.id, "done": 100, "total": 250}


def _taken_away(aged: Aged) -> None:
    aged.delete(aged.folder, 0)


def _made_private(aged: Aged) -> None:
    aged.drive.database.write(
        lambda w: tree.move(w, aged.act(0), aged.folder.id, aged.drive.own.id, "Budget")
    )


@pytest.mark.parametrize(
    ("lose", "why"), [(_taken_away, "drive.absent"), (_made_private, "drive.moment_private")]
)
def test_a_way_whose_folder_lies_elsewhere_stops_and_the_audit_log_hears_of_it(
    committed: str, aged: Aged, client: Client, lose: Callable[[Aged], None], why: str
) -> None:
    aged.spoil_much()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(past_actions, "PATIENCE_S", 0.0)
        aged.back(client)
    lose(aged)
    keeper = ways_back(drive_access._communes(), committed)
    assert not keeper.step(aged.drive.collectivite_id) and not keeper.step(aged.drive.collectivite_id)
    way = aged.way()
    assert (way.state, way.why, way.done) == ("stopped", why, 100)
    (told,) = OutboxEvent.objects.filter(kind=past_worker.STOPPED)
    payload = msgspec.json.decode(told.payload)
    assert (payload["folder"], payload["person_id"]) == (aged.folder.id, way.person_id)


def test_a_way_in_somebody_s_own_files_goes_on_in_another_role_and_stops_with_the_last(
    committed: str, drive: Drive, client: Client, beaune: Commune
) -> None:
    aged = Aged(drive)
    aged.folder = aged.make("Projet", drive.own)
    aged.spoil_much()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(past_actions, "PATIENCE_S", 0.0)
        aged.back(client)
    by, keeper = (
        Actor("person", beaune.referent.id, beaune.id, "referent"),
        ways_back(drive_access._communes(), committed),
    )
    _to_elu(beaune.agent_membership, by)
    assert keeper.step(drive.collectivite_id) and aged.way().done == 200
    _leaves(beaune.agent_membership, by)
    assert not keeper.step(drive.collectivite_id)
    assert (aged.way().state, aged.way().done) == ("stopped", 200)


def test_a_way_that_was_told_and_does_not_begin_is_told_too(
    aged: Aged, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A colleague's way to an earlier moment begins between the plan and the begin."""
    aged.spoil()
    begin = going_back.begin

    def later(*said: Any) -> None:
        begin(*said)
        begin(*said)

    monkeypatch.setattr(going_back, "begin", later)
    assert "déjà en cours" in plain(aged.back(client).content.decode())
    failed = AuditEntry.objects.get(verb=audited.FAILED)
    assert (failed.object_id, failed.collectivite_id) == (str(aged.folder.id), aged.drive.collectivite_id)
    assert msgspec.json.decode(failed.details) == {
        "verb": "drive:folder:put_back",
        "code": "drive.way_under_way",
    }
    assert len(lines()) == 1, "and the entry before anything was done"

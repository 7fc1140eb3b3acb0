"""Departures in the tables, without engines: what ends, what comes back, who may; confirmed by what engines say."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import actions as identity
from beffroi.core.identity import queries as people_of
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword
from beffroi.lib import clock
from beffroi.lib.config import load
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail import doveadm, projections
from beffroi.mail.engines import layout
from beffroi.mail.filters.models import Forward
from beffroi.mail.key_pairs import KeyPair
from beffroi.mail.people import delegations, leaving
from beffroi.mail.people.models import Delegation, Departure
from beffroi.mail.scripts.models import PersonalScript

from tests.conftest import Commune
from tests.fixtures_portal import confirmed, own_mailbox, portal_client, shared_box
from tests.fixtures_projections import project
from tests.integration.test_mail_people import opened, person

pytestmark = pytest.mark.django_db


def departed(commune: Commune) -> Departure:
    """Of its agent, by its référent; nobody takes over a functional mailbox."""
    return leaving.depart(
        actor=commune.referent, collectivite=commune.collectivite, person=person(commune.agent), successors={}
    )


def test_the_projections_say_what_would_still_open(tmp_path: Path) -> None:
    config = load(tmp_path)
    asked: dict[str, Any] = {"addresses": ["a@x.test"], "app_passwords": ["apw_1"]}
    assert not projections.opens(config, **asked)
    assert not (tmp_path / "projections").exists()  # asking makes no file
    project(config)
    assert not projections.opens(config, **asked)
    projections.put_route(config, address="a@x.test")
    assert projections.opens(config, **asked) and not projections.opens(
        config, addresses=["b@x.test"], app_passwords=[]
    )
    projections.remove_mailbox(config, mailbox_id="mbx_1", address="a@x.test")
    opens = projections.Opens(["b@x.test"], "0" * 64, ["imap"])
    assert projections.put_app_passwords(config, ["apw_1"], lambda ids: dict.fromkeys(ids, opens)) == []
    assert projections.opens(config, **asked)
    assert projections.put_app_passwords(config, ["apw_1"], lambda ids: {}) == ["apw_1"]
    projections.put_mailbox_auth(config, mailbox_id="mbx_1", address="a@x.test", pair=KeyPair("k", "p"))
    assert projections.opens(config, **asked)


def test_what_was_read_before_a_revocation_is_not_written_after_it(tmp_path: Path) -> None:
    """Revocations have a thread of their own, beside that of mailboxes that open."""
    config = load(tmp_path)
    project(config)
    with ThreadPoolExecutor(1) as other:

        def read(ids: Collection[str]) -> dict[str, projections.Opens]:
            revoked.append(other.submit(projections.put_app_passwords, config, ids, lambda ids: {}))
            wait(revoked, timeout=0.5)
            return dict.fromkeys(ids, projections.Opens(["a@x.test"], "0" * 64, ["imap", "smtp"]))

        revoked: list[Future[list[str]]] = []
        projections.put_app_passwords(config, ["apw_1"], read)
        assert revoked[0].result() == ["apw_1"]
    assert projections.known(config)[1] == []
    with sqlite3.connect(layout.Paths(config.state).routes) as routes:
        assert routes.execute("SELECT count(*) FROM login").fetchone() == (0,)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Engines that say what the test tells them."""
    said: dict[str, Any] = {"opens": True, "who": [{"username": "x"}]}
    monkeypatch.setattr(projections, "opens", lambda *_, **__: said["opens"])

    class Engine:
        def __init__(self, _config: object) -> None:
            pass

        def run(self, commands: list[doveadm.Command]) -> list[Any]:
            return [said["who"] if name == "who" else [] for name, _ in commands]

    monkeypatch.setattr(leaving, "Doveadm", Engine)
    return said


def test_a_departure_ends_everything_at_once_and_gives_nobody_the_own_mailbox(
    beaune: Commune, silent: dict[str, Any]
) -> None:
    own, box = own_mailbox(beaune), shared_box(beaune, beaune.agent)
    identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap,smtp", label="x"
    )
    departure = leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=person(beaune.agent),
        successors={box.id: beaune.colleague.id},
    )
    assert people_of.current_memberships(beaune.agent.id) == []
    assert not AppPassword.objects.filter(revoked_at=None).exists()
    own.refresh_from_db()
    assert own.closed_at is not None and own.crypt_key == "-"
    assert opened(beaune.colleague) == [box.address] and opened(beaune.referent) == []
    assert json.loads(departure.ended)["app_passwords"] == 1
    # Confirmed by the engines, and not before.
    for opens, who, waits_for in (
        (True, [], "projection"),
        (False, [{"x": "y"}], "connections"),
        (False, None, "engines"),
    ):
        silent["opens"], silent["who"] = opens, who
        assert not leaving.confirm(departure)
        departure.refresh_from_db()
        assert (departure.state, departure.waits_for) == ("confirming", waits_for)
    silent["who"] = []
    assert leaving.confirm_waiting() == 1
    departure.refresh_from_db()
    assert departure.state == "confirmed" and departure.confirmed_at is not None
    assert leaving.confirm_waiting() == 0


def test_a_departure_is_undone_within_its_time(beaune: Commune) -> None:
    own, box = own_mailbox(beaune), shared_box(beaune, beaune.agent)
    departure = departed(beaune)
    with pytest.raises(NotFound):
        leaving.undo(actor=beaune.agent, departure=departure)
    leaving.undo(actor=beaune.referent, departure=departure)
    assert opened(beaune.agent) == [own.address, box.address]
    assert [one.role for one in people_of.current_memberships(beaune.agent.id)] == ["agent"]
    with pytest.raises(Conflict):
        leaving.undo(actor=beaune.referent, departure=departure)
    late = departed(beaune)
    Departure.objects.filter(pk=late.pk).update(created_at=clock.now() - timedelta(days=31))
    with pytest.raises(Conflict):
        leaving.undo(actor=beaune.referent, departure=late)


def test_an_undone_departure_gives_back_forwards_scripts_and_what_was_lent(beaune: Commune) -> None:
    own, box = own_mailbox(beaune), shared_box(beaune, beaune.agent)
    target = own_mailbox(beaune, beaune.colleague, "collegue").address
    later = clock.now() + timedelta(days=9)
    same = {"collectivite_id": beaune.id, "person_id": beaune.agent.id}
    forward, replaced, over = (
        Forward.objects.create(mailbox_id=one, target=target, expires_at=until, **same)
        for one, until in ((own.id, later), (box.id, later), ("mbx_other", clock.now()))
    )
    script = PersonalScript.objects.create(
        mailbox_id=own.id, name="tri", text="keep;", is_active=True, suspended_at=clock.now(), **same
    )
    today = clock.now().date()
    lent, replaced_too = (
        delegations.give(
            actor=beaune.agent,
            mailbox=own,
            person_id=to,
            right="read",
            first=today,
            last=today + timedelta(9),
        )
        for to in (beaune.colleague.id, beaune.referent.id)
    )
    path = f"/departs/personne/{beaune.agent.id}/"
    beforehand = confirmed(beaune.referent_membership).get(path).content.decode()
    for said in (
        "3 renvois de courrier s’arrêtent.",
        "Les règles de classement de son logiciel de courriel s’éteignent.",
        "2 délégations de boîte, données ou reçues, s’arrêtent.",
    ):
        assert said in beforehand
    departure = departed(beaune)
    for row in (forward, replaced, over, script, lent, replaced_too):
        row.refresh_from_db()
    assert forward.ended_at and replaced.ended_at and lent.ended_at and not script.is_active
    record = portal_client(beaune.referent_membership).get(f"/departs/{departure.id}/").content.decode()
    for said in (
        "3 renvois de courrier arrêtés",
        "Règles de classement de son logiciel de courriel éteintes",
        "2 délégations de boîte arrêtées",
    ):
        assert said in record
    newer = Forward.objects.create(
        mailbox_id=box.id,
        target="x@exemple.fr",
        expires_at=later,
        collectivite_id=beaune.id,
        person_id="per_x",
    )
    Delegation.objects.create(
        mailbox_id=own.id,
        collectivite_id=beaune.id,
        owner_id=beaune.agent.id,
        person_id=beaune.referent.id,
        right="answer",
        begins_at=lent.begins_at,
        ends_at=lent.ends_at,
        by=beaune.agent.id,
    )
    leaving.undo(actor=beaune.referent, departure=departure)
    for row in (forward, replaced, over, script, lent, replaced_too):
        row.refresh_from_db()
    assert forward.ended_at is None and forward.expires_at == later
    assert lent.ended_at is None and lent.ended_by == ""
    assert script.is_active and not script.in_force, "it rested before"
    assert replaced.ended_at and replaced_too.ended_at and over.ended_at
    assert Forward.objects.get(mailbox_id=box.id, ended_at=None) == newer
    given_back = AuditEntry.objects.filter(verb__endswith=":given_back")
    assert {one.actor_id for one in given_back} == {beaune.referent.id} and given_back.count() == 2


def test_of_two_departures_of_one_person_at_once_one_is_made(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PostgreSQL lets it be: the other one's transaction ended after this one had looked."""
    box = own_mailbox(beaune)
    before = people_of.memberships_in(beaune.referent, beaune.id)
    departed(beaune)
    monkeypatch.setattr(people_of, "memberships_in", lambda *_: before)
    with pytest.raises(NotFound):
        departed(beaune)
    assert Departure.objects.count() == 1
    box.refresh_from_db()
    assert box.closed_at is not None


def test_a_departure_of_another_commune_of_oneself_or_to_a_stranger_is_refused(
    beaune: Commune, nuits: Commune
) -> None:
    box = shared_box(beaune, beaune.agent)

    def depart(actor: Actor, who: Actor, heir: str = "", commune: Commune = beaune) -> None:
        leaving.depart(
            actor=actor,
            collectivite=commune.collectivite,
            person=person(who),
            successors={box.id: heir} if heir else {},
        )

    for actor, who, error in (
        (nuits.referent, beaune.agent, NotFound),
        (beaune.agent, beaune.colleague, NotAllowed),
        (beaune.referent, beaune.referent, NotAllowed),
        (beaune.referent, nuits.agent, NotFound),
    ):
        with pytest.raises(error):
            depart(actor, who)
    for heir in (nuits.agent.id, beaune.agent.id, "per_x"):
        with pytest.raises(Invalid):
            depart(beaune.referent, beaune.agent, heir)
    assert not Departure.objects.exists() and opened(beaune.agent) == [box.address]
    assert leaving.visible(nuits.referent) == [] and leaving.visible(beaune.agent) == []


@pytest.mark.parametrize("role", ["referent", "dpo"])
def test_who_was_named_by_the_departement_is_not_ended_by_a_referent(
    beaune: Commune, system: Actor, role: str
) -> None:
    box = shared_box(beaune, beaune.colleague)
    named = identity.add_membership(
        actor=system, person=person(beaune.colleague), collectivite=beaune.collectivite, role=role
    )

    def depart() -> None:
        leaving.depart(
            actor=beaune.referent,
            collectivite=beaune.collectivite,
            person=person(beaune.colleague),
            successors={box.id: beaune.referent.id},
        )

    with pytest.raises(NotAllowed):
        depart()
    with pytest.raises(NotAllowed):
        identity.end_access(actor=beaune.referent, membership=named)
    assert not Departure.objects.exists() and opened(beaune.colleague) == [box.address]
    assert len(people_of.current_memberships(beaune.colleague.id)) == 2, "nor the role of an agent beside it"
    identity.end_access(actor=system, membership=named)
    depart()
    assert not people_of.current_memberships(beaune.colleague.id)


def test_an_old_departure_is_found_behind_hundreds_of_later_ones(beaune: Commune, system: Actor) -> None:
    """After an election."""
    rows = [
        Departure(
            collectivite_id=beaune.id,
            person_id=beaune.agent.id,
            by="x",
            created_at=clock.now() - timedelta(days=20),
        )
        for _ in range(201)
    ]
    oldest = rows[0]
    oldest.created_at -= timedelta(days=1)
    Departure.objects.bulk_create(rows)
    for actor in (system, beaune.referent):
        assert leaving.access_departure(actor, oldest.id) == oldest
    with pytest.raises(NotFound):
        leaving.access_departure(beaune.agent, oldest.id)


def test_an_account_that_stays_elsewhere_stays_open_there(beaune: Commune, nuits: Commune) -> None:
    identity.add_membership(
        actor=Actor.system("tests"),
        person=person(beaune.agent),
        collectivite=nuits.collectivite,
        role="agent",
    )
    departed(beaune)
    assert [one.collectivite_id for one in people_of.current_memberships(beaune.agent.id)] == [nuits.id]

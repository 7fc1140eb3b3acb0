"""What a collectivité that left had is erased by one request with the archives' visa, its keys last."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals.actions import SamePerson
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as log
from beffroi.core.audit import queries as audit
from beffroi.core.audit.models import AuditEntry, AuditPersonal
from beffroi.core.communes import actions as communes
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.events.running import run_pending, whole
from beffroi.core.identity import actions as identity
from beffroi.core.identity import erasure as names
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person
from beffroi.drive import erasures as drive_erasures
from beffroi.drive.store import keys as drive_keys
from beffroi.incidents.models import Incident
from beffroi.leaving import applying, erasing, erasures, queries, rows
from beffroi.leaving.models import CommuneErasure, Leaving
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.envelopes import KeyUnreadable
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail import keys, projections
from beffroi.mail.backup import asking
from beffroi.mail.closing import erasures as closing
from beffroi.mail.closing.models import Erasure
from beffroi.mail.models import CommuneKey, Mailbox, MailDelivery, MailMessage
from beffroi.mail.people import leaving as leaving_mail
from beffroi.mail.people.models import Departure

from tests.conftest import Commune
from tests.drive_place import Place
from tests.fixtures_erasure import other, place, state
from tests.fixtures_leaving import (
    VISA,
    box,
    carry_out,
    exported,
    granted,
    leave,
    leaving_state,
    planned,
    two,
)
from tests.fixtures_portal import no_door, shared_box

__all__ = ["leaving_state", "no_door", "other", "place", "state", "two"]
pytestmark = pytest.mark.django_db


def test_who_just_left_another_collectivite_keeps_their_name_for_the_way_back(
    leaving_state: Config, beaune: Commune, nuits: Commune, two: tuple[Actor, Actor]
) -> None:
    system = Actor.system("tests")
    person = Person.objects.get(pk=beaune.agent.id)
    identity.add_membership(actor=system, person=person, collectivite=nuits.collectivite, role="agent")
    leaving_mail.depart(actor=system, collectivite=nuits.collectivite, person=person, successors={})
    leave(planned(beaune))
    erasure = carry_out(granted(beaune, *two))
    assert erasure.state == "done" and erasing.removed(erasure)["persons"] == 2
    person.refresh_from_db()
    assert person.name
    leaving_mail.undo(actor=system, departure=Departure.objects.get(collectivite_id=nuits.id))


@pytest.mark.usefixtures("leaving_state")
def test_the_erasure_is_asked_by_the_referent_and_granted_with_the_visa(
    beaune: Commune, nuits: Commune, administrator: Actor, system: Actor
) -> None:
    with pytest.raises(erasures.NotLeaving):
        erasures.ask(actor=beaune.referent, collectivite=beaune.collectivite, no_export=True)
    planned(beaune)
    for stranger in (beaune.agent, nuits.referent, system):
        with pytest.raises(NotFound):
            erasures.ask(actor=stranger, collectivite=beaune.collectivite, no_export=True)
    with pytest.raises(NotAllowed):  # there is a référent, whose word it is
        erasures.ask(actor=administrator, collectivite=beaune.collectivite, no_export=True)
    with pytest.raises(erasures.NotExported):
        erasures.ask(actor=beaune.referent, collectivite=beaune.collectivite)
    made = erasures.ask(actor=beaune.referent, collectivite=beaune.collectivite, no_export=True)
    with pytest.raises(Conflict):
        erasures.ask(actor=beaune.referent, collectivite=beaune.collectivite, no_export=True)
    assert queries.waiting(administrator) == 1 and queries.waiting(beaune.referent) == 0
    assert queries.erasure_of(nuits.referent, beaune.id) is None
    with pytest.raises(NotFound):
        erasures.call_back(actor=nuits.referent, erasure=made)
    for person in (beaune.referent, nuits.referent, system):
        with pytest.raises(NotAllowed):
            erasures.grant(actor=person, erasure=made, visa=VISA, no_export=True)
        with pytest.raises(NotAllowed):
            erasures.refuse(actor=person, erasure=made, reason="non")
    for visa in ("", "ab", "x" * 121, "\x00\x01\x02"):
        with pytest.raises(Invalid):
            erasures.grant(actor=administrator, erasure=made, visa=visa, no_export=True)
    with pytest.raises(erasures.NotExported):
        erasures.grant(actor=administrator, erasure=made, visa=VISA)
    exported(beaune)
    erasures.grant(actor=administrator, erasure=made, visa=f"  {VISA} ")
    made.refresh_from_db()
    assert made.visa == VISA and made.due_at is not None and made.due_at > clock.now() + timedelta(hours=23)
    erasures.call_back(actor=beaune.referent, erasure=made)
    assert Approval.objects.get(pk=made.approval_id).state == "refused"
    again = erasures.ask(actor=beaune.referent, collectivite=beaune.collectivite)
    erasures.refuse(actor=administrator, erasure=again, reason="Les registres manquent")
    third = erasures.ask(actor=beaune.referent, collectivite=beaune.collectivite)
    Approval.objects.filter(pk=third.approval_id).update(expires_at=clock.now())
    approvals.expire_due()
    run_pending("main")
    third.refresh_from_db()
    assert third.state == "withdrawn", "nobody answered"


def test_without_a_referent_two_administrators_decide(
    leaving_state: Config, beaune: Commune, administrator: Actor, other: Actor
) -> None:
    leave(planned(beaune))
    made = erasures.ask(actor=administrator, collectivite=beaune.collectivite, no_export=True)
    with pytest.raises(SamePerson):
        erasures.grant(actor=administrator, erasure=made, visa=VISA, no_export=True)
    erasures.grant(actor=other, erasure=made, visa=VISA, no_export=True)
    made.refresh_from_db()
    assert (made.asked_by, made.granted_by, made.granted_name) == (administrator.id, other.id, "Béa")


def test_an_open_incident_keeps_everything(
    leaving_state: Config, beaune: Commune, administrator: Actor, other: Actor
) -> None:
    mailbox = box(beaune, "agent", beaune.agent.id)
    made = leave(planned(beaune))
    asked = erasures.ask(actor=administrator, collectivite=beaune.collectivite, no_export=True)
    incident = Incident.objects.create(
        collectivite_id=beaune.id,
        kind="suspect_machine",
        subject="x",
        severity="high",
        occurred_at=clock.now(),
    )
    with pytest.raises(erasures.CommuneHeld):
        erasures.grant(actor=other, erasure=asked, visa=VISA, no_export=True)
    erasures.call_back(actor=other, erasure=asked)
    with pytest.raises(erasures.CommuneHeld):
        erasures.ask(actor=administrator, collectivite=beaune.collectivite, no_export=True)
    Incident.objects.update(state="closed", closed_at=clock.now())
    erasure = granted(beaune, administrator, other)
    Incident.objects.update(state="open")
    carry_out(erasure)
    mailbox.refresh_from_db()
    assert (erasure.state, erasure.waits_for) == ("granted", "incident") and mailbox.crypt_key
    Incident.objects.update(state="closed")
    assert carry_out(erasure).state == "done"
    assert Incident.objects.filter(pk=incident.id).exists(), "the register of breaches stays"
    made.refresh_from_db()
    with pytest.raises(Conflict):
        applying.give_back(actor=administrator, leaving=made)


def test_everything_is_destroyed_keys_last_and_the_neighbour_is_untouched(
    leaving_state: Config,
    place: Place,
    beaune: Commune,
    nuits: Commune,
    administrator: Actor,
) -> None:
    own, kept = box(beaune, "agent", beaune.agent.id), box(nuits, "agent", nuits.agent.id)
    shared_box(beaune, beaune.agent)
    place.put("Budget.txt", b"secret")
    identity.add_membership(
        actor=Actor.system("tests"),
        person=Person.objects.get(pk=beaune.colleague.id),
        collectivite=nuits.collectivite,
        role="agent",
    )
    exported(beaune)
    for commune in (beaune, nuits):
        log.record(
            actor=commune.agent,
            verb="mail:forward:begun",
            object_id="fwd_1",
            collectivite_id=commune.id,
            personal={"target": "claire@prive.fr"},
        )
    fingerprint = keys.fingerprint(leaving_state, beaune.id)
    assert len(fingerprint) == 32 and fingerprint != keys.fingerprint(leaving_state, nuits.id)
    planned(beaune)
    erasure = erasures.ask(actor=beaune.referent, collectivite=beaune.collectivite)
    erasures.grant(actor=administrator, erasure=erasure, visa=VISA)
    carry_out(erasure)
    own.refresh_from_db()
    assert (erasure.state, erasure.waits_for) == ("granted", "leaving") and own.crypt_key, "it is there yet"
    leave(Leaving.objects.get())
    carry_out(erasure)

    assert erasure.state == "done" and erasure.done_at is not None
    found = erasing.removed(erasure)
    assert {one["address"] for one in found["mailboxes"]} == {"agent@beaune.test", "mairie@beaune.test"}
    assert all(one["mails"] == 3 and one["visa"] == VISA for one in found["mailboxes"])
    assert found["drive"]["entries"] >= 1 and found["drive"]["keys"]
    assert found["exports"][0]["manifest_sha256"] == "cd" * 32 and found["domains"] == [beaune.domain]
    assert found["persons"] == 2 and found["key"] == fingerprint and found["rows"]["mail_mailbox"] == 2
    # Nothing of it opens, and no new key comes in the place of the old one.
    assert CommuneKey.objects.get(pk=beaune.id).wrapped == ""
    with pytest.raises(KeyUnreadable):
        keys.commune_key(leaving_state, beaune.id)
    assert drive_keys.certificate(leaving_state, beaune.id) is not None
    assert not [table for table, left in rows.left(beaune.id) if left.exists()]
    named = dict(Person.objects.values_list("id", "name"))
    assert named[beaune.agent.id] == named[beaune.referent.id] == ""
    assert named[beaune.colleague.id], "who serves Nuits, too"
    assert erasure.asked_name, "the certificate says who asked"
    backup = json.loads((leaving_state.state / "backup-rows" / "rows.json").read_text())
    assert {one["collectivite_id"]: bool(one["wrapped"]) for one in backup["mail_commune_key"]} == {
        beaune.id: False,
        nuits.id: True,
    }
    # The neighbour.
    kept.refresh_from_db()
    assert kept.closed_at is None and keys.commune_key(leaving_state, nuits.id)
    assert Person.objects.get(pk=nuits.agent.id).name
    assert list(Domain.objects.values_list("name", flat=True)) == [nuits.domain]
    assert audit.verify().ok
    told = AuditPersonal.objects.exclude(entry__collectivite_id=None)
    told_of = set(told.values_list("entry__collectivite_id", "entry__verb"))
    assert told_of == {(beaune.id, "communes:leaving:planned"), (nuits.id, "mail:forward:begun")}
    verbs = AuditEntry.objects.filter(object_id=erasure.id).order_by("id").values_list("verb", flat=True)
    assert [one.removeprefix("communes:erasure:") for one in verbs] == [
        "asked", "granted", "begun", "mailboxes_destroyed", "drive_destroyed", "rows_destroyed",
        "persons_destroyed", "done",
    ]  # fmt: skip
    # Its name and code are free again.
    communes.add_domain(actor=administrator, collectivite=nuits.collectivite, name=beaune.domain)


@pytest.mark.parametrize("where", ["mailboxes", "drive", "rows", "persons", "keys"])
@pytest.mark.usefixtures("leaving_state")
def test_a_cut_anywhere_is_gone_on_with_and_loses_no_number(
    place: Place, beaune: Commune, two: tuple[Actor, Actor], where: str, monkeypatch: Any
) -> None:
    box(beaune, "agent", beaune.agent.id)
    place.put("Budget.txt", b"secret")
    leave(planned(beaune))
    erasure = granted(beaune, *two)
    inside: dict[str, tuple[Any, str]] = {
        "mailboxes": (closing, "granted_with_all"),
        "drive": (drive_erasures, "erase_with_all"),
        "rows": (rows, "erase"),
        "persons": (names, "erase"),
        "keys": (keys, "destroy"),
    }
    module, name = inside[where]
    real, calls = getattr(module, name), list[int]()

    def cut(*given: Any, **named: Any) -> Any:
        calls.append(1)
        found = real(*given, **named)
        if len(calls) == 1:
            if isinstance(found, Generator):
                whole(found)
            raise OSError("cut")
        return found

    monkeypatch.setattr(module, name, cut)
    carry_out(erasure)
    found = erasing.removed(erasure)
    assert erasure.state == "done" and len(calls) > 1
    assert len(found["mailboxes"]) == 1 and found["drive"]["entries"] == 1 and found["persons"] == 3
    assert len(found["key"]) == 32 and found["rows"]["mail_mailbox"] == 1
    verbs = list(AuditEntry.objects.filter(object_id=erasure.id).values_list("verb", flat=True))
    assert len(verbs) == len(set(verbs)), "each step is said once"


def test_other_work_of_worker_has_its_turn_after_each_portion_of_rows_and_each_name(
    leaving_state: Config, beaune: Commune, two: tuple[Actor, Actor], monkeypatch: Any
) -> None:
    for number in range(5):
        box(beaune, f"boite{number}")
    leave(planned(beaune))
    erasure = granted(beaune, *two)
    carry_out(erasure, turns=1)  # mailboxes are its child's
    monkeypatch.setattr(rows, "BATCH", 1)
    CommuneErasure.objects.filter(pk=erasure.pk).update(next_run_at=clock.now())
    left = [sum(found.count() for _, found in rows.left(beaune.id)), -1]
    steps, names_left = erasing.work(), rows.only_there(beaune.id).count()
    assert left[0] > 5 and names_left > 1
    for _ in steps:
        left[1:] = [sum(found.count() for _, found in rows.left(beaune.id))]
        assert left[0] - left[1] <= 2, "a row and what hung on it"
        left[0] = left[1]
        now = rows.only_there(beaune.id).count()
        assert names_left - now <= 1
        names_left = now
    assert (left[0], names_left) == (0, 0)


def test_a_transaction_takes_no_more_rows_than_a_decision_may_wait_for(
    leaving_state: Config, beaune: Commune, two: tuple[Actor, Actor]
) -> None:
    """Mail hangs on mail: 500 copies with their messages and recipients held SQLite's write lock for 165 ms."""
    own = box(beaune, "agent", beaune.agent.id)
    leave(planned(beaune))
    erasure = granted(beaune, *two)
    carry_out(erasure, turns=1)  # mailboxes are its child's
    now = clock.now()
    messages = [
        MailMessage(
            id=f"msg_{number:04d}" + "5" * 22,
            received_at=now,
            message_id="a@b",
            message_id_hash="0" * 64,
            sender="x@y.example",
            client_ip="192.0.2.1",
            helo="y",
            verdict="{}",
        )
        for number in range(250)
    ]
    MailMessage.objects.bulk_create(messages)
    copies = [
        MailDelivery(message_id=one.id, mailbox_id=own.id, collectivite_id=beaune.id, delivered_at=now)
        for one in messages
    ]
    MailDelivery.objects.bulk_create(copies)
    CommuneErasure.objects.filter(pk=erasure.pk).update(next_run_at=clock.now())
    left = [MailDelivery.objects.count()]
    for _ in erasing.work():
        left.append(MailDelivery.objects.count())
    assert left[0] == 250 and left[-1] == 0
    assert max(before - after for before, after in pairwise(left)) <= 100


def test_the_certificate_is_made_when_the_backups_have_forgotten_the_key(
    leaving_state: Config, beaune: Commune, two: tuple[Actor, Actor], monkeypatch: Any
) -> None:
    box(beaune, "agent", beaune.agent.id)
    fingerprint = keys.fingerprint(leaving_state, beaune.id)
    leave(planned(beaune))
    erasure = granted(beaune, *two)
    asked, is_busy = list[str](), [True]

    def ask(config: Config, verb: str, **what: Any) -> dict[str, Any]:
        asked.append(verb)
        if verb == "forget_keys" and is_busy[0]:
            raise asking.BackupRefused("A backup is under way")
        return {}

    monkeypatch.setattr(asking, "ask", ask)
    carry_out(erasure)
    assert (erasure.state, erasure.stage, erasure.waits_for) == ("erasing", "keys", "backup")
    assert CommuneKey.objects.get(pk=beaune.id).wrapped == "", "destroyed it is all the same"
    is_busy[0] = False
    assert carry_out(erasure).state == "done" and asked[-1] == "forget_keys"
    assert erasing.removed(erasure)["key"] == fingerprint
    assert AuditEntry.objects.filter(verb="communes:erasure:done").count() == 1


def test_a_database_from_before_is_erased_again(
    leaving_state: Config, beaune: Commune, nuits: Commune, two: tuple[Actor, Actor]
) -> None:
    """What comes back with a restore: key, mailboxes, an access. Others are let alone."""
    box(beaune, "agent", beaune.agent.id)
    kept = box(nuits, "agent", nuits.agent.id)
    before = CommuneKey.objects.get(pk=beaune.id).wrapped
    assert whole(erasing.again()) == 0
    leave(planned(beaune))
    assert carry_out(granted(beaune, *two)).state == "done" and whole(erasing.again()) == 0
    CommuneKey.objects.filter(pk=beaune.id).update(wrapped=before)
    Collectivite.objects.filter(pk=beaune.id).update(left_at=None, enrolled_at=clock.now())
    back = box(beaune, "agent", beaune.agent.id)
    projections.put_route(leaving_state, address=back.address)
    Membership.objects.filter(pk=beaune.agent_membership.pk).update(until=None)
    assert whole(erasing.again()) == 1 and whole(erasing.again()) == 0
    with pytest.raises(KeyUnreadable):
        keys.commune_key(leaving_state, beaune.id)
    assert not Mailbox.objects.filter(collectivite_id=beaune.id).exists()
    assert not projections.has_route(leaving_state, address=back.address)
    assert Collectivite.objects.get(pk=beaune.id).left_at is not None
    assert not Membership.objects.filter(collectivite_id=beaune.id, until=None).exists()
    kept.refresh_from_db()
    assert kept.crypt_key and keys.commune_key(leaving_state, nuits.id)


def test_a_request_for_one_mailbox_goes_by_the_one_for_all(
    leaving_state: Config, beaune: Commune, administrator: Actor, other: Actor
) -> None:
    mailbox = box(beaune, "parti")
    Mailbox.objects.update(closed_at=clock.now() - timedelta(days=40))
    alone = closing.ask(actor=beaune.referent, mailbox=mailbox)
    leave(planned(beaune))
    erasure = granted(beaune, administrator, other)
    carry_out(erasure, turns=1)
    alone.refresh_from_db()
    assert (alone.state, alone.visa, alone.approval_id) == ("done", VISA, erasure.approval_id)
    assert Erasure.objects.count() == 1
    assert carry_out(erasure).state == "done"


def test_every_table_that_names_a_collectivite_is_erased_or_kept_with_a_reason() -> None:
    named = set(rows.named()) | {"collectivite"}
    erased, kept = set(rows.ERASED), set(rows.KEPT)
    assert not erased & kept and len(erased) == len(rows.ERASED)
    assert named - erased - kept == set(), "think of the new table"
    assert (erased | kept) - named <= {"decision"}, "no such table any more"
    assert CommuneErasure._meta.db_table in kept

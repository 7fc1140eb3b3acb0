"""A collectivité leaves: its day is said and taken back; then nobody comes in, mail is refused, others keep theirs;
then all of it is erased by one request, its keys last."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from beffroi.boxes.models import Box
from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals.actions import SamePerson
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import queries as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes import actions as communes
from beffroi.core.communes import queries as communes_of
from beffroi.core.communes.actions import CollectiviteLeft
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.events import run_pending
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import actions as identity
from beffroi.core.identity import erasure as names
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, Membership, Person
from beffroi.drive import erasures as drive_erasures
from beffroi.drive import leaving as drive_leaving
from beffroi.drive.store import keys as drive_keys
from beffroi.drive.store import shares
from beffroi.drive.store.model import Act
from beffroi.drive.store.shares import Wish
from beffroi.incidents.models import Incident
from beffroi.leaving import actions, applying, erasing, erasures, queries, rows
from beffroi.leaving.models import CommuneErasure, Leaving
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.envelopes import KeyUnreadable
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound, Unavailable
from beffroi.mail import actions as mail
from beffroi.mail import consumers as mail_consumers
from beffroi.mail import keys, projections
from beffroi.mail.aliases import actions as aliases
from beffroi.mail.aliases import consumers as alias_consumers
from beffroi.mail.aliases import queries as alias_queries
from beffroi.mail.aliases.models import Alias
from beffroi.mail.closing import erasures as closing
from beffroi.mail.closing.models import Erasure
from beffroi.mail.held import posting
from beffroi.mail.models import CommuneKey, Mailbox
from beffroi.mail.people import leaving as leaving_mail
from beffroi.mail.people.models import Departure
from beffroi.portal import consumers, leaving_told

from tests.conftest import Commune
from tests.drive_place import Place
from tests.fixtures_erasure import other, place, state
from tests.fixtures_leaving import (
    VISA,
    WISH,
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


def test_the_referent_or_the_departement_says_the_day_and_takes_it_back(
    beaune: Commune, nuits: Commune, administrator: Actor, system: Actor
) -> None:
    tomorrow = queries.today() + timedelta(days=1)
    for stranger in (beaune.agent, nuits.referent, nuits.agent, system):
        with pytest.raises(NotFound):
            actions.plan(actor=stranger, collectivite=beaune.collectivite, leaves_on=tomorrow, reason=WISH)
    for day, reason in (
        (queries.today(), WISH),
        (queries.today() + timedelta(days=1200), WISH),
        (tomorrow, " "),
        (tomorrow, "x" * 501),
        (tomorrow, "a\x00b"),
    ):
        with pytest.raises(Invalid):
            actions.plan(
                actor=beaune.referent, collectivite=beaune.collectivite, leaves_on=day, reason=reason
            )
    made = planned(beaune)
    with pytest.raises(Conflict):
        planned(beaune, administrator)
    assert queries.leaving_of(nuits.referent, beaune.id) is None
    assert queries.leaving_of(beaune.agent, beaune.id) is None, "the référent's to see"
    with pytest.raises(NotFound):
        actions.take_back(actor=nuits.referent, leaving=made)
    asked = erasures.ask(actor=beaune.referent, collectivite=beaune.collectivite, no_export=True)
    actions.take_back(actor=administrator, leaving=made)
    asked.refresh_from_db()
    assert asked.state == "withdrawn", "an erasure of who stays"
    assert Approval.objects.get(pk=asked.approval_id).state == "refused"
    with pytest.raises(Conflict):
        actions.take_back(actor=administrator, leaving=planned(beaune) and made)
    said = AuditEntry.objects.get(verb="communes:leaving:planned", object_id=made.id)
    assert audit.verify().ok and WISH in str(said.personal.content), "why, where it can be erased"


def test_from_its_day_on_nobody_comes_in_and_who_works_elsewhere_too_keeps_that(
    leaving_state: Config, beaune: Commune, nuits: Commune, administrator: Actor, system: Actor
) -> None:
    own = box(beaune, "agent", beaune.agent.id)
    shared = shared_box(beaune, beaune.agent)
    alias = aliases.create(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        address="contact@beaune.test",
        mailboxes=[shared.id],
    )
    both = identity.add_membership(
        actor=system,
        person=Person.objects.get(pk=beaune.colleague.id),
        collectivite=nuits.collectivite,
        role="agent",
    )
    phone = identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap,smtp"
    )
    machine = Box.objects.create(
        collectivite_id=beaune.id, serial="B1", public_key="k", fingerprint="f", state=Box.State.ACTIVE
    )
    neighbour = box(nuits, "agent", nuits.agent.id)
    for name in (beaune.domain, nuits.domain):
        projections.put_route(leaving_state, address=f"agent@{name}")
    made = planned(beaune)
    assert applying.apply_due() == 0, "its day has not come"
    leave(made)

    owner = Collectivite.objects.get(pk=beaune.id)
    assert owner.left_at is not None and owner.enrolled_at is None and made.applied_at is not None
    assert not Membership.objects.filter(collectivite_id=beaune.id, until=None).exists()
    people = Person.objects.in_bulk([beaune.agent.id, beaune.referent.id, beaune.colleague.id])
    assert not people[beaune.agent.id].is_active and not people[beaune.referent.id].is_active
    assert people[beaune.colleague.id].is_active, "they serve Nuits as well"
    both.refresh_from_db()
    assert both.until is None
    assert AppPassword.objects.get(pk=phone.record.id).revoked_at is not None
    for one in (own, shared):
        one.refresh_from_db()
        assert one.closed_at is not None and one.crypt_key, "closed, and kept"
    assert Alias.objects.get(pk=alias.id).ended_at is not None
    machine.refresh_from_db()
    assert machine.state == "revoked"
    neighbour.refresh_from_db()
    assert neighbour.closed_at is None and communes_of.collectivite_of_domain(nuits.domain) == nuits.id

    # The engines: its domain is nobody's, so that colleagues of Nuits write to where it is now.
    mail_consumers.put_owners()
    alias_consumers.put()
    assert communes_of.collectivite_of_domain(beaune.domain) is None
    assert not any(one.endswith(beaune.domain) for one in alias_queries.routes().reserved)
    with sqlite3.connect(leaving_state.state / "projections" / "routes.sqlite") as routes:
        assert routes.execute("SELECT name FROM domain").fetchall() == [(nuits.domain,)]
        assert routes.execute("SELECT domain FROM owner").fetchall() == [(nuits.domain,)]

    # Nothing new begins there.
    with pytest.raises(CollectiviteLeft):
        identity.add_membership(
            actor=administrator,
            person=people[beaune.agent.id],
            collectivite=beaune.collectivite,
            role="agent",
        )
    with pytest.raises(CollectiviteLeft):
        communes.add_domain(actor=administrator, collectivite=owner, name="autre.test")
    with pytest.raises(CollectiviteLeft):
        mail.reopen_mailbox(actor=administrator, mailbox=shared)
    with pytest.raises(Invalid):
        mail.provision_mailbox(actor=administrator, collectivite=owner, address=f"neuf@{beaune.domain}")
    assert applying.apply_due() == 0
    verbs = list(AuditEntry.objects.filter(object_id=made.id).order_by("id").values_list("verb", flat=True))
    assert verbs == [f"communes:leaving:{one}" for one in ("planned", "begun", "done")]


def test_a_day_that_was_cut_is_gone_on_with(leaving_state: Config, beaune: Commune, monkeypatch: Any) -> None:
    shared = shared_box(beaune)
    made = planned(beaune)
    Leaving.objects.update(leaves_on=queries.today())

    def away(owner: str) -> int:
        raise Unavailable("the drive")

    with monkeypatch.context() as cut:
        cut.setattr(drive_leaving, "end_outside", away)
        assert applying.apply_due() == 0
    made.refresh_from_db()
    assert made.state == "left" and made.applied_at is None
    with pytest.raises(applying.StillEnding):
        applying.give_back(actor=Actor("administrator", "adm_x"), leaving=made)
    assert applying.apply_due() == 1
    made.refresh_from_db()
    assert made.applied_at is not None
    assert json.loads(made.undo)["mailboxes"] == [shared.id], "what the first turn closed comes back, too"


def test_the_departement_takes_a_departure_back_within_thirty_days(
    leaving_state: Config, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    own, shared = box(beaune, "agent", beaune.agent.id), shared_box(beaune, beaune.agent)
    alias = aliases.create(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        address="contact@beaune.test",
        mailboxes=[shared.id],
    )
    enrolled = Collectivite.objects.get(pk=beaune.id).enrolled_at
    made = leave(planned(beaune))
    for stranger in (beaune.referent, nuits.referent):
        with pytest.raises(NotAllowed):
            applying.give_back(actor=stranger, leaving=made)
    with pytest.raises(Conflict):
        actions.take_back(actor=administrator, leaving=made)
    with clock.shifted(31 * 86400), pytest.raises(Conflict):
        applying.give_back(actor=administrator, leaving=made)
    applying.give_back(actor=administrator, leaving=made)
    owner = Collectivite.objects.get(pk=beaune.id)
    assert owner.left_at is None and owner.enrolled_at == enrolled
    for one in (own, shared):
        one.refresh_from_db()
        assert one.closed_at is None
    assert Alias.objects.get(pk=alias.id).ended_at is None
    now = Membership.objects.filter(collectivite_id=beaune.id, until=None)
    assert set(now.values_list("person_id", "role")) == {
        (beaune.agent.id, "agent"),
        (beaune.colleague.id, "agent"),
        (beaune.referent.id, "referent"),
    }
    assert Person.objects.get(pk=beaune.referent.id).is_active
    assert not Departure.objects.exclude(state="undone").exists()
    assert communes_of.collectivite_of_domain(beaune.domain) == beaune.id
    with pytest.raises(Conflict):
        applying.give_back(actor=administrator, leaving=made)


def test_who_was_erased_meanwhile_does_not_keep_the_others_from_coming_back(
    leaving_state: Config, beaune: Commune, administrator: Actor
) -> None:
    made = leave(planned(beaune))
    names.erase(Person.objects.get(pk=beaune.agent.id))
    applying.give_back(actor=administrator, leaving=made)
    now = Membership.objects.filter(collectivite_id=beaune.id, until=None)
    assert set(now.values_list("person_id", flat=True)) == {beaune.colleague.id, beaune.referent.id}


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


def test_links_and_shares_with_others_end_either_way_and_those_of_others_stay(
    leaving_state: Config, place: Place, beaune: Commune, nuits: Commune
) -> None:
    there = Place(leaving_state, place.communes, place.bodies, place.work, nuits.id)
    ours, theirs = place.put("a", b"a"), there.put("b", b"b")
    act = Act("per_x", "", clock.epoch_s())
    far = clock.epoch_s() + 86400

    def made(where: Place, node: Any, wish: Wish) -> str:
        found = where.communes.metadata(where.owner).write(
            lambda writing: shares.make(writing, act, node.id, wish)
        )
        return str(found[0].id)

    link = made(place, ours, Wish("link", expires_s=far))
    out = made(place, ours, Wish("collectivite", nuits.id))
    into = made(there, theirs, Wish("collectivite", beaune.id))
    kept = made(there, theirs, Wish("link", expires_s=far))
    leave(planned(beaune))

    def open_at(where: Place) -> set[str]:
        with where.communes.metadata(where.owner).reading() as reading:
            return {one.id for one in shares.all_open(reading, now_s=clock.epoch_s())}

    assert open_at(place) == set() and open_at(there) == {kept}
    told = AuditEntry.objects.filter(verb="drive:share:ended").values_list("object_id", "collectivite_id")
    assert set(told) == {
        (link, beaune.id),
        *((one, owner) for one in (out, into) for owner in (beaune.id, nuits.id)),
    }


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


def test_a_database_from_before_is_erased_again(
    leaving_state: Config, beaune: Commune, nuits: Commune, two: tuple[Actor, Actor]
) -> None:
    """What comes back with a restore: key, mailboxes, an access. Others are let alone."""
    box(beaune, "agent", beaune.agent.id)
    kept = box(nuits, "agent", nuits.agent.id)
    before = CommuneKey.objects.get(pk=beaune.id).wrapped
    assert erasing.again() == 0
    leave(planned(beaune))
    assert carry_out(granted(beaune, *two)).state == "done" and erasing.again() == 0
    CommuneKey.objects.filter(pk=beaune.id).update(wrapped=before)
    Collectivite.objects.filter(pk=beaune.id).update(left_at=None, enrolled_at=clock.now())
    back = box(beaune, "agent", beaune.agent.id)
    projections.put_route(leaving_state, address=back.address)
    Membership.objects.filter(pk=beaune.agent_membership.pk).update(until=None)
    assert erasing.again() == 1 and erasing.again() == 0
    with pytest.raises(KeyUnreadable):
        keys.commune_key(leaving_state, beaune.id)
    assert not Mailbox.objects.filter(collectivite_id=beaune.id).exists()
    assert not projections.has_route(leaving_state, address=back.address)
    assert Collectivite.objects.get(pk=beaune.id).left_at is not None
    assert not Membership.objects.filter(collectivite_id=beaune.id, until=None).exists()
    kept.refresh_from_db()
    assert kept.crypt_key and keys.commune_key(leaving_state, nuits.id)


def test_who_leads_hears_of_it_by_mail(
    leaving_state: Config, beaune: Commune, administrator: Actor, monkeypatch: Any
) -> None:
    box(beaune, "referent", beaune.referent.id)
    box(beaune, "agent", beaune.agent.id)
    sent: list[tuple[str, str, str]] = []

    def send(config: Config, *, to: str, subject: str, text: str, html: str) -> bool:
        sent.append((to, subject, text))
        return True

    monkeypatch.setattr(posting, "send", send)
    made = planned(beaune, administrator)
    for _ in range(2):
        leaving_told.ask(made.id)
        consumers.send_notices()
    assert len(sent) == 1
    (to, subject, text) = sent[0]
    assert to == "referent@beaune.test" and "quitte le Département le" in subject
    assert WISH in text and "/collectivite/depart/" in text
    actions.take_back(actor=administrator, leaving=made)
    leaving_told.ask(made.id)
    consumers.send_notices()
    assert len(sent) == 2 and sent[-1][1] == "La collectivité reste"
    assert OutboxEvent.objects.filter(kind=actions.CHANGED).count() == 2


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

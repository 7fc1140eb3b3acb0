"""A collectivité leaves: its day is said and taken back; then nobody comes in, mail is refused, others keep theirs."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from beffroi.boxes.models import Box
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import queries as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes import actions as communes
from beffroi.core.communes import queries as communes_of
from beffroi.core.communes.actions import CollectiviteLeft
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions.models import ENDS_AT_ONCE, SCOPE_ALL, IndicatorList
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import whole
from beffroi.core.identity import actions as identity
from beffroi.core.identity import erasure as names
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, Membership, Person
from beffroi.drive import leaving as drive_leaving
from beffroi.drive.store import shares
from beffroi.drive.store.model import Act
from beffroi.drive.store.shares import Wish
from beffroi.leaving import actions, applying, erasures, queries
from beffroi.leaving.models import Leaving
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound, Unavailable
from beffroi.mail import actions as mail
from beffroi.mail import consumers as mail_consumers
from beffroi.mail import projections
from beffroi.mail.aliases import actions as aliases
from beffroi.mail.aliases import consumers as alias_consumers
from beffroi.mail.aliases import queries as alias_queries
from beffroi.mail.aliases.models import Alias
from beffroi.mail.held import posting
from beffroi.mail.models import Mailbox
from beffroi.mail.people import leaving as departures
from beffroi.mail.people.models import Departure
from beffroi.portal import consumers, leaving_told

from tests.conftest import Commune
from tests.drive_place import Place
from tests.fixtures_erasure import other, place, state
from tests.fixtures_leaving import (
    WISH,
    box,
    leave,
    leaving_state,
    planned,
    two,
)
from tests.fixtures_lists import publish as publish_list
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
    for name, scope in (("own", beaune.id), ("theirs", nuits.id), ("everybody", SCOPE_ALL)):
        publish_list(name, "45.83.64.7", scope=scope)
    for name in (beaune.domain, nuits.domain):
        projections.put_route(leaving_state, address=f"agent@{name}")
    made = planned(beaune)
    assert whole(applying.apply_due()) == 0, "its day has not come"
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
    assert set(IndicatorList.objects.values_list("name", flat=True)) == {"theirs", "everybody"}
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
        publish_list("own", "45.83.64.7", scope=beaune.id)
    with pytest.raises(CollectiviteLeft):
        mail.reopen_mailbox(actor=administrator, mailbox=shared)
    with pytest.raises(Invalid):
        mail.provision_mailbox(actor=administrator, collectivite=owner, address=f"neuf@{beaune.domain}")
    assert whole(applying.apply_due()) == 0
    verbs = list(AuditEntry.objects.filter(object_id=made.id).order_by("id").values_list("verb", flat=True))
    assert verbs == [f"communes:leaving:{one}" for one in ("planned", "begun", "done")]


def test_people_leave_one_after_another_and_a_kill_may_come_between_them(
    leaving_state: Config, beaune: Commune
) -> None:
    made = planned(beaune)
    Leaving.objects.filter(pk=made.pk).update(leaves_on=queries.today())
    there = Membership.objects.filter(collectivite_id=beaune.id, until=None)
    before = there.count()
    killed = applying.apply_due()
    for left in range(1, before):
        next(killed)
        assert there.count() == before - left
    killed.close()
    assert whole(applying.apply_due()) == 1
    assert not there.exists() and Departure.objects.filter(collectivite_id=beaune.id).count() == before


def test_hundreds_of_functional_mailboxes_close_a_few_at_a_time_and_all_come_back(
    leaving_state: Config, beaune: Commune, administrator: Actor
) -> None:
    """Each is 5 ms in which no decision is made."""
    several = [shared_box(beaune, local=f"service-{number}") for number in range(ENDS_AT_ONCE + 2)]
    for number in range(ENDS_AT_ONCE + 2):
        aliases.create(
            actor=beaune.referent,
            collectivite=beaune.collectivite,
            address=f"alias-{number}@{beaune.domain}",
            mailboxes=[several[0].id],
        )
    made = planned(beaune)
    Leaving.objects.filter(pk=made.pk).update(leaves_on=queries.today())
    closed, ended = [0], [0]
    for _ in applying.apply_due():
        closed.append(
            Mailbox.objects.filter(pk__in=[one.id for one in several]).exclude(closed_at=None).count()
        )
        ended.append(Alias.objects.exclude(ended_at=None).count())
    for counts in (closed, ended):
        assert max(after - before for before, after in pairwise(counts)) == ENDS_AT_ONCE
    made.refresh_from_db()
    applying.give_back(actor=administrator, leaving=made)
    assert not Alias.objects.exclude(ended_at=None).exists()
    assert not Mailbox.objects.filter(pk__in=[one.id for one in several]).exclude(closed_at=None).exists()


def test_a_day_that_was_cut_is_gone_on_with(leaving_state: Config, beaune: Commune, monkeypatch: Any) -> None:
    shared = shared_box(beaune)
    made = planned(beaune)
    Leaving.objects.update(leaves_on=queries.today())

    def away(owner: str) -> int:
        raise Unavailable("the drive")

    with monkeypatch.context() as cut:
        cut.setattr(drive_leaving, "end_outside", away)
        assert whole(applying.apply_due()) == 0
    made.refresh_from_db()
    assert made.state == "left" and made.applied_at is None
    with pytest.raises(actions.StillEnding):
        applying.give_back(actor=Actor("administrator", "adm_x"), leaving=made)
    assert whole(applying.apply_due()) == 1
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


def test_who_left_by_a_clock_that_was_set_back_since_the_mark_comes_back_too(
    leaving_state: Config, beaune: Commune, administrator: Actor, monkeypatch: Any
) -> None:
    own = box(beaune, "agent", beaune.agent.id)
    made = planned(beaune)
    Leaving.objects.update(leaves_on=queries.today())

    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("the database")

    with monkeypatch.context() as cut, clock.jumped(86400):
        cut.setattr(departures, "depart", away)
        assert whole(applying.apply_due()) == 0, "cut after the mark"
    assert whole(applying.apply_due()) == 1
    made.refresh_from_db()
    applying.give_back(actor=administrator, leaving=made)
    now = Membership.objects.filter(collectivite_id=beaune.id, until=None)
    assert set(now.values_list("person_id", flat=True)) == {
        beaune.agent.id,
        beaune.colleague.id,
        beaune.referent.id,
    }
    own.refresh_from_db()
    assert own.closed_at is None


def test_who_was_erased_meanwhile_does_not_keep_the_others_from_coming_back(
    leaving_state: Config, beaune: Commune, administrator: Actor
) -> None:
    made = leave(planned(beaune))
    names.erase(Person.objects.get(pk=beaune.agent.id))
    applying.give_back(actor=administrator, leaving=made)
    now = Membership.objects.filter(collectivite_id=beaune.id, until=None)
    assert set(now.values_list("person_id", flat=True)) == {beaune.colleague.id, beaune.referent.id}


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

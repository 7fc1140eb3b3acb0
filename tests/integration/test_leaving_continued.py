"""Communes merge: mail for the addresses of the one that leaves goes to the one that continues it, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.audit import queries as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes import actions as communes
from beffroi.core.communes import queries as communes_of
from beffroi.core.communes.models import Domain
from beffroi.core.events.running import whole
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.leaving import applying, continuing, erasing, queries
from beffroi.leaving.models import Leaving
from beffroi.lib import clock, ids
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, Unavailable
from beffroi.mail import actions as mail
from beffroi.mail import consumers as mail_consumers
from beffroi.mail import projections
from beffroi.mail.aliases import actions as aliases
from beffroi.mail.aliases import consumers as alias_consumers
from beffroi.mail.aliases import queries as alias_queries
from beffroi.mail.aliases.errors import AddressTaken
from beffroi.mail.aliases.models import Alias
from beffroi.mail.domains import actions as domains
from beffroi.mail.domains import queries as domains_of
from beffroi.mail.domains.models import DkimKey, MailDomain
from beffroi.mail.filters.models import Forward
from beffroi.mail.models import CommuneKey, Mailbox, MailMessage, MailRecipient
from beffroi.mail.people import leaving as departures
from django.conf import settings
from django.db import transaction

from tests.conftest import Commune
from tests.drive_place import Place
from tests.fixtures_erasure import other, place, state
from tests.fixtures_leaving import box, carry_out, granted, leave, leaving_state, planned, two
from tests.fixtures_portal import no_door, shared_box

__all__ = ["leaving_state", "no_door", "other", "place", "state", "two"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("leaving_state")]
ACT = "Arrêté préfectoral du 3 octobre"
SYSTEM = Actor.system("tests")


@pytest.fixture
def hall(nuits: Commune) -> Mailbox:
    """Of the commune that continues: where mail of the town hall goes."""
    return shared_box(nuits, nuits.agent)


def alias(owner: Commune, address: str, *boxes: Mailbox) -> Alias:
    return aliases.create(
        actor=owner.referent,
        collectivite=owner.collectivite,
        address=address,
        mailboxes=[one.id for one in boxes],
    )


def targets(address: str, owner: Commune) -> list[str]:
    """Where mail for an address goes by an alias of this commune that is in force."""
    rows = Alias.objects.filter(address=address, collectivite_id=owner.id, ended_at=None)
    return [box.address for one in alias_queries.led(rows) for box in one.open_]


def begun(commune: Commune, hall: Mailbox, administrator: Actor) -> Leaving:
    made = planned(commune, administrator)
    continuing.begin(actor=administrator, leaving=made, address=hall.address, reason=ACT)
    made.refresh_from_db()
    return made


def both(commune: Commune, into: Commune, system: Actor) -> Mailbox:
    """The colleague of the one that leaves works for the other, too; their mailbox there."""
    identity.add_membership(
        actor=system,
        person=Person.objects.get(pk=commune.colleague.id),
        collectivite=into.collectivite,
        role="agent",
    )
    return box(into, "collegue", commune.colleague.id)


def test_from_its_day_on_each_address_leads_to_the_one_that_continues(  # noqa: PLR0917
    leaving_state: Config,
    beaune: Commune,
    nuits: Commune,
    hall: Mailbox,
    administrator: Actor,
    system: Actor,
) -> None:
    there = both(beaune, nuits, system)
    own, colleague = box(beaune, "agent", beaune.agent.id), box(beaune, "collegue", beaune.colleague.id)
    shared = shared_box(beaune, beaune.agent)
    for local, boxes in (("contact", [shared]), ("tous", [own, colleague])):
        alias(beaune, f"{local}@beaune.test", *boxes)
    back = Forward.objects.create(
        mailbox_id=there.id,
        collectivite_id=nuits.id,
        person_id=beaune.colleague.id,
        target="collegue@beaune.test",
        expires_at=clock.now() + timedelta(days=30),
    )
    projections.put_route(leaving_state, address=shared.address)
    projections.put_route(leaving_state, address=hall.address)
    made = begun(beaune, hall, administrator)
    assert communes_of.collectivite_of_domain("beaune.test") == beaune.id, "not before its day"
    assert targets("mairie@beaune.test", nuits) == []
    leave(made)

    assert communes_of.collectivite_of_domain("beaune.test") == nuits.id
    assert targets("mairie@beaune.test", nuits) == [hall.address]
    assert targets("contact@beaune.test", nuits) == [hall.address]
    assert targets("collegue@beaune.test", nuits) == [there.address], "who works there, too"
    assert targets("tous@beaune.test", nuits) == [there.address]
    assert targets("agent@beaune.test", nuits) == [], "as after any departure"
    back.refresh_from_db()
    assert back.ended_at is not None, "mail would turn in a circle"
    for one in (own, colleague, shared):
        one.refresh_from_db()
        assert one.collectivite_id == beaune.id and one.closed_at is not None and one.crypt_key

    mail_consumers.put_owners()
    alias_consumers.put()
    projections.remove_mailbox(leaving_state, mailbox_id=shared.id, address=shared.address)
    with sqlite3.connect(leaving_state.state / "projections" / "routes.sqlite") as routes:
        owners = dict(routes.execute("SELECT domain, collectivite_id FROM owner"))
        known = {one for (one,) in routes.execute("SELECT name FROM domain")}
        reserved = {one for (one,) in routes.execute("SELECT address FROM reserved")}
    assert owners["beaune.test"] == nuits.id and "beaune.test" in known
    assert reserved == {"agent@beaune.test"}, (
        "closed ones that nobody continues, and no address with an alias"
    )

    # Later its référent says where the rest goes.
    alias(nuits, "agent@beaune.test", hall)
    assert targets("agent@beaune.test", nuits) == [hall.address]
    former = Alias.objects.get(address="contact@beaune.test", collectivite_id=beaune.id)
    with pytest.raises(AddressTaken):
        aliases.restore(actor=administrator, alias=former)
    for owner in (beaune.id, nuits.id):
        verbs = AuditEntry.objects.filter(object_id=made.id, collectivite_id=owner).order_by("id")
        said = [one.removeprefix("communes:leaving:") for one in verbs.values_list("verb", flat=True)]
        assert [one for one in said if "contin" in one or "carried" in one] == ["continued", "carried_on"]
    counted = json.loads(AuditEntry.objects.filter(verb="communes:leaving:carried_on").latest("id").details)
    assert (counted["domains"], counted["addresses"], counted["refused"]) == (1, 4, 1)
    assert audit.verify().ok


def test_a_domain_without_a_mailbox_of_its_own_is_known_to_postfix(
    leaving_state: Config, nuits: Commune, hall: Mailbox, administrator: Actor
) -> None:
    communes.add_domain(actor=administrator, collectivite=nuits.collectivite, name="nuits-mairie.test")
    alias(nuits, "accueil@nuits-mairie.test", hall)
    alias_consumers.put()
    with sqlite3.connect(leaving_state.state / "projections" / "routes.sqlite") as routes:
        assert ("nuits-mairie.test",) in routes.execute("SELECT name FROM domain").fetchall()


def test_it_can_be_said_after_the_day_and_what_signs_goes_on(
    beaune: Commune, nuits: Commune, hall: Mailbox, administrator: Actor
) -> None:
    shared = shared_box(beaune, beaune.agent)
    domain = Domain.objects.get(name="beaune.test")
    domains.ensure_keys(actor=SYSTEM, domain=domain)
    domains.choose(actor=administrator, domain=domain, dmarc="quarantine", sts="none")
    active = DkimKey.objects.get(domain_id=domain.id, state="active")
    private = domains_of.private_key(settings.BEFFROI, active)
    made = leave(planned(beaune))
    assert communes_of.collectivite_of_domain("beaune.test") is None
    continuing.begin(actor=administrator, leaving=made, address=hall.address.upper(), reason=ACT)
    assert targets(shared.address, nuits) == [hall.address]
    active.refresh_from_db()
    assert active.collectivite_id == nuits.id
    assert domains_of.private_key(settings.BEFFROI, active) == private
    assert MailDomain.objects.get(pk=domain.id).collectivite_id == nuits.id
    with pytest.raises(Conflict):
        continuing.begin(actor=administrator, leaving=made, address=hall.address, reason=ACT)


def test_who_was_closed_by_a_clock_that_was_set_back_since_the_mark_is_carried_on_too(
    beaune: Commune, nuits: Commune, hall: Mailbox, administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, own = shared_box(beaune, beaune.agent), box(beaune, "collegue", beaune.colleague.id)
    there = both(beaune, nuits, SYSTEM)
    before = box(beaune, "ancien")
    mail.close_mailbox(actor=beaune.referent, mailbox=before)
    made = planned(beaune)
    Leaving.objects.update(leaves_on=queries.today())

    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("the database")

    with monkeypatch.context() as cut, clock.jumped(86400):
        cut.setattr(departures, "depart", away)
        assert whole(applying.apply_due()) == 0, "cut after the mark"
    assert whole(applying.apply_due()) == 1
    made.refresh_from_db()
    continuing.begin(actor=administrator, leaving=made, address=hall.address, reason=ACT)
    assert targets(shared.address, nuits) == [hall.address]
    assert targets(own.address, nuits) == [there.address]
    assert not targets(before.address, nuits), "it was closed long before"


def test_a_departure_that_is_taken_back_takes_its_domain_along(
    beaune: Commune, nuits: Commune, hall: Mailbox, administrator: Actor
) -> None:
    shared = shared_box(beaune, beaune.agent)
    contact = alias(beaune, "contact@beaune.test", shared)
    made = leave(begun(beaune, hall, administrator))
    new = mail.provision_mailbox(
        actor=administrator, collectivite=nuits.collectivite, address="annexe@beaune.test"
    )
    with pytest.raises(continuing.MailboxesThere, match=r"annexe@beaune\.test"):
        applying.give_back(actor=administrator, leaving=made)
    mail.close_mailbox(actor=administrator, mailbox=new)
    applying.give_back(actor=administrator, leaving=made)
    assert communes_of.collectivite_of_domain("beaune.test") == beaune.id
    assert not Alias.objects.filter(collectivite_id=nuits.id, ended_at=None).exists()
    contact.refresh_from_db()
    shared.refresh_from_db()
    assert contact.ended_at is None and shared.closed_at is None
    assert not {contact.address, shared.address} & set(alias_queries.routes().reserved)
    made.refresh_from_db()
    assert continuing.continued(made) is None

    again = leave(begun(beaune, hall, administrator))
    assert targets("contact@beaune.test", nuits) == [hall.address], "aliases of the first time"
    continuing.end(actor=administrator, leaving=again)
    assert communes_of.collectivite_of_domain("beaune.test") is None, "it has left all the same"


def test_only_an_administrator_says_who_continues_and_only_a_shared_mailbox_elsewhere_receives(
    beaune: Commune, nuits: Commune, hall: Mailbox, administrator: Actor, system: Actor
) -> None:
    made, own, person = planned(beaune), shared_box(beaune), box(nuits, "agent", nuits.agent.id)
    for stranger in (beaune.referent, nuits.referent, nuits.agent, system):
        with pytest.raises(NotAllowed):
            continuing.begin(actor=stranger, leaving=made, address=hall.address, reason=ACT)
        with pytest.raises(NotAllowed):
            continuing.end(actor=stranger, leaving=made)
    for wrong in (own.address, person.address, "personne@nuits.test", ""):
        with pytest.raises(continuing.ReceiverInvalid):
            continuing.begin(actor=administrator, leaving=made, address=wrong, reason=ACT)
    with pytest.raises(Invalid):
        continuing.begin(actor=administrator, leaving=made, address=hall.address, reason=" ")
    domain = Domain.objects.get(name="beaune.test")
    with pytest.raises(Conflict):
        communes.pass_domain(actor=administrator, domain=domain, to=nuits.collectivite)
    for stranger in (beaune.referent, nuits.referent):
        with pytest.raises(NotAllowed):
            communes.pass_domain(actor=stranger, domain=domain, to=nuits.collectivite)
    continuing.begin(actor=administrator, leaving=made, address=hall.address, reason=ACT)
    continuing.end(actor=administrator, leaving=made)
    leave(made)
    assert communes_of.collectivite_of_domain("beaune.test") is None


def test_who_should_continue_and_left_first_keeps_nothing_from_leaving(
    beaune: Commune, nuits: Commune, hall: Mailbox, administrator: Actor
) -> None:
    shared_box(beaune, beaune.agent)
    made = begun(beaune, hall, administrator)
    leave(planned(nuits))
    leave(made)
    assert communes_of.collectivite_of_domain("beaune.test") is None
    assert not Alias.objects.exists()


def test_its_erasure_leaves_domain_and_mail_of_the_one_that_continues(  # noqa: PLR0917
    place: Place,
    beaune: Commune,
    nuits: Commune,
    hall: Mailbox,
    administrator: Actor,
    two: tuple[Actor, Actor],
) -> None:
    shared, at = box(beaune, "mairie"), clock.now()
    made = leave(begun(beaune, hall, administrator))

    def message(when: Any, *, sender: str = "a@x.example", to: str = "") -> str:
        found = MailMessage.objects.create(
            id=ids.new_id("msg"), received_at=when, message_id="<1>", message_id_hash="", sender=sender,
            client_ip="", helo="", verdict="{}",
        )  # fmt: skip
        if to:
            MailRecipient.objects.create(message_id=found.id, address=to)
        return found.id

    before, after = at - timedelta(days=1), clock.now() + timedelta(seconds=1)
    gone = [message(before, to=shared.address), message(before, sender=shared.address)]
    kept = [message(after, to=shared.address), message(after, sender=shared.address)]
    erasure = carry_out(granted(beaune, *two))
    assert erasure.state == "done", (erasure.stage, erasure.waits_for)
    assert communes_of.collectivite_of_domain("beaune.test") == nuits.id
    assert targets("mairie@beaune.test", nuits) == [hall.address]
    assert not Mailbox.objects.filter(pk=shared.pk).exists()
    assert not MailMessage.objects.filter(pk__in=gone).exists()
    assert not MailRecipient.objects.filter(message_id__in=gone).exists()
    assert set(MailMessage.objects.filter(pk__in=kept).values_list("pk", flat=True)) == set(kept)
    assert MailRecipient.objects.filter(message_id=kept[0]).exists()
    with pytest.raises(Conflict):
        continuing.end(actor=administrator, leaving=made)


@pytest.mark.parametrize("of", ["before it was recorded", "recorded", "its day", "continued"])
def test_a_database_from_before_keeps_the_mail_of_the_one_that_continues(  # noqa: PLR0917
    beaune: Commune,
    nuits: Commune,
    hall: Mailbox,
    administrator: Actor,
    two: tuple[Actor, Actor],
    system: Actor,
    of: str,
) -> None:
    """After the erasure each older database is put right: the domain is the other's, with what signs for it."""
    there = both(beaune, nuits, system)
    box(beaune, "collegue", beaune.colleague.id)
    shared = shared_box(beaune, beaune.agent)
    domain = Domain.objects.get(name="beaune.test")
    domains.ensure_keys(actor=SYSTEM, domain=domain)
    active = DkimKey.objects.get(domain_id=domain.id, state="active")
    private = domains_of.private_key(settings.BEFFROI, active)
    alias(beaune, "contact@beaune.test", shared)
    backups = {"before it was recorded": transaction.savepoint()}
    made = planned(beaune)
    backups["recorded"] = transaction.savepoint()
    leave(made)
    backups["its day"] = transaction.savepoint()
    continuing.begin(actor=administrator, leaving=made, address=hall.address, reason=ACT)
    backups["continued"] = transaction.savepoint()
    assert carry_out(granted(beaune, *two)).state == "done"
    wrapped_today = DkimKey.objects.get(pk=active.pk).wrapped

    transaction.savepoint_rollback(backups[of])
    # What is wrapped by a collectivité's key comes back as it is today.
    CommuneKey.objects.filter(pk=beaune.id).update(wrapped="")
    DkimKey.objects.filter(pk=active.pk).update(wrapped=wrapped_today)
    assert whole(erasing.again()) == 1 and whole(erasing.again()) == 0
    assert communes_of.collectivite_of_domain("beaune.test") == nuits.id
    assert targets("mairie@beaune.test", nuits) == [hall.address]
    assert targets("contact@beaune.test", nuits) == [hall.address]
    assert targets("collegue@beaune.test", nuits) == [there.address]
    active.refresh_from_db()
    assert domains_of.private_key(settings.BEFFROI, active) == private
    assert not Mailbox.objects.filter(collectivite_id=beaune.id).exists()
    assert not Alias.objects.filter(collectivite_id=beaune.id).exists()
    whole(applying.apply_due())
    again = Leaving.objects.get(collectivite_id=beaune.id)
    assert again.state == "left" and again.applied_at is not None
    with pytest.raises(Conflict):
        applying.give_back(actor=administrator, leaving=again)
    with pytest.raises(Conflict):
        continuing.end(actor=administrator, leaving=again)


def test_a_database_from_before_two_mergers_leads_to_the_last_one(  # noqa: PLR0917
    beaune: Commune,
    nuits: Commune,
    hall: Mailbox,
    administrator: Actor,
    two: tuple[Actor, Actor],
    make_commune: Callable[..., Commune],
) -> None:
    """Beaune went to Nuits, then Nuits to Chagny."""
    third = make_commune("Chagny", "chagny.test")
    last = shared_box(third, third.agent)
    box(beaune, "mairie")
    backup = transaction.savepoint()
    for one, into in ((beaune, hall), (nuits, last)):
        leave(begun(one, into, administrator))
        assert carry_out(granted(one, *two)).state == "done"
    transaction.savepoint_rollback(backup)
    assert whole(erasing.again()) == 2
    for domain in ("beaune.test", "nuits.test"):
        assert communes_of.collectivite_of_domain(domain) == third.id
        assert targets(f"mairie@{domain}", third) == [last.address]


def test_the_one_that_continues_takes_the_code_of_the_one_that_left(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    code = communes_of.current_code(beaune.id, "insee") or "21054"
    communes.rename(actor=administrator, collectivite=beaune.collectivite, name="Beaune", insee=code)

    def merge() -> bool:
        return communes.rename(
            actor=administrator, collectivite=nuits.collectivite, name="Beaune-Nuits", insee=code
        )

    with pytest.raises(communes.CodeInUse):
        merge()
    leave(planned(beaune))
    assert merge()
    assert communes_of.current_code(nuits.id, "insee") == code
    assert communes_of.current_code(beaune.id, "insee") == ""

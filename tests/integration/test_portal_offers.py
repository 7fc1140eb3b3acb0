"""Somebody who works elsewhere is asked, and nobody learns by asking who has an account."""

from __future__ import annotations

from datetime import timedelta

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import erasure, offers, queries
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, MembershipOffer
from beffroi.core.identity.retention import membership_offers
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail.models import Mailbox
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_portal import confirmed, no_door, portal, portal_client

__all__ = ["no_door", "portal"]
pytestmark = pytest.mark.usefixtures("database")
AT_NUITS = "agent@nuits.test"


def ask(commune: Commune, email: str = AT_NUITS, role: str = "agent") -> MembershipOffer:
    return offers.make(actor=commune.referent, collectivite=commune.collectivite, email=email, role=role)


def test_a_person_is_asked_at_home_and_joins_with_their_own_word(beaune: Commune, nuits: Commune) -> None:
    referent, person = confirmed(beaune.referent_membership), portal_client(nuits.agent_membership)
    form = {"what": "offer", "email": AT_NUITS.upper(), "role": "elu"}
    sent = referent.post(reverse("person_new"), form, follow=True).content.decode()
    assert "Demande envoyée" in sent and AT_NUITS in sent
    assert not queries.belongs(nuits.agent.id, beaune.id)
    assert "Beaune vous ajoute comme élu" in person.get(reverse("home")).content.decode()
    offer = MembershipOffer.objects.get()
    assert "Beaune" in person.get(reverse("membership_offers")).content.decode()
    answer = {"offer": offer.pk, "word": "accept"}
    joined = person.post(reverse("membership_offers"), answer, follow=True).content.decode()
    assert "aussi pour Beaune" in joined and "vous ajoute" not in joined
    assert Membership.objects.get(person_id=nuits.agent.id, collectivite=beaune.collectivite).role == "elu"
    listed = referent.get(reverse("persons")).content.decode()
    assert AT_NUITS in listed and "Demandes envoyées" not in listed
    accepted = AuditEntry.objects.get(verb="identity:offer:accepted")
    assert (accepted.actor_id, accepted.collectivite_id) == (nuits.agent.id, beaune.id)
    assert person.post(reverse("membership_offers"), answer).status_code == 404, "answered once"


def test_asking_says_nothing_of_accounts_and_refusals_to_the_commune(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    refused, unknown = ask(beaune), ask(beaune, "personne@ailleurs.example")
    offers.answer(actor=nuits.agent, offer_id=refused.pk, accept=False)
    assert {one.state for one in offers.sent(beaune.referent, beaune.id)} == {"sent"}
    seen = {one.offer.pk: one.state for one in offers.sent(administrator, beaune.id)}
    assert seen == {refused.pk: "refused", unknown.pk: "no_account"}
    page = confirmed(beaune.referent_membership).get(reverse("persons")).content.decode()
    assert "Refusée" not in page and "Aucun compte" not in page
    said = [
        confirmed(beaune.referent_membership).post(
            reverse("person_new"), {"what": "offer", "email": email, "role": "agent"}
        )
        for email in ("collegue@nuits.test", "nul@nuits.test")
    ]
    assert {(one.status_code, one["Location"]) for one in said} == {(302, reverse("persons"))}
    home = portal_client(nuits.agent_membership).get(reverse("home")).content.decode()
    assert "vous ajoute" not in home, "who refused is not asked again"
    assert offers.answer(actor=nuits.agent, offer_id=refused.pk, accept=True) == "Beaune"


def test_an_offer_is_answered_by_whom_it_names_until_it_is_over(beaune: Commune, nuits: Commune) -> None:
    offer = ask(beaune)
    for stranger in (nuits.colleague, nuits.referent, beaune.agent, beaune.referent):
        with pytest.raises(NotFound):
            offers.answer(actor=stranger, offer_id=offer.pk, accept=True)
    with pytest.raises(NotFound):
        offers.withdraw(actor=nuits.referent, collectivite_id=nuits.id, offer_id=offer.pk)
    with pytest.raises(NotFound):
        offers.sent(nuits.referent, beaune.id)
    with clock.shifted(int(timedelta(days=30, seconds=1).total_seconds())):
        with pytest.raises(NotFound):
            offers.answer(actor=nuits.agent, offer_id=offer.pk, accept=True)
        assert membership_offers(clock.now()).count() == 1
    client = portal_client(beaune.referent_membership)
    assert client.post(reverse("persons"), {"offer": offer.pk}).status_code == 302
    assert offers.asked(nuits.agent) == []
    with pytest.raises(NotFound):
        offers.answer(actor=nuits.agent, offer_id=offer.pk, accept=True)


def test_what_cannot_be_asked(beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("referent", "dpo"):
        with pytest.raises(NotAllowed):
            ask(beaune, role=role)
    for email in ("", "pas une adresse", "a\x00@nuits.test"):
        with pytest.raises(Invalid):
            ask(beaune, email)
    with pytest.raises(Conflict):
        ask(beaune, "agent@beaune.test")
    with pytest.raises(NotAllowed):
        offers.make(actor=beaune.agent, collectivite=beaune.collectivite, email=AT_NUITS, role="agent")
    ask(beaune)
    with pytest.raises(Conflict):
        ask(beaune)
    monkeypatch.setattr(offers, "MAX_WAITING", 1)
    with pytest.raises(Conflict):
        ask(beaune, "collegue@nuits.test")
    assert ask(nuits, "agent@beaune.test").pk
    answer = confirmed(beaune.referent_membership).post(
        reverse("person_new"), {"what": "offer", "email": "x", "role": "agent"}
    )
    assert answer.status_code == 400 and "adresse entière" in answer.content.decode()


def test_the_erasure_of_a_person_takes_the_questions_along(
    beaune: Commune, nuits: Commune, system: Actor
) -> None:
    ask(beaune)
    erasure.erase(nuits.agent_membership.person)
    assert not MembershipOffer.objects.exists()


def test_who_joined_from_elsewhere_is_given_a_mailbox_of_their_own(beaune: Commune, nuits: Commune) -> None:
    """Else nothing that is written to them personally could arrive there, as after two communes merged."""
    offers.answer(actor=nuits.agent, offer_id=ask(beaune).pk, accept=True)
    referent, url = confirmed(beaune.referent_membership), reverse("person", args=[nuits.agent.id])
    assert "pas de boîte à elle" in referent.get(url).content.decode()
    wanted = {"what": "mailbox", "local": "camille", "domain": beaune.domain}
    for wrong, said in (
        ({"local": "Chloé"}, "chloe"),
        ({"local": "referent"}, "referent2"),
        ({"local": ""}, "lettres"),
        ({"domain": nuits.domain}, "nom de domaine"),
    ):
        refused = referent.post(url, wanted | wrong)
        assert refused.status_code in (400, 409) and said in refused.content.decode(), wrong
    for stranger, status in (
        (beaune.agent_membership, 404),
        (nuits.agent_membership, 404),
        (nuits.referent_membership, 400),  # a colleague there, and a domain of somebody else
    ):
        assert confirmed(stranger).post(url, wanted).status_code == status
    assert not Mailbox.objects.filter(person_id=nuits.agent.id).exists()
    given = referent.post(url, wanted, follow=True).content.decode()
    assert "camille@beaune.test est sa boîte" in given and "Lui donner" not in given
    made = Mailbox.objects.get(person_id=nuits.agent.id)
    assert (made.address, made.collectivite_id) == ("camille@beaune.test", beaune.id)
    assert made.crypt_key
    assert referent.post(url, wanted | {"local": "autre"}).status_code == 409, "one is enough"

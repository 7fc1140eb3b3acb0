"""Communes merge: what the console shows of it, and whom a mail tells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from beffroi.core.communes import queries as communes_of
from beffroi.core.events import Event
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.leaving import applying, continuing
from beffroi.leaving.actions import CHANGED
from beffroi.leaving.models import Leaving
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import actions as mail
from beffroi.mail.held import posting
from beffroi.mail.models import Mailbox
from beffroi.portal import consumers, continued_told, words
from beffroi.portal.console import leaving as console_page
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_erasure import other, place, state
from tests.fixtures_leaving import box, leave, leaving_state, planned, two
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client, shared_box
from tests.integration.test_leaving_continued import ACT, both, hall

__all__ = ["hall", "leaving_state", "no_door", "other", "place", "state", "two"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("leaving_state")]


def test_the_console_names_who_continues_and_shows_where_each_address_leads(  # noqa: PLR0917
    beaune: Commune,
    nuits: Commune,
    hall: Mailbox,
    administrator: Actor,
    system: Actor,
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(console_page, "step_up", lambda request, actor: "")
    there = both(beaune, nuits, system)
    box(beaune, "collegue", beaune.colleague.id)
    box(beaune, "agent", beaune.agent.id)
    shared_box(beaune, beaune.agent)
    made = planned(beaune)
    url = reverse("commune_leaving", urlconf="beffroi.portal.urls_console", args=[beaune.id])
    wanted = {"word": "continue", "receiver": hall.address, "act": ACT}
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "Faire suivre son courrier" in client.get(url).content.decode()
        for wrong, said in (
            (wanted | {"receiver": there.address}, "boîte de service d’une autre collectivité"),
            (wanted | {"act": " "}, "Dites quel acte"),
        ):
            refused = client.post(url, wrong)
            assert refused.status_code == 400 and said in refused.content.decode()
        assert client.post(url, wanted).status_code == 302
        shown = client.get(url).content.decode()
        for said in (
            f"collegue@beaune.test → {there.address}",
            f"mairie@beaune.test → {hall.address}",
            "<li>agent@beaune.test</li>",
            "passera à Nuits",
            ACT,
            f"Enregistrée le {words.exact(made.created_at)}, par referent, personne référente",
        ):
            assert said in shown, said
    own = portal_client(beaune.referent_membership).get(reverse("departure_of_all")).content.decode()
    assert "le nom de domaine passe à Nuits" in own and there.address not in own
    leave(Leaving.objects.get())
    mail.provision_mailbox(actor=administrator, collectivite=nuits.collectivite, address="annexe@beaune.test")
    with on_listener("console"):
        assert "est à Nuits" in client.get(url).content.decode()
        for word in ("discontinue", "give_back"):
            refused = client.post(url, {"word": word})
            assert refused.status_code == 400 and "annexe@beaune.test" in refused.content.decode()
        mail.close_mailbox(actor=administrator, mailbox=Mailbox.objects.get(address="annexe@beaune.test"))
        assert client.post(url, {"word": "discontinue"}).status_code == 302
        assert "Faire suivre son courrier" in client.get(url).content.decode()
    assert communes_of.collectivite_of_domain("beaune.test") is None


def test_who_leads_the_one_that_continues_hears_of_it_by_mail(
    beaune: Commune, nuits: Commune, hall: Mailbox, administrator: Actor, monkeypatch: Any
) -> None:
    """When it is recorded, in the last week, on the day, and that it does not come; the rest of the commune nothing."""
    box(nuits, "referent", nuits.referent.id)
    for local, person in (("referent", beaune.referent), ("agent", beaune.agent)):
        box(beaune, local, person.id)
    sent: list[tuple[str, str, str, str]] = []
    heard: list[int] = []

    def send(config: Config, *, to: str, subject: str, text: str, html: str) -> bool:
        sent.append((to, subject, text, html))
        return True

    monkeypatch.setattr(posting, "send", send)

    def told() -> list[tuple[str, str, str]]:
        """What the one that continues got since."""
        sent.clear()
        for row in OutboxEvent.objects.filter(kind=CHANGED).exclude(pk__in=heard).order_by("id"):
            heard.append(row.pk)
            payload = json.loads(row.payload)
            consumers.tell_of_leaving(Event(row.id, row.kind, row.collectivite_id, payload, row.created_at))
        continued_told.ask_due()
        consumers.send_notices()
        return [one[1:] for one in sent if one[0] == "referent@nuits.test"]

    made = planned(beaune, administrator, days=30)
    assert told() == []
    continuing.begin(actor=administrator, leaving=made, address=hall.address, reason=ACT)
    ((subject, text, html),) = told()
    assert subject.startswith("Le courrier de Beaune viendra chez vous le ")
    for said in (
        ACT,
        hall.address,
        "2 adresses de personnes n’ont pas",
        reverse("shared_mailboxes"),
        reverse("persons"),
    ):
        assert said in text and said in html, said
    assert "agent@beaune.test" not in text, "its own until the day"
    assert told() == []
    with clock.shifted(24 * 86400):
        ((subject, again, _html),) = told()
        assert subject.startswith("Le courrier de Beaune viendra chez vous le ") and again == text
        assert told() == [], "once"

    continuing.end(actor=administrator, leaving=made)
    ((subject, text, _html),) = told()
    assert subject == "Le courrier de Beaune ne vient pas chez vous" and "rien à faire" in text
    continuing.begin(actor=administrator, leaving=made, address=hall.address, reason=ACT)
    assert len(told()) == 1, "and again"
    leave(made)
    ((subject, text, html),) = told()
    assert subject == "Le courrier de Beaune arrive chez vous depuis aujourd’hui"
    for said in ("2 adresses de personnes sans boîte chez vous sont refusées", reverse("aliases")):
        assert said in text and said in html, said
    applying.give_back(actor=administrator, leaving=made)
    assert [one[0] for one in told()] == ["Le courrier de Beaune ne vient pas chez vous"]

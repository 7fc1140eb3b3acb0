"""The links of one held mail in a digest: over the sign-in to one button, and nothing by opening them."""

from __future__ import annotations

import html
import re
from datetime import datetime
from urllib.parse import urlencode

import pytest
from beffroi.lib import clock
from beffroi.mail import reader
from beffroi.mail.held import due, links, posting
from beffroi.mail.held.models import HeldMail, SenderRule
from beffroi.mail.models import Mailbox
from beffroi.portal import held_digest
from django.conf import settings
from django.core import signing
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_held import SENDER, decide, hold
from tests.fixtures_portal import no_door, own_mailbox, portal_client

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def box(beaune: Commune) -> Mailbox:
    return own_mailbox(beaune)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=clock.PLACE)


def path_of(row: HeldMail, box: Mailbox, act: str = "liberer") -> str:
    return f"/retenus/lien/{act}/?l={links.make_for(row, box)}"


def test_a_program_that_opens_every_link_of_a_digest_releases_and_blocks_nothing(
    beaune: Commune, box: Mailbox
) -> None:
    hold(box)
    [one] = due.due(at("2026-11-24 08:00"))
    found = re.findall(r"https://localhost:8443(/\S+)", held_digest.words_of(one)[1])
    assert [path.split("?")[0] for path in found] == [
        "/retenus/lien/liberer/",
        "/retenus/lien/bloquer/",
        "/retenus/",
        "/retenus/liste/",
    ]
    for client in (Client(), portal_client(beaune.agent_membership)):
        for path in found:
            client.get(path)
            client.head(path)
            assert client.post(path).status_code in (302, 405)
    assert HeldMail.objects.get().state == "held" and not SenderRule.objects.exists()


def test_a_mail_s_link_leads_over_the_sign_in_to_one_button_for_this_mail(
    beaune: Commune, box: Mailbox
) -> None:
    row, other = hold(box), hold(box, subject="Un autre")
    for act, button, state in (("liberer", "liberer", "released"), ("bloquer", "bloquer", "blocked")):
        path = path_of(row, box, act)
        answer = Client().get(path)
        shown = answer.content.decode()
        assert answer.status_code == 200 and "fournitures" in shown and "Rien n’est encore fait" in shown
        for hidden in (SENDER, "Discount", box.address, "<form method", "Un autre"):
            assert hidden not in shown.split("<main")[1].split("</main")[0]
        assert answer["Referrer-Policy"] == "same-origin" and "no-store" in answer["Cache-Control"]
        assert f"?{urlencode({'next': path})}" in html.unescape(shown), "the sign-in leads back to it"
        client = portal_client(beaune.agent_membership)
        inside = client.get(path).content.decode().split("<main")[1].split("</main")[0]
        assert SENDER in inside and "usurpé" in inside and inside.count("<button") == 1
        assert f'action="/retenus/{row.id}/{button}/"' in inside and "csrfmiddlewaretoken" in inside
        assert HeldMail.objects.get(pk=row.pk).seen_at is not None
        done = client.post(f"/retenus/{row.id}/{button}/", follow=True).content.decode()
        assert f"/retenus/{row.id}/annuler/" in done
        assert HeldMail.objects.get(pk=row.pk).state == state
        assert client.get(path)["Location"] == f"/retenus/?fait={row.id}", (
            "pressed again: what was done, with undo"
        )
        assert "n’est plus retenu" in Client().get(path).content.decode()
        client.post(f"/retenus/{row.id}/annuler/")
    assert HeldMail.objects.get(pk=other.pk).state == "held"


def test_the_button_behind_a_link_needs_its_token(beaune: Commune, box: Mailbox) -> None:
    row = hold(box)
    client = portal_client(beaune.agent_membership)
    client.handler.enforce_csrf_checks = True
    assert client.get(path_of(row, box)).status_code == 200
    assert client.post(f"/retenus/{row.id}/liberer/").status_code == 403
    assert HeldMail.objects.get().state == "held"


def test_what_a_decision_or_a_program_holds_is_not_offered_for_release(beaune: Commune, box: Mailbox) -> None:
    decided = hold(box, reason="decision", decision_id=decide().id)
    program = hold(box, reason="content", findings="program")
    mine = hold(box, reason="sender_blocked")
    [one] = due.due(at("2026-11-24 08:00"))
    _, text, page, _ = held_digest.words_of(one)
    assert text.count("Demander une vérification\xa0:") == 1 and text.count("Libérer\xa0:") == 1
    assert "Bloquer" not in text + page
    assert f"Référence pour le Département\xa0: {program.id}" in text
    client = portal_client(beaune.agent_membership)
    for act in ("verifier", "liberer", "bloquer"):
        inside = client.get(path_of(decided, box, act)).content.decode().split("<main")[1].split("</main")[0]
        assert f'href="/retenus/{decided.id}/verifier/"' in inside and "<form" not in inside
        inside = client.get(path_of(program, box, act)).content.decode().split("<main")[1].split("</main")[0]
        assert program.id in inside and "<form" not in inside
        inside = client.get(path_of(mine, box, act)).content.decode()
        assert f"/retenus/{mine.id}/liberer/" in inside and f"/retenus/{mine.id}/bloquer/" not in inside


def test_a_mail_s_link_is_for_this_mail_of_this_owner_for_some_days(
    beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    row, other = hold(box), own_mailbox(nuits)
    foreign = hold(other, subject="Marché public de Nuits")
    text = links.make_for(row, box)
    name, _, rest = text.partition(":")
    forged = signing.TimestampSigner(key="guess", salt=links.SALT_OF_ONE).sign(row.id)
    for wrong in (
        "",
        text[:-1],
        text[1:],
        forged,
        name,
        f"{foreign.id}:{rest}",
        links.make(box),
        "x:y:z",
        "\0:a",
    ):
        answer = Client().get("/retenus/lien/liberer/", {"l": wrong})
        assert answer.status_code == 404 and "fournitures" not in answer.content.decode()
    assert Client().get(f"/retenus/lien/supprimer/?l={text}").status_code == 404
    assert Client().get(f"/retenus/liste/?l={text}").status_code == 404
    for stranger in (beaune.colleague_membership, beaune.referent_membership, nuits.agent_membership):
        answer = portal_client(stranger).get(path_of(row, box))
        assert answer.status_code == 404 and "fournitures" not in answer.content.decode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(links, "LIFE_S", -1)
        late = Client().get(path_of(row, box))
        assert late.status_code == 404 and "Ce lien du résumé n’est plus valable" in late.content.decode()
    Mailbox.objects.filter(pk=box.pk).update(person_id=beaune.colleague.id)
    assert Client().get(f"/retenus/lien/liberer/?l={text}").status_code == 404
    Mailbox.objects.filter(pk=box.pk).update(person_id=beaune.agent.id, closed_at=clock.now())
    assert Client().get(f"/retenus/lien/liberer/?l={text}").status_code == 404


def test_a_digest_of_two_hundred_mails_names_each_and_stays_small(box: Mailbox) -> None:
    for number in range(200):
        hold(box, subject=f"Offre exceptionnelle à ne pas manquer n° {number}")
    HeldMail.objects.filter(pk__in=HeldMail.objects.order_by("id")[:100].values("pk")).update(
        told_at=clock.now()
    )
    HeldMail.objects.update(overdue_at=at("2026-11-24 07:00"))
    [one] = due.due(at("2026-11-24 08:00"))
    subject, text, page, _ = held_digest.words_of(one)
    assert text.count("Libérer\xa0:") == 200 and page.count("Bloquer l’expéditeur</a>") == 200
    assert "de plus sur la page" not in text
    assert len(text.encode()) < reader.MAX_TEXT_BYTES / 2 and len(page.encode()) < 200_000
    letter = posting.compose(settings.BEFFROI, to=box.address, subject=subject, text=text, html=page)
    assert [part.get_content_type() for part in letter.iter_parts()] == ["text/plain", "text/html"]
    assert len(letter.as_bytes()) < 400_000

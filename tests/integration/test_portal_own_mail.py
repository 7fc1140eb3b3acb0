"""The centre's own mails are known by their seal, and a copy of one is a stranger's."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import pytest
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib import clock
from beffroi.mail.heads import Authentication, MessageSummary
from beffroi.mail.held import posting, sealing
from beffroi.mail.models import Mailbox
from beffroi.mail.reader import Attachment, MessageView
from django.conf import settings
from django.utils import translation
from django.utils.translation import ngettext

from tests.conftest import Commune
from tests.fixtures_portal import no_door, own_mailbox, portal_client
from tests.fixtures_portal_mail import ShownMailbox, shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db
SUBJECT = "2 courriels retenus à regarder"


@pytest.fixture
def mailbox(beaune: Commune) -> Mailbox:
    return own_mailbox(beaune)


def received(mailbox: Mailbox, **changes: Any) -> MessageView:
    """A digest as it was read out of the mailbox: after a way through bytes, and the space that it adds."""
    made = posting.compose(
        settings.BEFFROI,
        to=mailbox.address,
        subject=SUBJECT,
        text="Bonjour,\n\nUn courriel d’Élodie\u202f: «\xa0Devis\xa0».\n",
        html="<p>Bonjour,</p>\n<p>Un courriel d’Élodie</p>\n",
    )
    mail = cast(EmailMessage, message_from_bytes(made.as_bytes(policy=policy.SMTP), policy=policy.default))
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None and html is not None
    summary = MessageSummary(
        uid=1,
        beffroi_id="msg_" + "1" * 26,
        from_name="Beffroi",
        from_address=f"{sealing.LOCAL_PART}@{settings.BEFFROI.mail_name}",
        subject=str(mail["Subject"]),
        received_at=clock.now(),
        seen=True,
        unchecked=False,
        message_id=str(mail["Message-ID"]),
    )
    view = MessageView(
        summary, (mailbox.address,), text.get_content(), html.get_content() + "\r\n", (), Authentication()
    )
    of_summary = {k: changes.pop(k) for k in list(changes) if hasattr(summary, k)}
    return replace(view, summary=replace(summary, **of_summary), **changes)


def own(mailbox: Mailbox, view: MessageView, address: str = "") -> bool:
    return sealing.is_own(settings.BEFFROI, address or mailbox.address, view)


def test_a_mail_of_the_centre_is_known(mailbox: Mailbox) -> None:
    assert own(mailbox, received(mailbox))


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "3 courriels retenus à regarder"},
        {"text": "Bonjour, votre mot de passe expire."},
        {"html": "<p>Bonjour,</p><a href='https://evil.test'>Libérer</a>"},
        {"html": ""},
        {"from_address": "beffroi@evil.test"},
        {"message_id": "<dig_" + "1" * 26 + "." + "0" * 32 + "@mx.beffroi.test>"},
        {"message_id": "<dig_" + "1" * 26 + "@mx.beffroi.test>"},
        {"message_id": ""},
        {"truncated": True},
        {"attachments": (Attachment("2", "a.zip", "application/zip", 3),)},
    ],
)
def test_whatever_differs_from_what_was_sealed_is_a_strangers(
    mailbox: Mailbox, changes: dict[str, Any]
) -> None:
    assert not own(mailbox, received(mailbox, **changes))


def test_a_seal_is_none_in_another_mailbox(mailbox: Mailbox) -> None:
    assert not own(mailbox, received(mailbox), "agent@nuits.test")


def test_the_page_of_an_own_mail_neither_warns_nor_offers_to_report_it(
    beaune: Commune, mailbox: Mailbox, shown_mail: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = portal_client(beaune.agent_membership)
    for view, ours in ((received(mailbox), True), (received(mailbox, html="<p>faux</p>"), False)):
        monkeypatch.setattr(ShownMailbox, "read", lambda *_args, view=view: view)
        page = client.get(f"/courrier/{mailbox.id}/1/").content.decode()
        assert ("Ce courriel vient de Beffroi" in page) is ours
        assert ("Extérieur" in page) is not ours
        assert ("Signaler un hameçonnage" in page) is not ours
        assert ('id="reply"' in page) is not ours


def test_home_does_not_say_that_there_is_nothing_to_do_beside_what_waits(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    client = portal_client(beaune.agent_membership)
    for path in ("/", "/?part=weather"):
        page = client.get(path).content.decode()
        assert "Aucune alerte en cours." in page and "Rien à faire." not in page
    assert Person.objects.get(pk=beaune.agent.id).password_given_at is None


def test_who_else_a_mail_went_to_is_counted_and_does_not_stand_before_its_text(
    beaune: Commune, mailbox: Mailbox, shown_mail: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, council = portal_client(beaune.agent_membership), tuple(f"elu{n}@beaune.test" for n in range(40))
    view = replace(received(mailbox, to="Anne Élue", others=41), to=council, cc=council[:2])
    monkeypatch.setattr(ShownMailbox, "read", lambda *_args, **_more: view)
    monkeypatch.setattr(ShownMailbox, "list", lambda *_args, **_more: [view.summary])
    page = client.get(f"/courrier/{mailbox.id}/1/").content.decode()
    first, rest = page.partition("<details>")[2].partition("</details>")[0].split("</summary>")
    assert "elu2@beaune.test et 37 autres" in " ".join(first.split()) and "elu3@" not in first
    assert "elu3@beaune.test" in rest and "elu39@beaune.test" in rest
    assert "elu0@beaune.test, elu1@beaune.test" in page.partition("Copie (Cc)")[2]
    sent = client.get(f"/courrier/{mailbox.id}/", {"dossier": "Sent"}).content.decode()
    assert "Anne Élue et 41 autres" in sent


def test_the_list_counts_what_is_unread_in_the_folder_not_on_the_page(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    client = portal_client(beaune.agent_membership)
    page = client.get(f"/courrier/{mailbox.id}/?dossier=%C3%89tat%20civil%20%3Cb%3E").content.decode()
    assert "12 courriels non lus." in page


@pytest.mark.parametrize(
    "path", ["/", "/meteo/", "/courrier/", "/retenus/", "/dossiers/", "/blocages/", "/acces/"]
)
def test_who_serves_two_communes_changes_from_every_place(
    beaune: Commune, nuits: Commune, mailbox: Mailbox, shown_mail: object, path: str
) -> None:
    person = Person.objects.get(pk=beaune.agent.id)
    identity.add_membership(
        actor=Actor.system("tests"), person=person, collectivite=nuits.collectivite, role="agent"
    )
    page = portal_client(beaune.agent_membership).get(path, follow=True).content.decode()
    assert 'href="/collectivites/"' in page


def test_the_list_leads_to_what_a_referent_alone_does(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(person_id=beaune.referent.id)
    page = portal_client(beaune.referent_membership).get(f"/courrier/{mailbox.id}/").content.decode()
    assert 'href="/domaines/"' in page and 'href="#outils"' in page and 'id="outils"' in page


def test_a_search_without_a_find_says_where_else_to_look(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    client, path = portal_client(beaune.agent_membership), f"/courrier/{mailbox.id}/?q=introuvable"
    page = client.get(path).content.decode()
    assert "0 courriel trouvé." in page
    assert "a regardé dans tous les dossiers" in page and f"/courrier/{mailbox.id}/supprimes/" in page
    assert "?dossier=Junk&amp;q=introuvable" in page  # the words go along into another folder
    page = client.get(f"{path}&dossier=Junk").content.decode()
    assert "La recherche regarde dans «\u00a0Indésirables\u00a0»" in page and 'value="Junk" checked' in page
    assert client.get(f"{path}&dossier=Nulle+part").status_code == 404


def test_none_is_singular_in_french_and_plural_in_english() -> None:
    with translation.override("fr"):
        assert [ngettext("%d courriel", "%d courriels", n) % n for n in (0, 1, 2)] == [
            "0 courriel",
            "1 courriel",
            "2 courriels",
        ]

"""Invitations between two town halls: real engines, the real process calendars, and Chromium for the cards.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from beffroi.core.identity.models import Person
from beffroi.drive.calendars import homes, itip, wire
from beffroi.drive.calendars.asking import Asking
from beffroi.lib import clock
from beffroi.mail import outgoing, reader
from beffroi.mail.models import Mailbox, Sending

from tests.conftest import Commune
from tests.fixtures_browser import browser, inspect
from tests.fixtures_calendars import calendars_alone
from tests.fixtures_portal import no_door, portal_client, session_cookie
from tests.mail_post import Post, needs_engines

__all__ = ["browser", "no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [*needs_engines, pytest.mark.browser]
OTHER = "x@sender.example.net"
AT, HOUR = datetime(2030, 5, 14, 9, tzinfo=UTC), timedelta(hours=1)


@dataclass
class Desk:
    """Claire of Beaune and Jean of Nuits, each before their own page."""

    post: Post
    portal: str
    claire: Any
    jean: Any
    beaune: Commune
    nuits: Commune
    hers: Mailbox
    his: Mailbox

    def leave(self) -> None:
        """What waits to be called back leaves now."""
        Sending.objects.filter(state="waiting").update(due_at=clock.now())
        outgoing.send_due()
        assert not Sending.objects.exclude(state__in=("sent", "cancelled")).exists()

    def open_newest(self, page: Any, box: Mailbox) -> None:
        with reader.open_mailbox(self.post.config, box.address) as opened:
            uid = opened.list()[0].uid
        page.goto(f"{self.portal}/courrier/{box.id}/{uid}/")

    def stored(self, commune: Commune, person_id: str) -> list[itip.Message]:
        place = homes.folder(self.post.config, commune.id) / homes.ROOT / person_id / homes.AGENDA
        return [itip.parse(one.read_text("utf-8")) for one in sorted(place.glob("*.ics"))]


@pytest.fixture
def desk(post: Post, beaune: Commune, nuits: Commune, browser: Any, live_server: Any) -> Iterator[Desk]:
    Person.objects.filter(pk=beaune.agent.id).update(name="Claire Vernet")
    Person.objects.filter(pk=nuits.agent.id).update(name="Jean Rollin")
    boxes = (post.mailbox(beaune, beaune.agent, "claire"), post.mailbox(nuits, nuits.agent, "jean"))
    pages, contexts = [], []
    faults: list[str] = []
    for membership in (beaune.agent_membership, nuits.agent_membership):
        context = browser.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900})
        context.add_cookies([session_cookie(portal_client(membership), live_server.url)])
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        pages.append(page)
        contexts.append(context)
    with calendars_alone(post.config):
        yield Desk(post, live_server.url, pages[0], pages[1], beaune, nuits, boxes[0], boxes[1])
    assert [one for one in faults if not any(word in one for word in ("404", "400", "MIME"))] == []
    for context in contexts:
        context.close()


def press(page: Any, words: str) -> None:
    with page.expect_navigation():
        page.click(f"button:has-text('{words}')")


def test_an_invitation_goes_to_and_fro_between_two_agendas(desk: Desk) -> None:
    jean, claire = desk.jean, desk.claire
    claire.goto(f"{desk.portal}/agenda/ajouter/")
    claire.check("input[value=prive]")
    for field, value in (("title", "Dentiste"), ("day", "2030-05-14"), ("begin", "15:00"), ("end", "16:00")):
        claire.fill(f"#id_{field}", value)
    press(claire, "Enregistrer")
    jean.goto(f"{desk.portal}/agenda/ajouter/")
    jean.check("input[value=prive]")
    for field, value in (
        ("title", "Commission des finances"),
        ("day", "2030-05-14"),
        ("begin", "14:30"),
        ("end", "16:00"),
        ("place", "Salle du conseil"),
        ("guests", "claire"),
    ):
        jean.fill(f"#id_{field}", value)
    press(jean, "Enregistrer")
    jean.wait_for_selector("#id_guests_error:has-text('adresse complète')")
    inspect(jean, "i-inviter", status=400)
    jean.fill("#id_guests", desk.hers.address)
    press(jean, "Enregistrer")
    jean.wait_for_selector("text=Votre message part dans quelques secondes")
    inspect(jean, "i-agenda")
    desk.leave()
    desk.post.wait_count(desk.hers, 1)

    desk.open_newest(claire, desk.hers)
    card = claire.locator("#invitation")
    for words in (
        "Mardi 14 mai 2030, de 14\u00a0h\u00a030 à 16\u00a0h\u00a000",
        "Salle du conseil",
        "Jean Rollin",
        "Dentiste",
    ):
        assert words in card.inner_text(), card.inner_text()
    inspect(claire, "i-carte")
    press(claire, "Accepter")
    claire.wait_for_selector("#invitation >> text=Vous avez accepté.")
    inspect(claire, "i-acceptee")
    press(claire, "Peut-être")  # answering again takes the first one back
    claire.wait_for_selector("#invitation >> text=Vous avez répondu peut-être.")
    press(claire, "Accepter")
    desk.leave()
    (kept,) = (one for one in desk.stored(desk.beaune, desk.beaune.agent.id) if one.main.organizer)
    assert [(one.address, one.answer) for one in kept.main.attendees] == [(desk.hers.address, "ACCEPTED")]
    claire.goto(f"{desk.portal}/agenda/?mois=2030-05")
    assert "Commission des finances" in claire.inner_text("main")

    desk.post.wait_count(desk.his, 3)
    with reader.open_mailbox(desk.post.config, desk.his.address) as opened:
        uids = [one.uid for one in opened.list()]
        raw = opened.client.fetch([uids[0]], ["BODY.PEEK[]"])[uids[0]][b"BODY[]"]
    assert re.search(rb'text/calendar;[^\n]*(\n[ \t][^\n]*)*method="?REPLY', raw, re.IGNORECASE)
    for uid in uids:  # the newest first: what comes after is overtaken
        jean.goto(f"{desk.portal}/courrier/{desk.his.id}/{uid}/")
        note = jean.locator("button:has-text('Noter cette réponse')")
        if note.count():
            inspect(jean, "i-reponse")
            press(jean, "Noter cette réponse")
    (own,) = desk.stored(desk.nuits, desk.nuits.agent.id)
    assert [one.answer for one in own.main.attendees] == ["ACCEPTED"]
    jean.goto(f"{desk.portal}/agenda/?mois=2030-05")
    assert "1 vient" in jean.inner_text("main")

    with jean.expect_navigation():
        jean.click("a:has-text('Modifier')")
    inspect(jean, "i-modifier")
    jean.fill("#id_begin", "17:00")
    jean.fill("#id_end", "18:00")
    press(jean, "Enregistrer")
    desk.leave()
    desk.post.wait_count(desk.hers, 2)
    desk.open_newest(claire, desk.hers)
    assert "Invitation modifiée" in claire.inner_text("#invitation")
    assert "de 17\u00a0h\u00a000 à 18\u00a0h\u00a000" in claire.inner_text("#invitation")
    press(claire, "Refuser")
    claire.wait_for_selector("#invitation >> text=Vous avez refusé.")
    claire.goto(f"{desk.portal}/agenda/?mois=2030-05")
    assert "Commission des finances" not in claire.inner_text("main")
    with reader.open_mailbox(desk.post.config, desk.hers.address) as opened:
        oldest = opened.list()[-1].uid
    claire.goto(f"{desk.portal}/courrier/{desk.hers.id}/{oldest}/")
    assert "Une version plus récente" in claire.inner_text("#invitation")
    assert claire.locator("#invitation button").count() == 0

    jean.goto(f"{desk.portal}/agenda/?mois=2030-05")
    with jean.expect_navigation():
        jean.click("a:has-text('Supprimer')")
    assert "1 invité est prévenu" in jean.inner_text("main")
    press(jean, "Supprimer")
    desk.leave()
    desk.post.wait_count(desk.hers, 3)
    desk.open_newest(claire, desk.hers)
    assert "demandez-lui d’abord" not in claire.inner_text("#invitation")
    inspect(claire, "i-annulee")
    press(claire, "Retirer de mon agenda")
    assert "n’est pas dans votre agenda" in claire.inner_text("#invitation")
    assert [one.main.title for one in desk.stored(desk.beaune, desk.beaune.agent.id)] == ["Dentiste"]


def foreign(
    method: str, *lines: str, organizer: str = "pref@sender.example.net", uid: str = "u1@pref"
) -> str:
    event = ("BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20300101T080000Z", f"ORGANIZER;CN=Préfecture:mailto:{organizer}",
             *lines, "END:VEVENT")  # fmt: skip
    return "\r\n".join(
        ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", f"METHOD:{method}", *event, "END:VCALENDAR", "")
    )


def letter(
    box: Mailbox, calendar: bytes | str, *, charset: str = "utf-8", sender: str = "pref@sender.example.net"
) -> bytes:
    data = calendar if isinstance(calendar, bytes) else calendar.encode()
    head = (
        f"From: =?utf-8?q?Pr=C3=A9fecture?= <{sender}>\r\nTo: {box.address}\r\nSubject: Invitation\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\nVous =EAtes convi=E9.\r\n--b\r\n"
        f"Content-Type: text/calendar; charset={charset}; method=REQUEST\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    return head.encode() + data + b"\r\n--b--\r\n"


WEEKLY = (
    "DTSTART;TZID=Europe/Paris:20300507T090000",
    "DURATION:PT1H",
    "RRULE:FREQ=WEEKLY;COUNT=10",
    "SUMMARY:Point hebdomadaire",
)


def test_a_series_an_all_day_one_and_hostile_ones(desk: Desk) -> None:
    page, box, post = desk.claire, desk.hers, desk.post

    def arrives(calendar: bytes | str, **more: str) -> str:
        before = post.count(box)
        assert post.send(letter(box, calendar, **more), box.address)[0] == 250
        post.wait_count(box, before + 1)
        desk.open_newest(page, box)
        return str(page.inner_text("main"))

    told = arrives(foreign("REQUEST", *WEEKLY, f"ATTENDEE;CN=Claire:mailto:{box.address}"))
    assert (
        "Mardi 7 mai 2030, de 9\u00a0h\u00a000 à 10\u00a0h\u00a000" in told
        and "chaque semaine, 10 fois" in told
    )
    inspect(page, "i-serie")
    press(page, "Accepter")
    page.goto(f"{desk.portal}/agenda/?mois=2030-06")
    assert page.inner_text("main").count("Point hebdomadaire") == 4
    called_off = foreign("CANCEL", "SEQUENCE:1", "RECURRENCE-ID;TZID=Europe/Paris:20300604T090000",
                         "DTSTART;TZID=Europe/Paris:20300604T090000")  # fmt: skip
    assert "demandez-lui d’abord" in arrives(called_off, sender=OTHER)
    assert page.locator("#invitation .btn.primary").count() == 0
    inspect(page, "i-annulee-doute")
    told = arrives(called_off)
    assert "Une seule date" in told and "demandez-lui d’abord" not in told
    press(page, "Retirer de mon agenda")
    page.goto(f"{desk.portal}/agenda/?mois=2030-06")
    assert page.inner_text("main").count("Point hebdomadaire") == 3

    told = arrives(
        foreign(
            "REQUEST", "DTSTART;VALUE=DATE:20300508", "DTEND;VALUE=DATE:20300510", "SUMMARY:Pont", uid="u2"
        )
    )
    assert (
        "Du mercredi 8 mai 2030 au jeudi 9 mai 2030" in told
        and "Vous ne figurez pas parmi les invités" in told
    )
    # Another organizer changes nothing of what is there, and cannot call it off.
    for method in ("REQUEST", "CANCEL"):
        told = arrives(foreign(method, *WEEKLY, "SEQUENCE:9", organizer="other@sender.example.net"))
        assert (
            "c’est quelqu’un d’autre qui l’organise" in told
            and page.locator("#invitation button").count() == 0
        )
    # In the name of somebody else: said, as of any sender.
    told = arrives(foreign("REQUEST", *WEEKLY, organizer="maire@beaune.test", uid="u3"))
    assert "Cette invitation parle au nom de maire@beaune.test" in told
    inspect(page, "i-au-nom")
    # In Latin-1 it is read as it says; in nothing that anybody reads it is not.
    told = arrives(
        foreign("REQUEST", *WEEKLY, "LOCATION:Mairie annexe é", uid="u4").encode("latin-1"),
        charset="iso-8859-1",
    )
    assert "annexe é" in told
    for calendar, charset, words in (
        (foreign("REQUEST", *WEEKLY, "LOCATION:é", uid="u5").encode("latin-1"), "utf-8", "codage"),
        (foreign("REQUEST", *WEEKLY).replace("UID:u1@pref\r\n", ""), "utf-8", "identifiant"),
        (foreign("REQUEST", *WEEKLY, "DESCRIPTION:" + "x\r\n " * 90_000), "utf-8", "trop longue"),
        (
            foreign("REQUEST", "DTSTART:20300507T090000Z", "RRULE:FREQ=SECONDLY", uid="u6"),
            "utf-8",
            "répétition",
        ),
        (foreign("REQUEST", *WEEKLY, *[f"ATTENDEE:mailto:a{n}@b.test" for n in range(400)]), "utf-8", "trop"),
    ):
        assert words in arrives(calendar, charset=charset)
        assert page.locator("#invitation button").count() == 0
    inspect(page, "i-illisible")


def test_a_reply_that_surely_comes_from_the_guest_is_noted_at_sight(desk: Desk) -> None:
    actor, guest = desk.beaune.agent, "pref@sender.example.net"
    draft = wire.Draft(
        "own",
        "",
        "",
        "Budget",
        "",
        AT,
        AT + HOUR,
        all_day=False,
        guests=[guest, OTHER],
        mine=[desk.hers.address],
    )
    asking = Asking(
        desk.post.config, person_id=actor.id, collectivite_id=desk.beaune.id, shared=False, write=False
    )
    told = asking.save(draft).outgoing[0]
    assert (told.method, told.sender, told.recipients) == (
        "REQUEST",
        desk.hers.address,
        [guest, "x@sender.example.net"],
    )
    uid = desk.stored(desk.beaune, actor.id)[0].main.uid

    def replies(who: str, sender: str, stamp: str = "20300102T080000Z") -> str:
        lines = (f"ATTENDEE;PARTSTAT=DECLINED:mailto:{who}", "DTSTART:20300514T090000Z", "SUMMARY:Budget")
        text = foreign("REPLY", *lines, organizer=desk.hers.address, uid=uid).replace(
            "20300101T080000Z", stamp
        )
        before = desk.post.count(desk.hers)
        assert desk.post.send(letter(desk.hers, text, sender=sender), desk.hers.address)[0] == 250
        desk.post.wait_count(desk.hers, before + 1)
        desk.open_newest(desk.claire, desk.hers)
        return str(desk.claire.inner_text("#invitation"))

    assert "Cette personne n’était pas invitée" in replies("y@sender.example.net", "y@sender.example.net")
    # One guest in the name of another: said, and nothing is noted by itself.
    assert "parle au nom de x@sender.example.net" in replies("x@sender.example.net", guest)
    assert "Sa réponse est notée" in replies(guest, guest)
    answers = {one.address: one.answer for one in desk.stored(desk.beaune, actor.id)[0].main.attendees}
    assert answers == {guest: "DECLINED", OTHER: "NEEDS-ACTION"}
    assert "Une version plus récente" in replies(guest, guest, "20300101T080000Z")


def test_an_answer_that_was_called_back_leaves_later_as_the_answer_it_is(desk: Desk) -> None:
    page, box = desk.claire, desk.hers
    text = foreign("REQUEST", *WEEKLY, f"ATTENDEE:mailto:{box.address}", organizer=desk.his.address)
    assert desk.post.send(letter(box, text, sender="jean@nuits.test"), box.address)[0] == 250
    desk.post.wait_count(box, 1)
    desk.open_newest(page, box)
    press(page, "Accepter")
    with page.expect_navigation():
        page.click("#undo")
    assert "Invitation" in page.inner_text("[data-files]")
    page.fill("#id_text", "Bonjour,\n\nJe viendrai, avec un quart d’heure de retard.\n")
    page.wait_for_selector("[data-state]:has-text('Brouillon gardé')")
    page.click("button:has-text('Envoyer')")
    page.wait_for_selector("text=Votre message part dans quelques secondes")
    desk.leave()
    desk.post.wait_count(desk.his, 1)
    with reader.open_mailbox(desk.post.config, desk.his.address) as opened:
        view = opened.read(opened.list()[0].uid)
        assert "quart d’heure" in view.text
        (part,) = view.attachments
        found = itip.parse(opened.attachment(view.summary.uid, part.part)[1].decode())
    assert (part.content_type, found.method) == ("text/calendar", "REPLY")
    assert [one.answer for one in found.main.attendees] == ["ACCEPTED"]


def test_ones_own_invitation_that_comes_back_changes_nothing(desk: Desk) -> None:
    text = foreign("REQUEST", *WEEKLY, organizer=desk.hers.address)
    assert desk.post.send(letter(desk.hers, text), desk.hers.address)[0] == 250
    desk.post.wait_count(desk.hers, 1)
    desk.open_newest(desk.claire, desk.hers)
    assert "C’est votre propre invitation" in desk.claire.inner_text("#invitation")
    assert desk.claire.locator("#invitation button").count() == 0

"""Answers to invitations over the real process ``calendars``: what becomes of one that the calendar cannot take."""

from __future__ import annotations

import pytest
from beffroi.drive.calendars.asking import Asking
from beffroi.drive.calendars.itip import MAX_EVENTS
from beffroi.lib.errors import TooLarge
from beffroi.mail.models import Sending
from beffroi.portal.web import invitations
from django.test import Client

from tests.calendar_pages import full, portal, process
from tests.conftest import Commune
from tests.fixtures_portal import no_door, own_mailbox, portal_client
from tests.markup import text_of

__all__ = ["full", "no_door", "portal", "process"]
pytestmark = pytest.mark.usefixtures("database")


def invitation(guest: str) -> str:
    """To one meeting, by somebody of elsewhere."""
    return "\r\n".join(
        (
            *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:u@1"),
            *("DTSTAMP:20300101T080000Z", "DTSTART:20300514T080000Z", "DTEND:20300514T090000Z"),
            *("SUMMARY:Budget partagé", "ORGANIZER:mailto:maire@nuits.test", f"ATTENDEE:mailto:{guest}"),
            *("END:VEVENT", "END:VCALENDAR", ""),
        )
    )


def answered(client: Client, mailbox_id: str) -> str:
    """The page after an answer of which nothing came."""
    answer = client.post(f"/courrier/{mailbox_id}/1/invitation/", {"what": "oui"})
    assert answer.status_code == 302 and answer["Location"].endswith("#h-invitation")
    assert "envoi=" not in answer["Location"] and not Sending.objects.exists()
    return text_of(client.get("/agenda/?mois=2030-05"))


@pytest.mark.usefixtures("full")
def test_an_answer_that_finds_no_room_changes_nothing_sends_nothing_and_says_what_to_do(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = own_mailbox(beaune)
    text = invitation(mailbox.address)
    monkeypatch.setattr(invitations, "_text", lambda box, uid, folder: (text, "maire@nuits.test"))
    agent = portal_client(beaune.agent_membership)
    page = answered(agent, mailbox.id)
    for words in ("Il n’y a plus de place", "rien n’est parti", "videz la corbeille", "par quelques mots"):
        assert words in page
    assert "Budget partagé" not in page


def test_an_answer_to_a_full_calendar_says_that_it_is_full(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = own_mailbox(beaune)
    text = invitation(mailbox.address)
    monkeypatch.setattr(invitations, "_text", lambda box, uid, folder: (text, "maire@nuits.test"))

    def refuses(*_: object) -> None:
        raise TooLarge("entry")  # as 413 is read: ten thousand entries take minutes to make

    monkeypatch.setattr(Asking, "answer", refuses)
    page = answered(portal_client(beaune.agent_membership), mailbox.id)
    for words in ("10 000 rendez-vous", "rien n’est parti", "Supprimez des rendez-vous", "par quelques mots"):
        assert words in page


def test_an_answer_that_no_calendar_takes_says_so(beaune: Commune, monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox = own_mailbox(beaune)
    head, tail = invitation(mailbox.address).split("BEGIN:VEVENT")
    event, end = tail.split("END:VEVENT")
    days = [f"2030{number // 28 + 1:02}{number % 28 + 1:02}" for number in range(MAX_EVENTS)]
    dates = (f"BEGIN:VEVENT{event}RECURRENCE-ID:{day}T080000Z\r\nEND:VEVENT\r\n" for day in days)
    text = head + "".join(dates) + end.lstrip()
    monkeypatch.setattr(invitations, "_text", lambda box, uid, folder: (text, "maire@nuits.test"))
    page = answered(portal_client(beaune.agent_membership), mailbox.id)
    assert "ne peut pas suivre cette invitation" in page and "Budget partagé" not in page
    assert "rien n’est parti" in page and "par quelques mots" in page

"""Proposals between two town halls, through real engines: a guest's other moment, a question, a date that was added.

BEFFROI_SHOTS=DIRECTORY keeps pictures.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
from beffroi.drive.calendars import homes, itip, wire, zone_names
from beffroi.drive.calendars.asking import Asking
from beffroi.lib import clock
from beffroi.mail import reader

from tests.clients.test_invitations_browser import AT, HOUR, Desk, desk, foreign, letter, press
from tests.fixtures_browser import browser, inspect
from tests.fixtures_portal import no_door
from tests.mail_post import needs_engines

__all__ = ["browser", "desk", "no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [*needs_engines, pytest.mark.browser]
GUEST = "pref@sender.example.net"


def invited(desk: Desk, *guests: str) -> str:
    """Claire invites; the UID of her entry."""
    actor = desk.beaune.agent
    asking = Asking(
        desk.post.config, person_id=actor.id, collectivite_id=desk.beaune.id, shared=False, write=False
    )
    draft = wire.Draft(
        *("own", "", "", "Budget", "Mairie", AT, AT + HOUR),
        all_day=False,
        guests=list(guests),
        mine=[desk.hers.address],
    )
    asking.save(draft)
    return desk.stored(desk.beaune, actor.id)[0].main.uid


def arrives(desk: Desk, calendar: str, sender: str = GUEST) -> str:
    """What Claire's card says of a real mail with this calendar."""
    before = desk.post.count(desk.hers)
    assert desk.post.send(letter(desk.hers, calendar, sender=sender), desk.hers.address)[0] == 250
    desk.post.wait_count(desk.hers, before + 1)
    desk.open_newest(desk.claire, desk.hers)
    return str(desk.claire.inner_text("#invitation"))


def newest(desk: Desk, box: Any) -> tuple[str, itip.Message]:
    """(text, calendar) of the newest mail of a mailbox."""
    with reader.open_mailbox(desk.post.config, box.address) as opened:
        view = opened.read(opened.list()[0].uid)
        (part,) = view.attachments
        return view.text, itip.parse(opened.attachment(view.summary.uid, part.part)[1].decode())


def test_a_guest_s_other_moment_is_taken_or_not(desk: Desk) -> None:
    page, his = desk.claire, desk.his.address
    third = desk.post.mailbox(desk.nuits, desk.nuits.referent, "anne").address
    uid = invited(desk, his, third)

    def counter(starts: str, who: str = his, stamp: str = "20300101T080000Z") -> str:
        lines = (f"ATTENDEE:mailto:{who}", f"DTSTART:{starts}", "DURATION:PT2H", "SUMMARY:Budget")
        text = foreign(
            "COUNTER", *lines, "DESCRIPTION:Plutôt le lendemain.", organizer=desk.hers.address, uid=uid
        )
        return text.replace("20300101T080000Z", stamp)

    # Of who was not invited, and in the name of a guest.
    assert "n’est pas invitée : sa proposition" in arrives(
        desk, counter("20300515T120000Z", "y@sender.example.net"), "y@sender.example.net"
    ).replace("\u00a0", " ")
    assert page.locator("#invitation form").count() == 0
    told = arrives(desk, counter("20300515T120000Z"), GUEST)
    assert f"parle au nom de {his}" in told

    told = arrives(desk, counter("20300515T120000Z"), his)
    for words in (
        "Un autre moment est proposé",
        "Mercredi 15 mai 2030, de 14\u00a0h\u00a000 à 16\u00a0h\u00a000",
        "Au lieu de",
        "11\u00a0h\u00a000 à 12\u00a0h\u00a000",
    ):
        assert words in told, told
    inspect(page, "p-proposition")
    press(page, "Garder le rendez-vous comme il est")
    page.wait_for_selector("#invitation >> text=Vous avez répondu à cette proposition")
    desk.leave()
    desk.post.wait_count(desk.his, 1)
    said, calendar = newest(desk, desk.his)
    assert calendar.method == "DECLINECOUNTER" and "reste comme il est" in said
    assert desk.stored(desk.beaune, desk.beaune.agent.id)[0].main.starts == AT
    desk.open_newest(desk.jean, desk.his)
    assert "Votre proposition n’est pas retenue" in desk.jean.inner_text("#invitation")
    inspect(desk.jean, "p-non-retenue")

    arrives(desk, counter("20300516T070000Z", stamp="20300102T080000Z"), his)
    press(page, "Retenir ce moment")
    page.wait_for_selector("text=part dans quelques secondes")
    inspect(page, "p-retenue")
    desk.leave()
    desk.post.wait_count(desk.his, 2)
    _, calendar = newest(desk, desk.his)
    assert (calendar.method, calendar.main.starts) == ("REQUEST", AT.replace(day=16, hour=7))
    answers = {
        one.address: one.answer for one in desk.stored(desk.beaune, desk.beaune.agent.id)[0].main.attendees
    }
    assert answers == {his: "ACCEPTED", third: "NEEDS-ACTION"}
    page.goto(f"{desk.portal}/agenda/?mois=2030-05")
    assert "9\u00a0h\u00a000" in page.inner_text("main")


def test_a_guest_who_lost_the_invitation_is_sent_it_and_nobody_else_is(desk: Desk) -> None:
    page, his = desk.claire, desk.his.address
    uid = invited(desk, his)

    def refresh(who: str) -> str:
        return foreign("REFRESH", f"ATTENDEE:mailto:{who}", organizer=desk.hers.address, uid=uid)

    told = arrives(desk, refresh("y@sender.example.net"), "y@sender.example.net")
    assert "rien ne lui est envoyé" in told and page.locator("#invitation form").count() == 0
    told = arrives(desk, refresh(his), "y@sender.example.net")  # in Jean's name: what is sent goes to Jean
    assert f"parle au nom de {his}" in told and "Budget" in told
    inspect(page, "p-redemandee")
    press(page, "Renvoyer l’invitation")
    desk.leave()
    desk.post.wait_count(desk.his, 1)
    _, calendar = newest(desk, desk.his)
    assert (calendar.method, calendar.main.title, calendar.main.place) == ("REQUEST", "Budget", "Mairie")
    desk.open_newest(desk.jean, desk.his)
    press(desk.jean, "Accepter")
    assert desk.stored(desk.nuits, desk.nuits.agent.id)[0].main.title == "Budget"


def test_a_date_is_added_to_a_series_that_is_there_or_asked_for(desk: Desk) -> None:
    page, hers, his = desk.claire, desk.hers.address, desk.his.address
    added = foreign(
        *("ADD", "SEQUENCE:1", "DTSTART;TZID=Europe/Paris:20300523T090000", "DURATION:PT1H", "SUMMARY:Point"),
        f"ATTENDEE:mailto:{hers}",
        organizer=his,
    )
    assert "redemandez l’invitation entière" in arrives(desk, added, his)
    inspect(page, "p-ajout-seul")
    press(page, "Redemander l’invitation")
    desk.leave()
    desk.post.wait_count(desk.his, 1)
    said, calendar = newest(desk, desk.his)
    assert calendar.method == "REFRESH" and "de nouveau toute l’invitation" in said
    series = (
        *(
            "DTSTART;TZID=Europe/Paris:20300507T090000",
            "DURATION:PT1H",
            "RRULE:FREQ=WEEKLY;COUNT=2",
            "SUMMARY:Point",
        ),
        f"ATTENDEE:mailto:{hers}",
    )
    arrives(desk, foreign("REQUEST", *series, organizer=his), his)
    press(page, "Accepter")
    told = arrives(desk, added, his)
    assert "Date ajoutée à un rendez-vous" in told and "Jeudi 23 mai 2030" in told
    inspect(page, "p-ajout")
    press(page, "Accepter")
    assert "Cette date est dans votre agenda" in page.inner_text("#invitation")
    page.goto(f"{desk.portal}/agenda/?mois=2030-05")
    assert page.inner_text("main").count("Point") == 3
    desk.leave()


def test_another_hour_for_a_whole_series_is_shown_as_such_and_taken(desk: Desk) -> None:
    page, his = desk.claire, desk.his.address
    uid = invited(desk, his)
    place = homes.folder(desk.post.config, desk.beaune.id) / homes.ROOT / desk.beaune.agent.id / homes.AGENDA
    (entry,) = place.glob("*.ics")
    weekly = "RRULE:FREQ=WEEKLY;COUNT=4\nEXDATE:20300521T090000Z\nSUMMARY:"
    entry.write_text(entry.read_text("utf-8").replace("SUMMARY:", weekly, 1), "utf-8")

    def counter(starts: str, stamp: str) -> str:
        lines = (f"ATTENDEE:mailto:{his}", f"DTSTART:{starts}", "DURATION:PT1H", "SUMMARY:Budget")
        text = foreign("COUNTER", *lines, organizer=desk.hers.address, uid=uid)
        return text.replace("20300101T080000Z", stamp)

    told = arrives(desk, counter("20300516T090000Z", "20300101T080000Z"), his)
    assert "ne se reprend pas d’un clic" in told and "Retenir" not in told
    inspect(page, "p-serie-non")
    told = arrives(desk, counter("20300514T120000Z", "20300102T080000Z"), his)
    for words in ("Pour toute la série", "chaque semaine, 4 fois", "Au lieu de"):
        assert words in told, told
    inspect(page, "p-serie")
    press(page, "Retenir ce moment")
    page.wait_for_selector("text=part dans quelques secondes")
    desk.leave()
    desk.post.wait_count(desk.his, 1)
    _, calendar = newest(desk, desk.his)
    main = desk.stored(desk.beaune, desk.beaune.agent.id)[0].main
    assert calendar.method == "REQUEST" and calendar.main.starts == main.starts == AT.replace(hour=12)
    assert main.rule == "FREQ=WEEKLY;COUNT=4" and main.left_out == (AT.replace(day=21, hour=12),)


def test_of_a_series_that_has_begun_only_what_comes_moves(desk: Desk) -> None:
    page, his = desk.claire, desk.his.address
    uid = invited(desk, his)
    place = homes.folder(desk.post.config, desk.beaune.id) / homes.ROOT / desk.beaune.agent.id / homes.AGENDA
    (entry,) = place.glob("*.ics")
    before = clock.now().astimezone(zone_names.LOCAL) - timedelta(days=10)
    first = before.replace(hour=11, minute=0, second=0, microsecond=0)  # as the form has it: 9:00 UTC in May
    text = entry.read_text("utf-8").replace(f"{AT:%Y%m%d}", f"{first:%Y%m%d}")
    entry.write_text(text.replace("SUMMARY:", "RRULE:FREQ=WEEKLY;COUNT=4\nSUMMARY:", 1), "utf-8")
    lines = (
        f"ATTENDEE:mailto:{his}",
        f"DTSTART:{(first + timedelta(hours=3)).astimezone(UTC):%Y%m%dT%H%M%SZ}",
        "DURATION:PT1H",
        "SUMMARY:Budget",
    )
    told = arrives(desk, foreign("COUNTER", *lines, organizer=desk.hers.address, uid=uid), his)
    for words in (
        "Pour toute la série, à partir de sa prochaine date",
        "2 fois",
        "Les dates passées restent",
    ):
        assert words in told.replace("\u00a0", " "), told
    inspect(page, "p-serie-commencee")
    press(page, "Retenir ce moment")
    page.wait_for_selector("text=part dans quelques secondes")
    inspect(page, "p-serie-partagee")
    desk.leave()
    desk.post.wait_count(desk.his, 2)
    with reader.open_mailbox(desk.post.config, his) as opened:
        views = [opened.read(one.uid) for one in opened.list()]
        parts = [opened.attachment(one.summary.uid, one.attachments[0].part)[1] for one in views]
    sent = sorted((itip.parse(one.decode()) for one in parts), key=lambda one: one.main.starts)
    assert [(one.method, one.main.starts, one.main.rule) for one in sent] == [
        ("REQUEST", first, "FREQ=WEEKLY;COUNT=2"),
        ("REQUEST", first + timedelta(days=14, hours=3), "FREQ=WEEKLY;COUNT=2"),
    ]
    stored = desk.stored(desk.beaune, desk.beaune.agent.id)
    assert {one.main.uid for one in stored} == {one.main.uid for one in sent} and len(stored) == 2

"""What the centre says to people's mailboxes waits for a mailbox that is full, and keeps no other waiting."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.communes import exports
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.mail.filters import actions as filters
from beffroi.mail.held import notices, posting
from beffroi.mail.held.models import Notice
from beffroi.mail.held.posting import MailNotTaken
from beffroi.mail.models import Mailbox
from beffroi.mail.people import delegations
from beffroi.mail.people.models import Delegation
from beffroi.mail.quota import queries
from beffroi.mail.quota.models import MailboxRoom
from beffroi.portal import consumers, drop_told, forward_told, room_told

from tests.conftest import Commune, make_member
from tests.fixtures_portal import own_mailbox

pytestmark = pytest.mark.django_db


class Postfix:
    """Takes mails, but for full mailboxes; and none while it is away."""

    def __init__(self) -> None:
        self.full: set[str] = set()
        self.away = False
        self.taken: list[tuple[str, str]] = []

    def send(self, _config: object, *, to: str, subject: str, text: str, html: str) -> bool:
        if self.away:
            raise MailNotTaken("Postfix")
        if to in self.full:
            return False
        assert text and "<" in html
        self.taken.append((to, subject))
        return True


@pytest.fixture
def postfix(monkeypatch: pytest.MonkeyPatch) -> Postfix:
    made = Postfix()
    monkeypatch.setattr(posting, "send", made.send)
    return made


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    start, passed = clock.now(), [timedelta()]
    monkeypatch.setattr(clock, "now", lambda: start + passed[0])

    def wait(**time: float) -> None:
        passed[0] += timedelta(**time)
        consumers.send_notices()

    return wait


def lend(commune: Commune, box: Mailbox) -> Delegation:
    today = clock.now().astimezone(clock.PLACE).date()
    row = delegations.give(
        actor=commune.referent,
        mailbox=box,
        person_id=commune.colleague.id,
        right="read",
        first=today,
        last=today + timedelta(days=30),
        reason="absence imprévue",
    )
    run_pending("main")
    return row


def test_a_full_mailbox_hears_when_there_is_room_again(beaune: Commune, postfix: Postfix, later: Any) -> None:
    box = own_mailbox(beaune)
    postfix.full.add(box.address)
    lend(beaune, box)
    later()
    postfix.full.clear()
    later(minutes=30)
    assert postfix.taken == []
    later(minutes=31)
    later(hours=5)
    assert [to for to, _ in postfix.taken] == [box.address]


def test_of_several_only_the_full_one_is_told_again_and_only_what_is_still_true(
    beaune: Commune, system: Actor, administrator: Actor, postfix: Postfix, later: Any
) -> None:
    mayor = make_member(system, beaune.collectivite, "maire@beaune.test", "elu")
    one = own_mailbox(beaune, beaune.referent, "referente")
    full = own_mailbox(beaune, Actor("person", mayor.person_id, beaune.id, "elu"), "maire")
    export = exports.begin(
        actor=administrator, collectivite=beaune.collectivite, reason="Elle part", account="root"
    )
    run_pending("main")
    postfix.full.add(full.address)
    later()
    exports.stop(actor=beaune.referent, export=export)
    run_pending("main")
    later()
    postfix.full.clear()
    later(hours=1)
    begun, stopped = (
        "Le Département exporte tout ce qui est à la commune",
        "L’export de la commune est arrêté",
    )
    assert postfix.taken == [(one.address, begun), (one.address, stopped), (full.address, stopped)]


def test_files_by_one_link_are_told_once_an_hour_and_once_after_a_full_mailbox(
    beaune: Commune, postfix: Postfix, later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = own_mailbox(beaune)
    letter = notices.Letter("Des fichiers arrivent", "Là.", "<p>Là.</p>")
    monkeypatch.setitem(consumers.COMPOSE, drop_told.ABOUT, lambda *_: letter)

    def come() -> None:
        drop_told.ask(collectivite_id=beaune.id, share_id="shr_1", person_id=beaune.agent.id)

    postfix.full.add(box.address)
    for _ in range(5):
        come()
        later(hours=2)
    postfix.full.clear()
    later(hours=2)
    assert len(postfix.taken) == 1
    come()
    later(minutes=59)
    assert len(postfix.taken) == 1
    come()
    later(minutes=2)
    come()
    later()
    assert len(postfix.taken) == 2


def test_a_mailbox_hears_at_each_level_once_a_month_and_not_what_is_not_true_any_more(
    beaune: Commune, postfix: Postfix, later: Any
) -> None:
    """By mail: who reads in a mail program sees no bar."""
    box = own_mailbox(beaune)

    def filled(percent: int, **time: float) -> list[str]:
        used = queries.limit_bytes(None) * percent // 100
        row = {"collectivite_id": box.collectivite_id, "used_bytes": used}
        MailboxRoom.objects.update_or_create(pk=box.id, defaults=row)
        room_told.ask_due()
        later(**time)
        return [subject for _, subject in postfix.taken]

    soon, nearly = "Votre boîte se remplit", "Votre boîte est presque pleine"
    assert filled(79) == []
    assert filled(81) == filled(85, days=2) == [soon]
    assert filled(96) == [soon, nearly]
    assert filled(100) == [soon, nearly]
    assert filled(82, days=29) == [soon, nearly]
    assert filled(82) == [soon, nearly, soon]
    MailboxRoom.objects.update(used_bytes=0)
    notices.ask(room_told.ABOUT, "nearly", [box], again_after=timedelta())
    later()
    assert len(postfix.taken) == 3


def test_postfix_away_or_a_word_that_fails_keeps_nobody_from_hearing(
    beaune: Commune, nuits: Commune, postfix: Postfix, later: Any
) -> None:
    own, theirs = own_mailbox(beaune), own_mailbox(nuits)
    postfix.away = True
    notices.ask("unknown", "x", [own])
    lend(beaune, own)
    lend(nuits, theirs)
    for _ in range(3):
        with pytest.raises((KeyError, MailNotTaken)):
            later()
    postfix.away = False
    for _ in range(3):
        try:
            later(seconds=16)
        except KeyError:
            continue
    assert sorted(to for to, _ in postfix.taken) == sorted((own.address, theirs.address))
    later(days=8)
    assert not Notice.objects.filter(about="unknown").exists(), "given up"


def test_what_cannot_be_read_at_the_moment_is_tried_again_behind_the_others(
    beaune: Commune, postfix: Postfix, later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, tried = own_mailbox(beaune), []

    def compose(*_: object) -> None:
        tried.append(1)
        raise Unavailable("metadata")

    monkeypatch.setitem(consumers.COMPOSE, "drop", compose)
    for number in range(5):
        notices.ask("drop", f"shr_{number}", [box])
    lend(beaune, box)
    later()
    assert len(postfix.taken) == 1 and len(tried) == 5
    later(seconds=16)
    assert len(tried) == 10


def test_a_mailbox_that_is_closed_meanwhile_and_one_that_its_owner_lent_hear_nothing(
    beaune: Commune, postfix: Postfix, later: Any
) -> None:
    box = own_mailbox(beaune)
    today = clock.now().astimezone(clock.PLACE).date()
    delegations.give(
        actor=beaune.agent, mailbox=box, person_id=beaune.colleague.id, right="read", first=today, last=today
    )
    run_pending("main")
    assert not Notice.objects.exists()
    lent = own_mailbox(beaune, beaune.referent, "referente")
    notices.ask("delegation", "dlg_1", [lent])
    Mailbox.objects.filter(pk=lent.pk).update(closed_at=clock.now())
    later()
    assert postfix.taken == [] and not Notice.objects.exists()


def test_a_forward_that_ends_is_told_a_week_before_and_once_it_is_over(
    beaune: Commune, postfix: Postfix, later: Any
) -> None:
    box, onward = own_mailbox(beaune), own_mailbox(beaune, beaune.colleague, "collegue")
    filters.set_forward(actor=beaune.agent, mailbox=box, target=onward.address)

    def told(**time: float) -> list[str]:
        postfix.taken.clear()
        later(**time)
        filters.end_over()
        forward_told.ask_due()
        later()
        assert {to for to, _ in postfix.taken} <= {box.address}
        return [subject for _, subject in postfix.taken]

    assert told(days=82) == []
    (soon,) = told(days=2)
    assert soon.startswith("Le renvoi de votre courrier s’arrête le ")
    assert told(hours=1) == []
    filters.renew_forward(actor=beaune.agent, mailbox=box)
    assert told(days=82) == []
    assert len(told(days=2)) == 1
    assert told(days=7) == ["Le renvoi de votre courrier est arrêté"]
    assert told(hours=1) == []


def test_who_ended_a_forward_needs_no_word_of_it(beaune: Commune, postfix: Postfix, later: Any) -> None:
    box, onward = own_mailbox(beaune), own_mailbox(beaune, beaune.colleague, "collegue")
    row = filters.set_forward(actor=beaune.agent, mailbox=box, target=onward.address)
    filters.end_forward(actor=beaune.agent, row=row)
    forward_told.ask_due()
    later()
    assert postfix.taken == []

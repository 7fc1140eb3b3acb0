"""Room of mailboxes without engines: who sees it, who changes it, what the engines are told, what pages say."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from beffroi.cli import mail_quota
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import actions as retention
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid, NotAllowed, NotFound
from beffroi.lib.gigabytes import GB
from beffroi.mail import actions as mail
from beffroi.mail import deleted, folders
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.models import Mailbox
from beffroi.mail.quota import actions, counting, queries
from beffroi.mail.quota.models import CollectiviteRoom, MailboxRoom
from beffroi.mail.quota.rules import MIB, Room
from beffroi.portal import room_words

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, own_mailbox, portal_client
from tests.fixtures_portal_mail import shown_mail
from tests.fixtures_projections import engines

__all__ = ["engines", "no_door", "shown_mail"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shown_mail")]
GIB = 1024 * MIB


@pytest.fixture
def box(beaune: Commune) -> Mailbox:
    made = own_mailbox(beaune)
    Mailbox.objects.filter(pk=made.pk).update(ready_at=clock.now())
    return made


def told(config: Config, name: str, query: str) -> list[Any]:
    with sqlite3.connect(config.state / "projections" / name) as opened:
        return opened.execute(query).fetchall()


def takes(box: Mailbox, used_bytes: int) -> None:
    MailboxRoom.objects.update_or_create(
        pk=box.id,
        defaults={
            "collectivite_id": box.collectivite_id,
            "used_bytes": used_bytes,
            "counted_at": clock.now(),
        },
    )


@pytest.mark.parametrize(
    ("percent", "level"),
    [
        (0, ""),
        (79, ""),
        (80, "soon"),
        (94, "soon"),
        (95, "nearly"),
        (99, "nearly"),
        (100, "full"),
        (130, "full"),
    ],
)
def test_a_person_is_told_from_80_95_and_100_percent_on(percent: int, level: str) -> None:
    room = Room(percent * MIB, 100 * MIB)
    assert (room.percent, room.level) == (percent, level)
    line = room_words.mailbox(room)
    assert bool(line.advice) == bool(level) == bool(line.tone)
    assert line.percent <= 100
    # A byte short of full is not full.
    assert Room(100 * MIB - 1, 100 * MIB).level == "nearly"


def test_a_limit_reaches_dovecot_and_the_usual_one_comes_back(
    engines: Config, box: Mailbox, administrator: Actor
) -> None:
    actions.limit_mailbox(actor=administrator, mailbox=box, limit_mib=7168)
    run_pending("main")
    assert told(engines, "auth.sqlite", "SELECT address, mib FROM quota") == [(box.address, 7168)]
    assert queries.use(administrator, box.collectivite_id).mailboxes[0].room.limit_bytes == 7 * GIB
    actions.limit_mailbox(actor=administrator, mailbox=box, limit_mib=None)
    run_pending("main")
    assert told(engines, "auth.sqlite", "SELECT * FROM quota") == []
    verbs = AuditEntry.objects.filter(verb="mail:quota:mailbox")
    assert verbs.count() == 2


def test_a_full_collectivite_is_told_to_postfix_by_its_domains_alone(
    engines: Config, box: Mailbox, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    actions.limit_collectivite(actor=administrator, collectivite=beaune.collectivite, limit_mib=1024)
    takes(box, GIB)
    run_pending("main")
    assert told(engines, "routes.sqlite", "SELECT name FROM full_domain") == [(beaune.domain,)]
    page = portal_client(beaune.agent_membership).get(f"/courrier/{box.id}/").content.decode()
    assert "La place de votre collectivité est épuisée" in page
    actions.limit_collectivite(actor=administrator, collectivite=beaune.collectivite, limit_mib=None)
    run_pending("main")
    assert told(engines, "routes.sqlite", "SELECT name FROM full_domain") == []
    # What a closed mailbox holds takes nobody's room.
    actions.limit_collectivite(actor=administrator, collectivite=beaune.collectivite, limit_mib=1024)
    Mailbox.objects.filter(pk=box.pk).update(closed_at=clock.now())
    run_pending("main")
    assert told(engines, "routes.sqlite", "SELECT name FROM full_domain") == []


def test_only_the_departement_gives_room_and_only_a_number_is_one(box: Mailbox, beaune: Commune) -> None:
    for actor in (beaune.agent, beaune.referent):
        with pytest.raises(NotAllowed):
            actions.limit_mailbox(actor=actor, mailbox=box, limit_mib=10)
        with pytest.raises(NotAllowed):
            actions.limit_collectivite(actor=actor, collectivite=beaune.collectivite, limit_mib=10)
    for bad in (0, -1, actions.MOST_MIB + 1):
        with pytest.raises(Invalid):
            actions.limit_mailbox(actor=Actor.system("tests"), mailbox=box, limit_mib=bad)


def test_a_referent_sees_the_mailboxes_of_the_collectivite_and_nobody_elses(
    box: Mailbox, beaune: Commune, nuits: Commune
) -> None:
    takes(box, 3 * GB)
    assert [one.mailbox.id for one in queries.use(beaune.referent, beaune.id).mailboxes] == [box.id]
    with pytest.raises(NotAllowed):
        queries.use(beaune.agent, beaune.id)
    for stranger in (nuits.agent, nuits.referent):
        with pytest.raises(NotFound):
            queries.use(stranger, beaune.id)
    page = portal_client(beaune.referent_membership).get("/courrier/place/").content.decode()
    assert box.address in page and "3\u00a0Go utilisés sur 5\u00a0Go (60\u00a0%)" in page.replace(
        "60 %", "60\u00a0%"
    )
    assert (
        box.address not in portal_client(nuits.referent_membership).get("/courrier/place/").content.decode()
    )
    assert portal_client(beaune.agent_membership).get("/courrier/place/").status_code == 403


def test_the_console_gives_room_in_gigabytes_and_says_what_it_did_not_take(
    box: Mailbox, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    with on_listener("console"):
        console = console_client(administrator.id)
        address = f"/communes/{beaune.id}/place/"
        assert console.post(address, {"mailbox": box.id, "limit": "12"}).status_code == 302
        assert console.post(address, {"limit": " 300 "}).status_code == 302
        page = console.get(address).content.decode()
        assert page.count("La place est enregistrée.") == 2, "one for each"
        assert 'value="12"' in page and 'value="300"' in page and "sur 300\u00a0Go" in page
        for bad in ("0", "-3", "1,2345", "beaucoup", "9" * 8, "٣"):
            answer = console.post(address, {"mailbox": box.id, "limit": bad})
            page = answer.content.decode()
            assert answer.status_code == 400 and "Donnez un nombre de Go" in page and f'value="{bad}"' in page
        answer = console.post(address, {"limit": "1,000"}, headers={"Accept-Language": "en"})
        page = answer.content.decode()
        assert answer.status_code == 400 and "can be read in two ways: write 1000 or 1." in page
        assert queries.limit_mib(box.id) == 11_445, "whole MiB, and not less than 12 GB"
        # A limit from before, in MiB, is shown as it can be sent again.
        actions.limit_mailbox(actor=administrator, mailbox=box, limit_mib=500)
        page = console.get(address).content.decode()
        assert 'value="0,524"' in page and "sur 524\u00a0Mo" in page
        assert console.post(address, {"mailbox": box.id, "limit": "0,524"}).status_code == 302
        assert queries.limit_mib(box.id) == 500
        # A mailbox of another collectivité is none of this page.
        assert (
            console.post(f"/communes/{nuits.id}/place/", {"mailbox": box.id, "limit": "3"}).status_code == 404
        )
        assert console.post(address, {"mailbox": box.id, "limit": ""}).status_code == 302
        assert queries.limit_mib(box.id) is None


def test_the_webmail_says_in_words_what_the_bar_shows(
    box: Mailbox, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = portal_client(beaune.agent_membership)
    for used, words in ((1, ""), (82, "se remplit"), (96, "presque pleine"), (101, "Rien n’est perdu")):
        limit = Room(used * 1_000_000, 100_000_000)
        monkeypatch.setattr(folders, "room", lambda opened, limit=limit: limit)
        page = client.get(f"/courrier/{box.id}/").content.decode()
        assert f"{used}\u00a0Mo utilisés sur 100\u00a0Mo" in page and words in page
    monkeypatch.setattr(folders, "room", lambda opened: None)
    assert "utilisés sur" not in client.get(f"/courrier/{box.id}/").content.decode()


def test_figures_of_dovecot_are_read_and_none_is_no_zero() -> None:
    rows = [{"type": "MESSAGE", "value": "7"}, {"type": "STORAGE", "value": "12", "limit": "5242880"}]
    assert counting.used_bytes(rows) == 12 * 1024
    for none in (None, [], [{"type": "STORAGE", "value": "-"}]):
        assert counting.used_bytes(none) is None


def test_mailboxes_that_just_got_mail_are_counted_first(box: Mailbox, beaune: Commune) -> None:
    from tests.fixtures_portal import deliver

    takes(box, 0)
    MailboxRoom.objects.update(counted_at=clock.now() - timedelta(minutes=61))
    never = Mailbox.objects.create(
        collectivite_id=beaune.id, address="a@beaune.test", crypt_key="-", ready_at=clock.now()
    )
    assert [one.id for one in counting._due()] == [never.id, box.id]
    deliver(box, "msg_" + "7" * 26)
    assert [one.id for one in counting._due()] == [box.id, never.id]


def test_a_mailbox_that_got_mail_is_counted_after_ten_minutes_and_where_room_is_short_after_one(
    box: Mailbox, beaune: Commune, nuits: Commune
) -> None:
    from tests.fixtures_portal import deliver

    neighbour = own_mailbox(nuits)
    Mailbox.objects.filter(pk=neighbour.pk).update(ready_at=clock.now())
    for one in (box, neighbour):
        takes(one, 79 * MIB)
    MailboxRoom.objects.filter(pk=neighbour.id).update(counted_at=clock.now() - timedelta(minutes=59))
    deliver(box, "msg_" + "7" * 26)
    for minutes, percent, due in (
        (0, 79, False),
        (2, 79, False),
        (2, 80, True),
        (0, 80, False),
        (11, 79, True),
    ):
        MailboxRoom.objects.filter(pk=box.id).update(
            used_bytes=percent * MIB, counted_at=clock.now() - timedelta(minutes=minutes)
        )
        CollectiviteRoom.objects.update_or_create(pk=beaune.id, defaults={"limit_mib": 100})
        assert [one.id for one in counting._due()] == ([box.id] if due else [])


def test_nothing_deleted_goes_for_good_while_the_clock_is_in_doubt(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(Doveadm, "run_groups", lambda self, groups: asked.append(groups) or [])
    takes(box, 0)
    monkeypatch.setattr(retention, "trusted_now", lambda now: now - timedelta(days=400))
    assert (deleted.purge(), asked) == (0, [])
    monkeypatch.setattr(retention, "trusted_now", lambda now: now)
    assert deleted.purge() == 1 and len(asked) == 1
    assert deleted.purge() == 0  # once a day
    with clock.jumped(2 * 86400):
        assert deleted.purge() == 0
        with clock.shifted(clock.BELIEVED_AFTER_S + 60):
            assert deleted.purge() == 1, "it has stood for an hour"


def test_the_command_shows_and_gives_room(
    engines: Config, box: Mailbox, beaune: Commune, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> str:
        mail_quota._run(mail_quota._parser().parse_args(arguments))
        return capsys.readouterr().out

    takes(box, GB)
    assert f"{box.address}" in run(beaune.collectivite.name)
    assert "1.00 of 9 GB   11 %" in run(box.address, "--gb", "9")
    assert "(own limit)" not in run(box.address, "--usual")
    takes(box, GB + MIB)
    assert "FULL" in run(beaune.collectivite.name, "--gb", "1")
    assert beaune.collectivite.name in run()
    with pytest.raises(mail_quota.NoSuchPlace):
        run("nobody@nowhere.test")
    for change in (("--gb", "3"), ("--usual",), ("", "--gb", "3")):
        with pytest.raises(SystemExit):
            mail_quota.main([*change, "--state", str(engines.state)])
        assert "say whose room: ADDRESS" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(box.address, "--gb", "0")


def test_a_mailbox_that_is_opened_again_has_the_limit_that_it_had(
    box: Mailbox, system: Actor, engines: Config
) -> None:
    actions.limit_mailbox(actor=system, mailbox=box, limit_mib=50_000)
    takes(box, 30 * GIB)
    mail.close_mailbox(actor=system, mailbox=box)
    run_pending("main")
    assert queries.use(system, box.collectivite_id).room.used_bytes == 0
    mail.reopen_mailbox(actor=system, mailbox=box)
    assert queries.limit_mib(box.id) == 50_000
    (use,) = queries.use(system, box.collectivite_id).mailboxes
    assert (use.room.used_bytes, use.counted_at) == (30 * GIB, None), "the first to be counted"

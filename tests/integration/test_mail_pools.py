"""Warm-up of a new address and doubtful senders: what moves them, who sees them, and what the mail door is told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound
from beffroi.mail.domains.asking import Asker
from beffroi.mail.gate.exits import UNLIMITED, State, state_path
from beffroi.mail.models import JournalPosition, Mailbox, MailMessage, MailRecipient
from beffroi.mail.reports.models import Complaint
from beffroi.mail.sending import (
    actions,
    consumers,
    exits,
    pool_actions,
    pool_queries,
    reputation,
    retention,
    warming,
)
from beffroi.mail.sending.models import Doubted, RefusedDay, SendingAlarm, Warming
from beffroi.portal import sending_words
from beffroi.portal.web.banners import banners
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_dns import authority, resolver
from tests.fixtures_portal import no_door

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
POOLS = "nouvelle warming mx2.centre.example 91.240.118.2 2a00:1::2; douteux doubtful mx3.centre.example 91.240.118.3"
DAY = 86400


@pytest.fixture
def config(settings: Any, tmp_path: Path) -> Config:
    (tmp_path / "projections").mkdir()
    settings.BEFFROI = replace(
        settings.BEFFROI,
        state=tmp_path,
        outgoing_mail=True,
        outgoing_name="mx1.centre.example",
        outgoing_addresses="91.240.118.1",
        outgoing_pools=POOLS,
    )
    return settings.BEFFROI


@pytest.fixture
def box(beaune: Commune) -> Mailbox:
    return Mailbox.objects.create(
        collectivite_id=beaune.collectivite.id,
        address=f"lettre@{beaune.domain}",
        crypt_key="x",
        created_at=clock.now() - timedelta(days=100),
    )


def told(config: Config) -> State:
    return msgspec.json.decode(state_path(config).read_bytes(), type=State)


def answer(*lanes: tuple[str, str, str, int], senders: tuple[tuple[str, int, int, int], ...] = ()) -> None:
    pool_actions.count_answers(lanes, senders, now=clock.now())


def verbs() -> list[str]:
    found = AuditEntry.objects.order_by("id").values_list("verb", flat=True)
    return [one for one in found if one.startswith(("mail:warming", "mail:sender"))]


def test_a_warm_up_goes_on_by_days_with_mail_alone_to_its_end(config: Config) -> None:
    exits.look(config)
    assert told(config).shares == {"nouvelle": warming.TABLE[0]}
    with clock.shifted(DAY):
        exits.look(config)
        assert told(config).shares == {"nouvelle": warming.TABLE[0]}, "a day without mail does not count"
        answer(("nouvelle", "orange", "sent", 7))
    with clock.shifted(2 * DAY):
        exits.look(config)
        assert told(config).shares == {"nouvelle": warming.TABLE[1]}
    for day in range(2, len(warming.TABLE) + 1):
        with clock.shifted(day * DAY):
            answer(("nouvelle", "", "sent", 1))
        with clock.shifted((day + 1) * DAY):
            exits.look(config)
    assert told(config).shares == {"nouvelle": UNLIMITED}
    assert verbs() == ["mail:warming:begun", "mail:warming:done"]
    exits.look(replace(config, outgoing_pools=""))
    assert not Warming.objects.exists()
    assert told(config).shares == {}


def test_refusals_that_the_first_address_does_not_meet_pause_it_with_an_alarm(
    config: Config, console: Client
) -> None:
    exits.look(config)
    Warming.objects.update(step=6)
    answer(("nouvelle", "orange", "sent", 30), ("nouvelle", "orange", "refused", 8))
    answer(("", "orange", "sent", 30), ("", "orange", "refused", 9))
    exits.look(config)
    assert "nouvelle" in told(config).shares, "the provider refuses everybody today"
    answer(("", "orange", "sent", 300))
    exits.look(config)
    assert told(config).shares == {}
    assert "1 nouvelle adresse d’envoi est en pause" in console.get("/").content.decode()
    page = console.get("/sortant/").content.decode()
    assert "orange refuse trop de courriels" in page
    console.post("/sortant/adresse/nouvelle/", {"word": "resume"})
    run_pending("main")
    exits.look(config)
    assert told(config).shares == {"nouvelle": warming.TABLE[3]}, (
        "half as far, and not paused again for the same"
    )
    assert verbs() == ["mail:warming:begun", "mail:warming:paused", "mail:warming:resumed"]


def test_a_person_pauses_and_goes_on_where_it_was(config: Config, console: Client) -> None:
    exits.look(config)
    Warming.objects.update(step=4)
    assert console.post("/sortant/adresse/nouvelle/", {"word": "x"}).status_code == 400
    assert console.post("/sortant/adresse/autre/", {"word": "pause"}).status_code == 404
    console.post("/sortant/adresse/nouvelle/", {"word": "pause"})
    run_pending("main")
    assert told(config).shares == {}
    assert "à la demande d’une personne" in console.get("/sortant/").content.decode()
    assert "est en pause" not in console.get("/").content.decode(), "no alarm for what a person wants"
    console.post("/sortant/adresse/nouvelle/", {"word": "resume"})
    run_pending("main")
    assert told(config).shares == {"nouvelle": warming.TABLE[4]}


def _sent(box: Mailbox, recipients: int) -> None:
    row = MailMessage.objects.create(
        received_at=clock.now(),
        message_id="x",
        message_id_hash="x",
        sender=box.address,
        client_ip="198.51.100.9",
        helo="pc",
        verdict='{"signed_in":true}',
    )
    MailRecipient.objects.bulk_create(
        MailRecipient(message_id=row.id, address=f"{n}@ailleurs.example") for n in range(recipients)
    )


def _refused(box: Mailbox) -> None:
    _sent(box, 100)
    answer(senders=((box.address, 20, 0, 100), ("nobody@ailleurs.example", 99, 99, 99)))


def _complained(box: Mailbox) -> None:
    for n in range(3):
        Complaint.objects.create(
            collectivite_id=box.collectivite_id,
            mailbox_id=box.id,
            once=str(n),
            mail_hash="x",
            kind="abuse",
            reporter="signal-spam.fr",
            authentic=True,
        )


def _contained(box: Mailbox) -> None:
    alarm = SendingAlarm.objects.create(
        mailbox_id=box.id, collectivite_id=box.collectivite_id, limit="takeover", most=0
    )
    actions.contain(actor=Actor.system("tests"), alarm=alarm)
    actions.give_back(actor=Actor.system("tests"), alarm=alarm)


def _limited(box: Mailbox) -> None:
    payload = {
        "account": box.address,
        "limit": "hour_messages",
        "most": 200,
        "refused": 1,
        "impossible": False,
    }
    assert actions.note_refusal(payload)


def _new(box: Mailbox) -> None:
    Mailbox.objects.filter(pk=box.pk).update(created_at=clock.now() - timedelta(days=2))
    _sent(box, 100)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (_refused, "refused"),
        (_complained, "complaints"),
        (_contained, "contained"),
        (_limited, "limit"),
        (_new, "new"),
    ],
)
def test_a_doubtful_account_leaves_by_its_own_address_and_returns_by_itself_when_it_is_clean(
    config: Config, box: Mailbox, facts: Any, reason: str
) -> None:
    exits.look(config)
    assert told(config).doubtful == frozenset()
    facts(box)
    exits.look(config)
    assert told(config).doubtful == {box.address}
    assert Doubted.objects.get().reasons == reason
    with clock.shifted(9 * DAY):
        exits.look(config)
        assert told(config).doubtful == frozenset()
    assert verbs()[-2:] == ["mail:sender:doubted", "mail:sender:trusted"]


def test_without_an_address_for_them_nobody_is_doubted(config: Config, box: Mailbox) -> None:
    _refused(box)
    exits.look(replace(config, outgoing_pools=""))
    assert not Doubted.objects.exists()


def test_an_administrator_says_that_it_is_normal_and_takes_it_back(
    config: Config, box: Mailbox, console: Client, beaune: Commune
) -> None:
    assert "Personne pour le moment" in console.get("/sortant/").content.decode()
    _refused(box)
    exits.look(config)
    page = console.get("/sortant/").content.decode()
    assert box.address in page
    assert beaune.collectivite.name in page
    assert "beaucoup d’adresses refusées" in page
    path = f"/sortant/douteux/{box.id}/"
    assert console.post(path, {"word": "x"}).status_code == 400
    assert console.post(path, {"word": "spare"}).status_code == 302
    run_pending("main")
    exits.look(config)
    assert told(config).doubtful == frozenset()
    assert "quoi qu’il arrive" in console.get("/sortant/").content.decode()
    assert console.post(path, {"word": "spare"}).status_code == 409
    console.post(path, {"word": "spare_no_more"})
    exits.look(config)
    assert told(config).doubtful == {box.address}
    assert [one for one in verbs() if "spare" in one] == ["mail:sender:spared", "mail:sender:spared_no_more"]


def test_with_one_address_the_page_says_so_and_the_door_is_told_nothing(
    config: Config, settings: Any, console: Client
) -> None:
    settings.BEFFROI = replace(config, outgoing_pools="")
    exits.look(settings.BEFFROI)
    assert not state_path(config).exists()
    page = console.get("/sortant/").content.decode()
    assert "Tout le courrier part d’une seule adresse, 91.240.118.1" in page
    assert "Comptes douteux" not in page


def test_only_the_departement_sees_and_changes_them(config: Config, box: Mailbox, beaune: Commune) -> None:
    exits.look(config)
    _refused(box)
    exits.look(config)
    row, doubted = Warming.objects.get(), Doubted.objects.get()
    for ask in (
        lambda: pool_queries.ways(beaune.referent, config),
        lambda: pool_queries.doubted(beaune.referent),
        lambda: pool_queries.access_warming(beaune.referent, "nouvelle"),
        lambda: pool_queries.access_doubted(beaune.referent, box.id),
        lambda: pool_actions.pause(actor=beaune.referent, row=row),
        lambda: pool_actions.resume(actor=beaune.referent, row=row),
        lambda: pool_actions.spare(actor=beaune.referent, row=doubted),
        lambda: pool_actions.spare_no_more(actor=beaune.referent, row=doubted),
    ):
        with pytest.raises(NotFound):
            ask()
    assert pool_queries.refused_warmings(beaune.referent) == 0


def test_name_and_spf_of_every_address_are_asked(
    config: Config, settings: Any, console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones = {
        "centre.example": "mx1 A 91.240.118.1\nmx2 A 91.240.118.2\nmx2 AAAA 2a00:1::ff\nmx3 A 91.240.118.3\n"
        '_spf TXT "v=spf1 ip4:91.240.118.0/31 ip4:91.240.118.2 -all"\n',
        "118.240.91.in-addr.arpa": "1 PTR mx1.centre.example.\n2 PTR autre.example.\n3 PTR mx3.centre.example.\n",
        "1.0.0.0.0.0.a.2.ip6.arpa": f"2.{'0.' * 22}0 PTR mx2.centre.example.\n",
    }
    settings.BEFFROI = replace(config, mail_spf="include:_spf.centre.example")
    with authority(zones) as behind, resolver(behind) as (address, port):
        monkeypatch.setattr(
            "beffroi.mail.domains.checking.own_resolver", lambda *_, **__: Asker(address, port)
        )
        consumers.ask_lists()
    states = {
        one.address: one.state
        for way in pool_queries.ways(Actor.system("tests"), settings.BEFFROI)
        for one in way.names
    }
    assert states == {
        "91.240.118.1": reputation.NAMED,
        "91.240.118.2": reputation.OTHER_PTR,
        "2a00:1::2": reputation.NO_ADDRESS,
        "91.240.118.3": reputation.NO_SPF,
    }
    assert "le SPF des communes ne la nomme pas" in console.get("/sortant/").content.decode()


def test_what_was_counted_goes_with_its_days(box: Mailbox) -> None:
    answer(("nouvelle", "", "sent", 1), senders=((box.address, 3, 3, 9),))
    assert RefusedDay.objects.get().count == 3
    later = clock.now() + timedelta(days=1)
    assert retention.lanes(later).count() == retention.refused(later).count() == 1
    assert retention.slots(later).count() == 1
    Doubted.objects.create(mailbox_id=box.id, collectivite_id=box.collectivite_id, reasons="new")
    assert retention.doubted(later).count() == 0
    Doubted.objects.update(ended_at=clock.now())
    assert retention.doubted(later).count() == 1


def _heard(box: Mailbox, unknown: int, answered: int, *, sender: str = "") -> SendingAlarm | None:
    """The worker reads so much of the log; return the open alarm."""
    place = JournalPosition.objects.get_or_create(pk=actions.LEFT)[0].offset_bytes
    told = ((sender or box.address, unknown, unknown, answered),)
    assert actions.count_left(before=place, after=place + 1, rows=(), senders=told)
    return SendingAlarm.objects.filter(mailbox_id=box.id, closed_at=None).first()


def test_who_writes_to_a_list_of_strangers_is_held_and_told_why(
    config: Config, box: Mailbox, beaune: Commune, console: Client
) -> None:
    assert _heard(box, 19, 30) is None
    alarm = _heard(box, 1, 1)
    assert (
        alarm is not None and alarm.contained_at is not None and (alarm.limit, alarm.most) == ("unknown", 20)
    )
    recorded = json.loads(AuditEntry.objects.get(verb="mail:sending:unknown").details)
    assert recorded["answered"] == 31
    assert "20 destinataires inconnus" in console.get("/sortant/").content.decode()
    [banner] = banners([box])
    assert banner.held == alarm and "20 destinataires inconnus" in sending_words.why(alarm)
    # One click; what was counted before counts no more.
    assert console.post(f"/sortant/compte/{alarm.id}/", {"word": "give_back"}).status_code == 302
    assert _heard(box, 1, 1) is None and not banners([box])


def test_no_detail_behind_a_plus_hides_whose_mail_it_is(config: Config, box: Mailbox) -> None:
    for number in range(20):
        assert SendingAlarm.objects.count() == 0
        _heard(box, 1, 1, sender=box.address.replace("@", f"+{number}@").title())
    assert SendingAlarm.objects.get().contained_at is not None


def test_a_newsletter_that_the_departement_marked_is_not_held(
    config: Config, box: Mailbox, beaune: Commune, console: Client
) -> None:
    assert _heard(box, 40, 1000) is None, "a list that grew old is a small part"
    other = Mailbox.objects.create(
        collectivite_id=beaune.collectivite.id, address=f"info@{beaune.domain}", crypt_key="x"
    )
    alarm = _heard(other, 40, 60)
    assert alarm is not None
    with pytest.raises(NotFound):
        actions.give_back(actor=beaune.referent, alarm=alarm, spared=True)
    assert console.post(f"/sortant/compte/{alarm.id}/", {"word": "spare"}).status_code == 302
    SendingAlarm.objects.update(closed_at=clock.now() - timedelta(hours=2))
    assert _heard(other, 40, 60) is None
    Doubted.objects.update(spared_until=clock.now())
    assert _heard(other, 40, 60) is not None

"""The console's page of outgoing mail over HTTP; Postfix's queue is answered from a list here, and is real in
tests/clients/test_mail_queue.py."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import actions, queries, queue
from beffroi.mail.sending.models import ChosenPartner, SendingAlarm
from beffroi.mail.sending.queue import Queue, Waiting
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import no_door
from tests.integration.test_mail_aliases import made

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
ID = "4abcDEF123ghiJKL"


@pytest.fixture
def mailbox(beaune: Commune) -> Mailbox:
    return Mailbox.objects.create(
        collectivite_id=beaune.collectivite.id,
        address=f"envoi@{beaune.domain}",
        person_id=beaune.agent.id,
        crypt_key="x",
    )


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch, mailbox: Mailbox) -> list[Waiting]:
    why = "host smtp-in.orange.fr said: 421 <script>alert(1)</script> Too many connections, slow down"
    since = clock.now() - timedelta(hours=3)
    found = [Waiting(ID, "deferred", since, 4_096, mailbox.address, (("x@orange.fr", why),), mailbox.address)]

    def read(_config: object, **wanted: Collection[str]) -> Queue:
        rows = tuple(one for one in found if "ids" not in wanted or one.id in wanted["ids"])
        return Queue(len(rows), rows)

    monkeypatch.setattr(queue, "read", read)
    return found


def _alarm(mailbox: Mailbox, *, impossible: bool = False) -> SendingAlarm:
    payload = {
        "account": mailbox.address,
        "limit": "hour_messages",
        "most": 200,
        "refused": 120 if impossible else 1,
        "impossible": impossible,
    }
    found = actions.note_refusal(payload)
    assert found is not None
    return found


def _verbs() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("verb", flat=True))


def test_page_says_what_waits_since_when_why_and_of_which_account(
    console: Client, waiting: list[Waiting], beaune: Commune
) -> None:
    page = console.get("/sortant/").content.decode()
    for text in (
        waiting[0].sender,
        "x@orange.fr",
        "Too many connections",
        beaune.collectivite.name,
        "sera réessayé",
    ):
        assert text in page
    assert "<script>alert(1)" not in page


def test_a_mail_that_was_sent_with_an_alias_has_its_commune_too(
    console: Client, waiting: list[Waiting], mailbox: Mailbox, beaune: Commune
) -> None:
    made(beaune, "elus", mailbox)
    for sender, named in (("elus@beaune.test", 1), ("elus+x@beaune.test", 1), ("elus@ailleurs.example", 0)):
        waiting[0] = replace(waiting[0], sender=sender, account=sender)
        page = console.get("/sortant/").content.decode()
        assert page.count(beaune.collectivite.name) == named, sender


def test_a_mail_without_a_sender_is_its_account_s_and_goes_back_to_nobody(
    console: Client, waiting: list[Waiting], mailbox: Mailbox, beaune: Commune
) -> None:
    waiting[0] = replace(waiting[0], sender="")
    page = console.get("/sortant/").content.decode()
    assert mailbox.address in page and beaune.collectivite.name in page and "word=return" not in page
    for account, passed_on, told in (("", True, "avis d’un serveur"), ("", False, "le centre lui-même")):
        waiting[0] = replace(waiting[0], account=account, passed_on=passed_on)
        assert told in console.get("/sortant/").content.decode()


def test_another_limit_is_told_in_the_open_alarm_and_a_takeover_keeps_its_word(mailbox: Mailbox) -> None:
    alarm = _alarm(mailbox)
    _alarm(mailbox)
    assert _verbs().count("mail:sending:limited") == 1, "the same limit again says nothing new"
    payload = {"account": mailbox.address, "limit": "relay_recipients", "most": 0, "refused": 1}
    again = actions.note_refusal(payload | {"impossible": False})
    assert again is not None and (again.pk, again.limit, again.most) == (alarm.pk, "relay_recipients", 0)
    assert _verbs().count("mail:sending:limited") == 2
    actions.note_takeover(mailbox=mailbox, what="forward")
    again = actions.note_refusal(payload | {"impossible": False})
    assert again is not None and again.limit == actions.TAKEOVER


def test_page_without_the_keeper_says_so_and_still_shows_accounts(
    console: Client, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    _alarm(mailbox)
    page = console.get("/sortant/").content.decode()
    assert "ne répond pas pour le moment" in page
    assert mailbox.address in page


def test_retry_and_delete_are_recorded_and_asked_of_the_worker(
    console: Client, waiting: list[Waiting]
) -> None:
    assert console.post(f"/sortant/{ID}/", {"word": "retry"}).status_code == 302
    assert "Supprimer ce courriel" in console.get(f"/sortant/{ID}/?word=delete").content.decode()
    assert console.post(f"/sortant/{ID}/", {"word": "delete"}).status_code == 302
    assert [verb for verb in _verbs() if verb.startswith("mail:queue:")] == [
        "mail:queue:retry",
        "mail:queue:delete",
    ]
    asked = [
        json.loads(e.payload) for e in OutboxEvent.objects.filter(kind="mail:queue_change").order_by("id")
    ]
    assert [(one["verb"], one["ids"]) for one in asked] == [("retry", [ID]), ("delete", [ID])]


def test_mail_that_left_meanwhile_and_a_verb_that_is_none_change_nothing(
    console: Client, waiting: list[Waiting]
) -> None:
    assert console.post("/sortant/9ZZZZZZZZ/", {"word": "delete"}).status_code == 404
    assert console.post(f"/sortant/{ID}/", {"word": "ALL"}).status_code == 400
    assert not OutboxEvent.objects.filter(kind="mail:queue_change").exists()


def test_account_over_its_limit_is_a_line_of_the_overview_and_can_be_held_and_given_back(
    console: Client, mailbox: Mailbox, waiting: list[Waiting]
) -> None:
    alarm = _alarm(mailbox)
    assert "envoie trop" in console.get("/").content.decode()
    assert "plus de 200 courriels en une heure" in console.get("/sortant/").content.decode()
    console.post(f"/sortant/compte/{alarm.id}/", {"word": "contain"})
    assert queries.held_accounts() == {mailbox.address}
    assert "Rendre le compte" in console.get("/sortant/").content.decode()
    # What is held leaves by giving the account back, not mail by mail.
    assert console.post(f"/sortant/{ID}/", {"word": "retry"}).status_code == 409
    console.post(f"/sortant/compte/{alarm.id}/", {"word": "give_back"})
    assert queries.held_accounts() == set()
    assert [v for v in _verbs() if v.startswith("mail:sending:")] == [
        "mail:sending:limited",
        "mail:sending:contained",
        "mail:sending:given_back",
    ]


def test_impossible_rate_holds_the_account_and_ends_its_sessions_once(
    mailbox: Mailbox, beaune: Commune
) -> None:
    for _ in range(2):
        alarm = _alarm(mailbox, impossible=True)
    assert alarm.contained_at is not None
    assert SendingAlarm.objects.count() == 1
    assert _verbs().count("identity:sessions:ended") == 1
    assert _verbs().count("mail:sending:contained") == 1


def test_nobody_of_a_commune_sees_or_changes_the_queue_or_another_s_alarm(
    mailbox: Mailbox, waiting: list[Waiting], beaune: Commune, nuits: Commune, settings: object
) -> None:
    from django.conf import settings as conf

    alarm = _alarm(mailbox)
    for actor in (nuits.agent, nuits.referent, beaune.referent):
        with pytest.raises(NotFound):
            queries.outgoing(actor, conf.BEFFROI)
        with pytest.raises(NotFound):
            actions.change_queued(actor=actor, verb="delete", messages=waiting)
        with pytest.raises(NotFound):
            actions.contain(actor=actor, alarm=alarm)
        with pytest.raises(NotFound):
            actions.give_back(actor=actor, alarm=alarm)
    with pytest.raises(NotFound):
        queries.access_alarm(nuits.referent, alarm.id)
    assert queries.access_alarm(beaune.referent, alarm.id) == alarm


def test_page_of_the_queue_is_for_administrators(console: Client, waiting: list[Waiting]) -> None:
    for path in ("/sortant/", f"/sortant/{ID}/?word=delete"):
        assert Client().get(path, secure=True).status_code == 302


def test_page_says_how_well_what_left_was_protected_and_where_it_was_not(
    console: Client, waiting: list[Waiting], beaune: Commune
) -> None:
    assert "Chiffrement de ce qui est parti" not in console.get("/sortant/").content.decode()
    rows = [("a.test", "proved", 7), ("b.test", "encrypted", 5), ("clair.test", "clear", 3)]
    assert actions.count_left(before=0, after=900, rows=rows)
    assert not actions.count_left(before=0, after=900, rows=rows), "another reader was faster"
    page = console.get("/sortant/").content.decode()
    assert "clair.test" in page
    assert "3 destinataires servis en clair" in page
    assert "a.test" not in page.partition("clair.test")[2]
    with pytest.raises(NotFound):
        queries.protected(beaune.referent, days=30)


def test_encryption_is_demanded_of_a_partner_and_not_any_more(
    console: Client, waiting: list[Waiting], beaune: Commune
) -> None:
    assert "Aucun domaine pour le moment" in console.get("/sortant/").content.decode()
    assert (
        console.post(
            "/sortant/partenaires/", {"word": "choose", "domain": " @Prefecture.Example "}
        ).status_code
        == 302
    )
    assert list(ChosenPartner.objects.values_list("domain", flat=True)) == ["prefecture.example"]
    page = console.get("/sortant/").content.decode()
    assert "prefecture.example" in page and "Ne plus exiger" in page
    for wrong in ("", "pas un domaine", "x@y@z", "<b>", "é" * 299, beaune.domain, "192.0.2.1"):
        answer = console.post("/sortant/partenaires/", {"word": "choose", "domain": wrong})
        assert answer.status_code == 400, wrong
        assert "Ce n’est pas le domaine d’un partenaire" in answer.content.decode()
    assert console.post("/sortant/partenaires/", {"word": "x", "domain": "a.example"}).status_code == 400
    console.post("/sortant/partenaires/", {"word": "leave", "domain": "prefecture.example"})
    console.post("/sortant/partenaires/", {"word": "leave", "domain": "prefecture.example"})
    assert not ChosenPartner.objects.exists()
    verbs = list(AuditEntry.objects.order_by("id").values_list("verb", flat=True))
    assert [one for one in verbs if "partner" in one] == ["mail:partner:chosen", "mail:partner:left"]


def test_only_the_departement_demands_encryption(beaune: Commune) -> None:
    for ask in (
        lambda: actions.choose_partner(actor=beaune.referent, name="a.example"),
        lambda: actions.leave_partner(actor=beaune.referent, domain="a.example"),
        lambda: queries.chosen_partners(beaune.referent),
    ):
        with pytest.raises(NotFound):
            ask()

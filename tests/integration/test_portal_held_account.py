"""A held account over HTTP: its référent learns whose and why, its person what to do, and both print one sheet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import actions
from beffroi.mail.sending.models import SendingAlarm
from beffroi.portal.words import de_fr

from tests.conftest import Commune
from tests.fixtures_portal import no_door, own_mailbox, portal_client, shared_box, text
from tests.fixtures_portal_mail import shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shown_mail")]
CONTACT = "03 80 00 00 00, jour et nuit"


@pytest.fixture
def mailbox(beaune: Commune) -> Mailbox:
    return own_mailbox(beaune)


@pytest.fixture
def alarm(mailbox: Mailbox, settings: Any) -> SendingAlarm:
    settings.BEFFROI = replace(settings.BEFFROI, incident_contact=CONTACT)
    actions.note_takeover(mailbox=mailbox, what="forward")
    return SendingAlarm.objects.get()


def sheet_of(alarm: SendingAlarm) -> str:
    return f"/courrier/suspendue/{alarm.id}/"


def test_the_referent_finds_whose_account_why_and_a_sheet_to_print(
    beaune: Commune, mailbox: Mailbox, alarm: SendingAlarm
) -> None:
    referent = portal_client(beaune.referent_membership)
    home, name = text(referent.get("/")), beaune.agent_membership.person.name
    for said in (mailbox.address, f"C’est la boîte {de_fr(name)}", "réseau jamais vu", sheet_of(alarm)):
        assert said in home
    page = text(referent.get(sheet_of(alarm)))
    leader = beaune.referent_membership.person.name
    for said in (name, mailbox.address, "réseau jamais vu", CONTACT, leader, "en main propre", "data-print"):
        assert said in page


def test_its_person_is_told_at_home_and_reads_the_same_sheet(
    beaune: Commune, mailbox: Mailbox, alarm: SendingAlarm
) -> None:
    person = portal_client(beaune.agent_membership)
    for path in ("/", f"/courrier/{mailbox.id}/"):
        assert sheet_of(alarm) in text(person.get(path)), path
    page = text(person.get(sheet_of(alarm)))
    assert "changez votre mot de passe" in page and CONTACT in page
    assert "Ce que vous faites, personne référente" not in page


def test_a_shared_mailbox_is_nobody_s_alone(beaune: Commune, alarm: SendingAlarm) -> None:
    actions.note_takeover(mailbox=shared_box(beaune), what="filter")
    shared = SendingAlarm.objects.get(person_id="")
    referent = portal_client(beaune.referent_membership)
    assert "Plusieurs personnes y écrivent" in text(referent.get("/"))
    assert "une boîte partagée est suspendue" in text(referent.get(sheet_of(shared)))


def test_nobody_else_of_the_commune_or_of_another_reads_it(
    beaune: Commune, nuits: Commune, alarm: SendingAlarm
) -> None:
    for stranger in (beaune.colleague_membership, nuits.agent_membership, nuits.referent_membership):
        client = portal_client(stranger)
        assert client.get(sheet_of(alarm)).status_code == 404
        assert sheet_of(alarm) not in text(client.get("/"))


def test_what_is_only_noticed_or_was_given_back_has_no_sheet(
    beaune: Commune, mailbox: Mailbox, alarm: SendingAlarm, administrator: Actor
) -> None:
    actions.give_back(actor=administrator, alarm=alarm)
    noticed = actions.note_complaints(mailbox=mailbox, count=5)
    referent = portal_client(beaune.referent_membership)
    for one in (alarm, noticed):
        assert referent.get(sheet_of(one)).status_code == 404
    assert "suspendue" not in text(referent.get("/"))

"""What a person's export holds of their mailbox: restores, imports, what left, alarms, and lines of the journal about
them. Each table that names a person is in it, or is told here why not."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.backup.models import Restore
from beffroi.mail.importing import actions as importing
from beffroi.mail.importing.models import ImportSender
from beffroi.mail.importing.source import Where
from beffroi.mail.models import Mailbox, Sending
from beffroi.mail.people import actions as people
from beffroi.mail.reports.models import Complaint
from beffroi.mail.sending.models import Doubted, SendingAlarm
from beffroi.portal import person_file
from django.apps import apps

from tests.conftest import Commune
from tests.fixtures_portal import own_mailbox, shared_box

pytestmark = pytest.mark.django_db


def restored(mailbox: Mailbox, asked_by: str, **more: Any) -> None:
    Restore.objects.create(
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        asked_by=asked_by,
        at=clock.now() - timedelta(days=2),
        **more,
    )


def test_an_export_holds_the_persons_restores_and_nobody_elses(beaune: Commune, nuits: Commune) -> None:
    own, shared, other = own_mailbox(beaune), shared_box(beaune), own_mailbox(nuits)
    restored(own, beaune.agent.id, by_owner=True, search="facture")
    restored(own, beaune.referent.id)
    restored(shared, beaune.agent.id)
    restored(shared, beaune.colleague.id)
    restored(other, nuits.agent.id, search="secret")
    content = person_file.compose(beaune.agent_membership.person.email, account="test")
    assert content is not None
    found = [(one["mailbox_id"], one["asked_by"], one["search"]) for one in content["mail_restores"]]
    assert sorted(found) == sorted(
        [
            (own.id, beaune.agent.id, "facture"),
            (own.id, beaune.referent.id, ""),
            (shared.id, beaune.agent.id, ""),
        ]
    )
    assert "secret" not in str(content)


def exported(commune: Commune, who: str = "agent") -> dict[str, Any]:
    membership = getattr(commune, f"{who}_membership")
    content = person_file.compose(membership.person.email, account="test")
    assert content is not None
    json.dumps(content)  # it is written as JSON
    return content


def test_an_export_holds_the_old_mailbox_and_who_still_writes_there_but_no_password(beaune: Commune) -> None:
    own, shared = own_mailbox(beaune), shared_box(beaune, beaune.agent)
    old = Where("imap.orange.fr", 993, "implicit", "claire.martin@orange.fr", "mot-de-passe-ancien")
    job = importing.begin(actor=beaune.agent, mailbox=own, where=old)
    of_all = importing.begin(
        actor=beaune.agent, mailbox=shared, where=replace(old, username="mairie@orange.fr")
    )
    for one, address in ((job, "notaire@exemple.fr"), (of_all, "habitant@exemple.fr")):
        ImportSender.objects.create(job=one, address=address, mails=3, last_at=clock.now())
    importing.tick(actor=beaune.agent, mailbox=own, key="chorus_pro", done=True)
    content = exported(beaune)
    assert {one["username"] for one in content["imports"]} == {"claire.martin@orange.fr", "mairie@orange.fr"}
    assert [one["address"] for one in content["import_senders"]] == ["notaire@exemple.fr"]
    assert [one["key"] for one in content["moved_places"]] == ["chorus_pro"]
    job.refresh_from_db()
    assert job.password and job.password not in str(content) and "mot-de-passe-ancien" not in str(content)
    assert exported(beaune, "colleague")["imports"] == []


def test_an_export_holds_what_left_and_the_alarms_of_ones_own_mailbox(
    beaune: Commune, nuits: Commune
) -> None:
    for commune, word in ((beaune, "ours"), (nuits, "theirs")):
        own = own_mailbox(commune)
        Sending.objects.create(
            mailbox_id=own.id, collectivite_id=commune.id, person_id=commune.agent.id, uid_validity=1, uid=1,
            message_id_hash="0", due_at=clock.now(), refused=json.dumps([f"{word}@exemple.fr"]),
        )  # fmt: skip
        SendingAlarm.objects.create(
            mailbox_id=own.id,
            collectivite_id=commune.id,
            person_id=commune.agent.id,
            limit="minute",
            most=1,
        )
        Complaint.objects.create(
            mailbox_id=own.id, collectivite_id=commune.id, once=word, mail_hash="0", kind="abuse", reporter=word,
            authentic=True,
        )  # fmt: skip
        Doubted.objects.create(mailbox_id=own.id, collectivite_id=commune.id, reasons=word)
    content = exported(beaune)
    assert content["sendings"][0]["refused"] == '["ours@exemple.fr"]'
    assert len(content["sending_alarms"]) == 1
    assert [one["reporter"] for one in content["complaints"]] == ["ours"]
    assert [one["reasons"] for one in content["doubted"]] == ["ours"]
    assert "theirs" not in str(content)


def test_the_journal_of_an_export_holds_what_others_did_to_the_person(beaune: Commune) -> None:
    shared = shared_box(beaune)
    people.add_member(actor=beaune.referent, mailbox=shared, person=beaune.agent_membership.person)
    identity.give_password(
        actor=Actor("administrator", "adm_1", None, "administrator"),
        person=beaune.agent_membership.person,
        reason="rappelée à la mairie",
    )
    lines = {one["verb"]: one for one in exported(beaune)["journal"]}
    assert lines["mail:shared:member_added"]["object_id"] == shared.id
    assert lines["identity:password:given"]["names"] == {"why": "rappelée à la mairie"}
    others = {one["verb"] for one in exported(beaune, "colleague")["journal"]}
    assert not others & {"mail:shared:member_added", "identity:password:given"}


PERSON = {"person_id", "person", "membership", "membership_id", "mailbox_id", "email", "owner_id"}
ELSEWHERE = {
    "account_emailaddress": "the address, in `person`",
    "administrator": "the Département's own directory",
    "mail_alias_target": "in `aliases`",
    "mail_answered_slot": "two numbers, for a day",
    "mail_catch_all": "the collectivité's",
    "mail_digest": "an hour of the day",
    "mail_erasure": "of closed mailboxes, in the journal",
    "mail_export": "of closed mailboxes, in the journal",
    "mail_mailbox_room": "the size of the mailbox, which the person sees",
    "mail_notice": "mails of the centre, which the person has",
    "mail_shared_mailbox": "nobody's",
}


def test_every_table_that_says_of_whom_it_is_stands_in_the_export() -> None:
    """A new table is exported, or gets its line in ELSEWHERE."""
    text = inspect.getsource(person_file)
    for model in apps.get_models():
        table, names = model._meta.db_table, {one.name for one in model._meta.get_fields()}
        if names & PERSON and f"{model.__name__}.objects" not in text:
            assert table in ELSEWHERE, table

"""A person's rights: two administrators erase a name, one command hands out what is held; the archive stays."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from beffroi.cli import persons, retention
from beffroi.core.approvals import actions as approvals
from beffroi.core.audit import queries as audit
from beffroi.core.audit.models import AuditEntry, AuditPersonal
from beffroi.core.events import running
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.registry import consumers
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity import device_links, erasure
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator, SignInRefused, create_administrator
from beffroi.core.identity.models import AppPassword, Membership, Person
from beffroi.core.retention import actions as purge
from beffroi.incidents import actions as incidents
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, NotAllowed
from beffroi.mail import app_passwords, doveadm, projections
from beffroi.mail.models import Mailbox, MailMessage
from django.test import Client

from tests.conftest import PASSWORD, Commune, code_of
from tests.fixtures_portal import (
    LURE_ID,
    console_client,
    deliver,
    no_door,
    on_listener,
    own_mailbox,
    sighting,
)
from tests.fixtures_projections import engines
from tests.terminal import Types, terminal

pytestmark = pytest.mark.usefixtures("database")
__all__ = ["engines", "no_door", "terminal"]


@pytest.fixture
def other(system: Actor) -> NewAdministrator:
    return create_administrator(actor=system, email="autre@cotedor.test", name="Grace", password=PASSWORD)


@pytest.fixture
def person(beaune: Commune) -> Person:
    return beaune.agent_membership.person


@pytest.fixture
def kicked(engines: Config, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Dovecot is told to do, where it is not there."""
    told: list[Any] = []
    monkeypatch.setattr(doveadm.Doveadm, "__init__", lambda *_: None)
    monkeypatch.setattr(doveadm.Doveadm, "run", lambda _self, commands, **_: told.extend(commands) or [])
    return told


@pytest.mark.usefixtures("engines")
def test_two_administrators_erase_what_names_a_person_and_the_history_stays(
    beaune: Commune, person: Person, administrator: Actor, other: NewAdministrator, kicked: list[Any]
) -> None:
    mailbox = own_mailbox(beaune)
    deliver(mailbox, LURE_ID)
    issued = identity.issue_app_password(
        actor=beaune.agent,
        membership=beaune.agent_membership,
        protocol_set="imap",
        label="Téléphone de Jeanne",
    )
    link = device_links.make(
        actor=beaune.agent, membership=beaune.agent_membership, kind="android", label="Téléphone"
    )
    device_links.open_once(link.secret, address="192.0.2.77")
    one = erasure.request(actor=administrator, person=person, reason="elle l’a demandé")
    assert Person.objects.get(pk=person.pk).name == "agent"  # nothing before the second word
    approvals.approve(actor=Actor("administrator", other.record.id, None, "administrator"), approval=one)
    run_pending("main")
    gone = Person.objects.get(pk=person.pk)
    assert (gone.name, gone.email, gone.is_active) == ("", f"{person.pk}@efface.invalid", False)
    assert not AppPassword.objects.filter(pk=issued.record.pk).exists()
    assert Membership.objects.get(pk=beaune.agent_membership.pk).until is not None
    kept_mailbox = Mailbox.objects.get()
    assert (kept_mailbox.address, MailMessage.objects.count()) == (mailbox.address, 1)
    assert kept_mailbox.closed_at is not None, "what still came would be read by nobody"
    entry = AuditEntry.objects.get(verb="identity:person:erased")
    assert (entry.personal_digest, set(json.loads(entry.details))) == ("", {"audit_entries"})
    kept = " ".join(AuditPersonal.objects.values_list("content", flat=True))
    for theirs in ('"email":"agent@beaune.test"', "192.0.2.77", "elle l’a demandé"):
        assert theirs not in kept, theirs
    assert audit.verify(full=True).ok
    assert erasure.carry_out(person.pk) is False  # a second time nothing is left
    assert not Client().login(username="agent@beaune.test", password=PASSWORD)


def test_who_is_erased_is_put_out_of_the_mailbox_that_stays(
    beaune: Commune, person: Person, engines: Config, kicked: list[Any]
) -> None:
    """The rows of the app passwords are gone when Dovecot is told."""
    mailbox = own_mailbox(beaune)
    issued = identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap,smtp"
    )
    run_pending("main")
    assert projections.opens(engines, addresses=[], app_passwords=[issued.record.id])
    assert erasure.carry_out(person.pk)
    run_pending("main")
    assert not projections.opens(engines, addresses=[], app_passwords=[issued.record.id])
    assert doveadm.kick(mailbox.address) in kicked


def test_an_app_password_opens_nothing_any_more_though_dovecot_hangs(
    beaune: Commune, engines: Config
) -> None:
    """Whoever was revoked next waited half a minute for the other's connections."""
    own_mailbox(beaune)
    issued = identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap"
    )
    one = consumers()["mail.app_passwords"]
    run_pending("main")
    identity.revoke_app_password(actor=beaune.agent, app_password=issued.record)
    with socket.create_server(("127.0.0.1", engines.doveadm_port)) as hanging:  # takes, and never answers
        running._guarded(one, threading.Event())
        hanging.setblocking(False)
        with pytest.raises(BlockingIOError):
            hanging.accept()  # nobody came
    assert not projections.opens(engines, addresses=[], app_passwords=[issued.record.id])
    (told,) = OutboxEvent.objects.filter(kind=app_passwords.ENDED)
    assert consumers()["mail.connections"].kinds == (told.kind,)


def test_one_administrator_alone_erases_nobody_and_no_one_else_may_ask(
    beaune: Commune, person: Person, administrator: Actor
) -> None:
    for actor in (beaune.referent, beaune.agent, Actor.system("tests")):
        with pytest.raises(NotAllowed):
            erasure.request(actor=actor, person=person, reason="x")
    one = erasure.request(actor=administrator, person=person, reason="x")
    with pytest.raises(approvals.SamePerson):
        approvals.approve(actor=administrator, approval=one)
    with pytest.raises(Conflict):
        erasure.request(actor=administrator, person=person, reason="again")
    assert Person.objects.get(pk=person.pk).erased_at is None


def test_whom_an_incident_concerns_keeps_the_name_until_it_is_over(
    beaune: Commune, person: Person, administrator: Actor, other: NewAdministrator
) -> None:
    one = erasure.request(actor=administrator, person=person, reason="x")
    about = incidents.declare(actor=beaune.agent, typed=True, message_id=LURE_ID, evidence=[])
    approvals.approve(actor=Actor("administrator", other.record.id, None, "administrator"), approval=one)
    run_pending("main")
    assert Person.objects.get(pk=person.pk).erased_at is None
    assert AuditEntry.objects.filter(verb="identity:erasure:held", object_id=person.pk).count() == 1
    with pytest.raises(erasure.ErasureHeld):
        erasure.request(actor=administrator, person=person, reason="x")
    incidents.close(actor=administrator, incident=about, reason="false_alarm")
    assert erasure.request(actor=administrator, person=person, reason="x")


@pytest.mark.usefixtures("engines")
def test_a_restored_database_brings_nobody_back_who_was_erased(
    beaune: Commune, person: Person, config: Config
) -> None:
    backup = Person.objects.filter(pk=person.pk).values().get()
    erasure.erase(person)
    run_pending("main")
    assert erasure.again(config) == 0
    Person.objects.filter(pk=person.pk).update(**backup)
    Membership.objects.filter(person=person).update(until=None)
    about = incidents.declare(actor=beaune.agent, typed=True, message_id=LURE_ID, evidence=[])
    assert erasure.again(config) == 0, "an open incident holds the name"
    incidents.close(
        actor=Actor("administrator", "adm_1", None, "administrator"), incident=about, reason="false_alarm"
    )
    assert erasure.again(config) == 1
    gone = Person.objects.get(pk=person.pk)
    assert (gone.name, gone.email, gone.is_active) == ("", f"{person.pk}@efface.invalid", False)
    assert Membership.objects.get(person=person).until is not None
    assert erasure.again(config) == 0


# -- the console -----------------------------------------------------------------------------------------------


def test_the_second_administrator_reads_the_reason_and_needs_a_present_code(
    person: Person, administrator: Actor, other: NewAdministrator
) -> None:
    one = erasure.request(actor=administrator, person=person, reason="départ en retraite")
    path = f"/conservation/effacement/{one.id}/"
    with on_listener("console"):
        asker, second = console_client(administrator.id), console_client(other.record.id)
        assert "départ en retraite" in second.get(path).content.decode()
        assert 'value="grant"' not in asker.get(path).content.decode()
        assert second.post(path, {"word": "grant", "code": "000000"}).status_code == 403
        assert asker.post(path, {"word": "grant", "code": "000000"}).status_code == 403
        assert erasure.waiting().count() == 1
        assert second.post(path, {"word": "grant", "code": code_of(other)}).status_code == 302
        assert second.get(path).status_code == 404
    run_pending("main")
    assert Person.objects.get(pk=person.pk).erased_at is not None


def test_the_report_says_what_was_deleted_and_what_to_do_about_a_clock_in_doubt(
    beaune: Commune, administrator: Actor
) -> None:
    deliver(own_mailbox(beaune), LURE_ID)
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "pas encore terminée" in client.get("/conservation/").content.decode()
        with clock.shifted(400 * 86400):
            with pytest.raises(purge.ClockInDoubt):
                purge.begin()
            assert (
                "--clock-is-right" in console_client(administrator.id).get("/conservation/").content.decode()
            )
            assert (
                "purge quotidienne est arrêtée" in console_client(administrator.id).get("/").content.decode()
            )
            assert purge.go_on(purge.begin(clock_confirmed_by="root"))
            text = console_client(administrator.id).get("/conservation/").content.decode()
    assert "Dernière purge" in text
    assert "Traces de courriels" in text
    assert beaune.domain not in text


# -- the command line ------------------------------------------------------------------------------------------


def test_the_command_asks_and_says_what_is_kept(
    terminal: Types, person: Person, new_administrator: NewAdministrator, config: Config,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    state, by = str(config.state), new_administrator.record.email
    words = ["erase", person.email, "--reason", "départ", "--by", by, "--state", state]
    terminal(PASSWORD, "000000")
    with pytest.raises(SignInRefused):
        persons.main(words)
    terminal(PASSWORD, code_of(new_administrator))
    assert persons.main(words) == 0
    said = capsys.readouterr().out
    assert "another administrator must agree" in said
    assert "public archive" in said
    assert erasure.waiting().get().requested_by == new_administrator.record.id


def test_an_export_holds_the_persons_data_and_nobody_elses(
    terminal: Types, beaune: Commune, nuits: Commune, config: Config, tmp_path: Path
) -> None:
    person = beaune.agent_membership.person
    deliver(own_mailbox(beaune), LURE_ID)
    sighting(beaune.id, beaune.agent.id)
    sighting(nuits.id, nuits.agent.id)
    identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap", label="Téléphone"
    )
    file = tmp_path / "agent.json"
    assert persons.main(["export", person.email, str(file), "--state", str(config.state)]) == 0
    found = json.loads(file.read_text("utf-8"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert found["person"]["email"] == person.email
    assert [one["label"] for one in found["app_passwords"]] == ["Téléphone"]
    assert [one["collectivite_id"] for one in found["reports"]] == [beaune.id]
    assert [one["message_id"] for one in found["mail_traces"]] == [LURE_ID]
    text = file.read_text("utf-8")
    for foreign in (nuits.id, nuits.agent.id, "nuits.test", "collegue", PASSWORD, "argon2", "sha256"):
        assert foreign not in text, foreign
    assert AuditEntry.objects.filter(verb="identity:person:exported", object_id=person.pk).count() == 1
    with pytest.raises(persons.PersonUnknown):
        persons.main(["export", "nobody@beaune.test", str(tmp_path / "x.json"), "--state", str(config.state)])
    assert not (tmp_path / "x.json").exists()


def test_the_retention_command_shows_counts_and_purges(
    terminal: Types, beaune: Commune, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(own_mailbox(beaune), LURE_ID)
    state = ["--state", str(config.state)]
    with clock.shifted(400 * 86400):
        assert retention.main(["run", "--dry-run", *state]) == 0
        assert MailMessage.objects.count() == 1
        with pytest.raises(purge.ClockInDoubt):
            retention.main(["run", *state])
        assert retention.main(["show", *state]) == 1
        assert retention.main(["run", "--clock-is-right", *state]) == 0
        assert not MailMessage.objects.exists()
        capsys.readouterr()
        assert retention.main(["show", "--json", *state]) == 0
        told = json.loads(capsys.readouterr().out)
    assert {one["name"]: one["deleted"] for one in told["categories"]}["messages"] == 1

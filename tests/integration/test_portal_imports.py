"""The pages of an import, from the form to the report, without a network: what the process would have done is set."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.lib import clock
from beffroi.mail.importing import actions, retention, source
from beffroi.mail.importing.models import (
    ImportedMails,
    ImportFailure,
    ImportFolder,
    ImportJob,
    ImportSender,
    MovedPlace,
)
from beffroi.mail.models import Mailbox
from django.test import Client
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_portal import no_door, own_mailbox, portal_client
from tests.markup import flat

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
SECRET = "mot-de-passe-de-l-ancienne-boite"
State = ImportJob.State


@pytest.fixture
def mailbox(beaune: Commune) -> Mailbox:
    return own_mailbox(beaune)


@pytest.fixture
def client(beaune: Commune, mailbox: Mailbox) -> Client:
    return portal_client(beaune.agent_membership)


def begun(client: Client, mailbox: Mailbox) -> ImportJob:
    form = {"fournisseur": "orange", "username": "mairie@orange.fr", "password": SECRET}
    answer = client.post(reverse("mail_imports", args=[mailbox.id]), form)
    assert answer.status_code == 302
    return ImportJob.objects.get()


def seen(client: Client, job: ImportJob, part: str = "") -> str:
    path = reverse("mail_import", args=[job.mailbox_id, job.id])
    answer = client.get(f"{path}?part={part}", headers={"HX-Request": "true"}) if part else client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def say(client: Client, job: ImportJob, word: str, **form: object) -> int:
    path = reverse("mail_import", args=[job.mailbox_id, job.id])
    return client.post(path, {"word": word, **form}).status_code


def listed(job: ImportJob) -> list[ImportFolder]:
    """As the process leaves it when it has asked for the folders."""
    ImportJob.objects.filter(pk=job.pk).update(state=State.READY)
    return [
        ImportFolder.objects.create(
            job=job, name=name, target=target, chosen=chosen, place=place, total=total, role=role
        )
        for place, (name, target, chosen, total, role) in enumerate(
            (("INBOX", "INBOX", True, 1200, "inbox"), ("TRASH", "Trash", False, 80, "trash"))
        )
    ]


def test_what_was_ticked_is_still_so_where_it_is_refused(client: Client, mailbox: Mailbox) -> None:
    job = begun(client, mailbox)
    listed(job)
    path = reverse("mail_import", args=[mailbox.id, job.id])
    assert seen(client, job).count(" checked>") == 2, "what is proposed"
    page = client.post(path, {"word": "choose"}).content.decode()
    assert "au moins un dossier" in page and " checked>" not in page
    page = client.post(path, {"word": "choose", "collect": "1"}).content.decode()
    assert page.count(" checked>") == 1


def test_an_import_is_stopped_by_a_word_that_undoes_nothing_elsewhere(
    client: Client, mailbox: Mailbox
) -> None:
    """*Annuler* takes back what was done; here what was copied stays, and the password goes."""
    job = begun(client, mailbox)
    for state in (State.LISTING, State.RUNNING, State.PAUSED):
        ImportJob.objects.filter(pk=job.pk).update(state=state)
        page = seen(client, job)
        assert "Arrêter la reprise" in page and "Annuler" not in page, state
    assert say(client, job, "cancel") == 302 and "reste dans votre boîte" in seen(client, job)


def test_a_password_that_can_be_none_is_said_beside_its_field(client: Client, mailbox: Mailbox) -> None:
    job = begun(client, mailbox)
    ImportJob.objects.filter(pk=job.pk).update(state=State.PAUSED, error="mail.import_sign_in_refused")
    answer = client.post(
        reverse("mail_import", args=[mailbox.id, job.id]), {"word": "resume", "password": "x" * 300}
    )
    assert answer.status_code == 400 and "Vérifiez ce que vous avez saisi." in answer.content.decode()


def test_a_known_provider_is_filled_in_and_the_password_never_comes_back(
    client: Client, mailbox: Mailbox
) -> None:
    page = client.get(reverse("mail_imports", args=[mailbox.id]), {"fournisseur": "gmail"}).content.decode()
    assert "imap.gmail.com" in page and "mot de passe d’application" in page
    job = begun(client, mailbox)
    assert (job.host, job.port, job.tls, job.state) == ("imap.orange.fr", 993, "implicit", State.LISTING)
    assert SECRET not in job.password
    assert actions.where(job).password == SECRET
    assert SECRET not in seen(client, job)
    everything = str([*AuditEntry.objects.values(), *OutboxEvent.objects.values()])
    assert SECRET not in everything
    assert "mail:import:begun" in everything


def test_microsoft_is_said_to_take_no_password(client: Client, mailbox: Mailbox) -> None:
    page = client.get(reverse("mail_imports", args=[mailbox.id]), {"fournisseur": "outlook"}).content.decode()
    assert "n’accepte plus de mot de passe" in page
    assert 'name="password"' not in page


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"host": "a b", "username": "x", "password": SECRET}, "nom du serveur"),
        ({"host": "imap.exemple.fr", "username": "", "password": SECRET}, "identifiant"),
        ({"host": "imap.exemple.fr", "username": "x", "password": ""}, "mot de passe de l’ancienne"),
        ({"host": "imap.exemple.fr", "username": "x", "password": SECRET, "tls": "none"}, "protection"),
        ({"host": "imap.exemple.fr", "username": "x", "password": SECRET, "port": "²"}, "protection"),
    ],
)
def test_what_is_wrong_in_the_form_is_said_beside_it(
    client: Client, mailbox: Mailbox, form: dict[str, str], text: str
) -> None:
    answer = client.post(reverse("mail_imports", args=[mailbox.id]), {"fournisseur": "autre", **form})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert text in page and SECRET not in page
    assert not ImportJob.objects.exists()


def test_a_protection_that_was_chosen_stays_chosen_while_something_else_is_wrong(
    client: Client, mailbox: Mailbox
) -> None:
    form = {"fournisseur": "autre", "host": "imap.exemple.fr", "username": "", "tls": "starttls"}
    page = client.post(reverse("mail_imports", args=[mailbox.id]), form).content.decode()
    assert '<option value="starttls" selected>' in page


def test_a_protection_that_is_none_is_told_at_its_field(client: Client, mailbox: Mailbox) -> None:
    form = {
        "fournisseur": "autre",
        "host": "imap.exemple.fr",
        "username": "x",
        "tls": "none",
        "password": SECRET,
    }
    page = client.post(reverse("mail_imports", args=[mailbox.id]), form).content.decode()
    (field,) = re.findall(r'<select id="id_tls"[^>]*>', page)
    assert 'aria-invalid="true"' in field and 'id="id_tls_error"' in page


def test_folders_are_chosen_and_progress_is_shown(client: Client, mailbox: Mailbox) -> None:
    job = begun(client, mailbox)
    assert "hx-trigger" in seen(client, job)
    inbox, trash = listed(job)
    page = seen(client, job)
    assert "1\u202f200 courriels" in page.replace("\xa0", "\u202f") and "Corbeille" in page
    assert say(client, job, "choose") == 400
    assert say(client, job, "choose", folder=[trash.pk + 99]) == 400
    assert say(client, job, "choose", folder=[inbox.pk], collect="1") == 302
    job.refresh_from_db()
    assert job.state == State.RUNNING and job.collect_until is not None
    assert [one.name for one in job.folders.filter(chosen=True)] == ["INBOX"]
    job.folders.filter(pk=inbox.pk).update(copied=300, present=2, failed=1)
    ImportFailure.objects.create(
        folder=inbox, uid=7, reason="too_large", size_bytes=60_000_000, received_at=clock.now()
    )
    page = seen(client, job, "state")
    assert 'value="25"' in page and "plus de 52,4\u00a0Mo" in page and "<html" not in page


def test_hundreds_of_folders_are_chosen_in_one_go(client: Client, mailbox: Mailbox) -> None:
    job = begun(client, mailbox)
    listed(job)
    ImportFolder.objects.bulk_create(
        ImportFolder(job=job, name=f"F{number}", target=f"F{number}")
        for number in range(source.MAX_FOLDERS - 2)
    )
    wanted = [*job.folders.values_list("id", flat=True)]
    assert say(client, job, "choose", folder=[*wanted, "9" * 5000], collect="1") == 302
    assert job.folders.filter(chosen=True).count() == source.MAX_FOLDERS


def test_a_folder_that_is_gone_is_told_by_its_name(client: Client, mailbox: Mailbox) -> None:
    job = begun(client, mailbox)
    inbox, _ = listed(job)
    ImportFailure.objects.create(folder=inbox, uid=0, reason="folder_gone")
    page = flat(seen(client, job))
    assert 'INBOX</span><span class="note">ce dossier n’est plus dans l’ancienne boîte' in page


def test_files_that_are_no_mails_are_said(client: Client, mailbox: Mailbox) -> None:
    job = actions.begin_archive(mailbox=mailbox, name="vieux.zip", account="root")
    actions.end_archive(job, complete=True, passed_over=12, names=["<b>.pst", "INBOX.msf"])
    page = seen(client, job)
    assert "12 fichiers de l’archive ne sont pas des courriels" in page
    assert "&lt;b&gt;.pst" in page and "INBOX.msf" in page and "Les premiers noms" in page


def test_what_an_import_brought_is_taken_away_once_it_is_over(client: Client, mailbox: Mailbox) -> None:
    job = begun(client, mailbox)
    path = reverse("mail_import_undo", args=[mailbox.id, job.id])
    assert "pas finie" in client.get(path).content.decode() and client.post(path).status_code == 409
    say(client, job, "cancel")
    page = client.get(path).content.decode()
    assert "plus rien à retirer" in page and "<button" not in page.split("h-what")[1].split("</main")[0]
    assert client.post(path).status_code == 409
    assert path not in seen(client, job)


def test_what_came_before_there_were_lists_is_said_to_stay(client: Client, mailbox: Mailbox) -> None:
    job = begun(client, mailbox)
    folder, _ = listed(job)
    ImportFolder.objects.filter(pk=folder.pk).update(copied=1200)
    ImportJob.objects.filter(pk=job.pk).update(state=State.DONE)
    said = "1\xa0200 courriels ont été copiés avant que Beffroi note lesquels"
    assert said in seen(client, job) and "Retirer ce qui a été copié" not in seen(client, job)
    page = client.get(reverse("mail_import_undo", args=[mailbox.id, job.id])).content.decode()
    assert said in page and "Rien ne peut être retiré d’ici" in page
    # It went on after the update: the rest is on a list.
    ImportedMails.objects.create(folder=folder, uidvalidity=1, after=0, uids="1:200")
    page = seen(client, job)
    assert "1\xa0000 courriels ont été copiés avant" in page and "Retirer ce qui a été copié" in page
    ImportedMails.objects.update(uids="1:1200")
    assert "avant que Beffroi note" not in seen(client, job)


def test_pause_resume_and_cancel_each_work_once(client: Client, mailbox: Mailbox) -> None:
    job = begun(client, mailbox)
    inbox, _ = listed(job)
    assert say(client, job, "pause") == 409
    say(client, job, "choose", folder=[inbox.pk])
    for word, state in (("pause", State.PAUSED), ("resume", State.RUNNING), ("cancel", State.CANCELLED)):
        assert say(client, job, word) == 302
        job.refresh_from_db()
        assert job.state == state
        assert seen(client, job)
    assert job.password == ""
    assert say(client, job, "resume") == 409
    assert say(client, job, "nonsense") == 400


def test_a_wrong_certificate_is_refused_in_plain_french_and_a_new_password_is_asked_for(
    client: Client, mailbox: Mailbox
) -> None:
    job = begun(client, mailbox)
    ImportJob.objects.filter(pk=job.pk).update(state=State.PAUSED, error="mail.import_not_trusted")
    assert "Le certificat de ce serveur n’est pas valable" in seen(client, job)
    ImportJob.objects.filter(pk=job.pk).update(error="mail.import_sign_in_refused")
    assert 'name="password"' in seen(client, job)
    assert say(client, job, "resume", password="le-bon") == 302
    job.refresh_from_db()
    assert job.state == State.LISTING
    assert actions.where(job).password == "le-bon"


def test_no_fourth_import_is_opened(client: Client, mailbox: Mailbox) -> None:
    form = {"fournisseur": "free", "username": "x@free.fr", "password": SECRET}
    codes = [client.post(reverse("mail_imports", args=[mailbox.id]), form).status_code for _ in range(4)]
    assert codes == [302, 302, 302, 400]


def test_who_still_writes_and_where_the_new_address_was_given(client: Client, mailbox: Mailbox) -> None:
    job = begun(client, mailbox)
    ImportSender.objects.create(
        job=job, address="<b>notaire@exemple.fr", mails=3, last_at=clock.now() - timedelta(days=1)
    )
    path = reverse("mail_imports", args=[mailbox.id])
    page = client.get(path).content.decode()
    assert "&lt;b&gt;notaire@exemple.fr" in page and "3 courriels" in page
    assert client.post(path, {"place": "chorus_pro", "done": "1"}).status_code == 302
    assert client.post(path, {"place": "chorus_pro", "done": "1"}).status_code == 302
    assert MovedPlace.objects.get().key == "chorus_pro"
    assert "1 faits sur" in client.get(path).content.decode()
    client.post(path, {"place": "chorus_pro", "done": "0"})
    assert not MovedPlace.objects.exists()
    assert client.post(path, {"place": "nowhere", "done": "1"}).status_code == 400


def test_an_error_is_tried_again_later_and_then_left_to_the_person(client: Client, mailbox: Mailbox) -> None:
    from beffroi.mail.importing.errors import SignInRefused, Throttled, Unreachable

    job = begun(client, mailbox)
    inbox, _ = listed(job)
    say(client, job, "choose", folder=[inbox.pk])
    pauses = []
    for _ in range(3):
        actions.interrupted(job, Unreachable("x"))
        job.refresh_from_db()
        pauses.append(round((job.next_run_at - clock.now()).total_seconds()))
    assert job.state == State.RUNNING and pauses == sorted(pauses) and pauses[0] < pauses[2]
    assert "continuera d’elle-même" in seen(client, job)
    actions.interrupted(job, Throttled("x"))
    job.refresh_from_db()
    assert job.next_run_at - clock.now() > timedelta(minutes=50)
    actions.interrupted(job, SignInRefused("x"))
    job.refresh_from_db()
    assert job.state == State.PAUSED


def test_the_address_on_the_sheet_leads_each_person_to_their_own_import(
    client: Client, mailbox: Mailbox, beaune: Commune, nuits: Commune
) -> None:
    assert client.get("/reprendre/").headers["Location"] == reverse("mail_imports", args=[mailbox.id])
    for other in (beaune.referent_membership, nuits.agent_membership):  # who have no mailbox of their own
        assert portal_client(other).get("/reprendre/").headers["Location"] == reverse("mail")
    stranger = Client().get("/reprendre/", secure=True)
    assert stranger.headers["Location"] == "/connexion/?next=%2Freprendre%2F"


@pytest.mark.parametrize("state", [State.READY, State.PAUSED])
def test_what_waits_for_its_person_for_a_month_forgets_the_password(
    client: Client, mailbox: Mailbox, state: str
) -> None:
    job = begun(client, mailbox)
    ImportJob.objects.filter(pk=job.pk).update(state=state)
    assert actions.end_all(retention.abandoned(clock.now())) == 1
    job.refresh_from_db()
    assert (job.state, job.password) == (State.CANCELLED, "")
    assert "Le mot de passe est effacé" in seen(client, job)


def test_archives_whose_command_was_killed_stand_in_nobody_s_way(client: Client, mailbox: Mailbox) -> None:
    cut = [actions.begin_archive(mailbox=mailbox, name=f"{n}.mbox", account="root") for n in range(4)]
    states = [ImportJob.objects.get(pk=one.pk).state for one in cut]
    assert states == [State.CANCELLED] * 3 + [State.RUNNING]
    ImportJob.objects.filter(tls="none").update(state=State.RUNNING)
    form = {"fournisseur": "free", "username": "x@free.fr", "password": SECRET}
    assert client.post(reverse("mail_imports", args=[mailbox.id]), form).status_code == 302

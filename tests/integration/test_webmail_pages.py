"""The pages of writing without engines: what is wrong is said beside what was typed, and only the own page writes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity import sessions
from beffroi.lib.errors import NotFound
from beffroi.mail import sendings
from beffroi.mail.drafts import Place
from beffroi.mail.models import Mailbox, Sending
from beffroi.mail.reader import MessageView
from beffroi.mail.unsubscribing import Way
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_held import decide
from tests.fixtures_portal import no_door, own_mailbox, portal_client
from tests.fixtures_portal_mail import shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.usefixtures("database", "shown_mail")


@pytest.fixture
def box(beaune: Commune) -> Mailbox:
    return own_mailbox(beaune)


def schedule(beaune: Commune, box: Mailbox, uid: int = 1) -> Sending:
    return sendings.schedule(
        actor=beaune.agent, mailbox=box, place=Place(1, uid), message_id="<a@b>", recipients=3
    )


@pytest.mark.parametrize("path", ["brouillon/", "agir/", "dossiers/", "envoi/{sending}/annuler/"])
def test_a_form_of_another_site_changes_nothing(beaune: Commune, box: Mailbox, path: str) -> None:
    sending = schedule(beaune, box)
    client = Client(enforce_csrf_checks=True, headers={"X-Beffroi-Listener": "portal"})
    client.force_login(beaune.agent_membership.person)
    session = client.session
    session[sessions.MEMBERSHIP_KEY] = beaune.agent_membership.id
    session.save()
    address = f"/courrier/{box.id}/" + path.format(sending=sending.id)
    assert client.post(address, {"what": "send", "to": "a@b.example"}).status_code == 403
    assert set(Sending.objects.values_list("state", flat=True)) == {"waiting"}


def test_what_was_typed_is_still_there_beside_what_is_wrong(beaune: Commune, box: Mailbox) -> None:
    client = portal_client(beaune.agent_membership)
    typed = {"what": "send", "to": "pas une adresse", "subject": "Objet <b>", "text": "</textarea><script>1"}
    answer = client.post(f"/courrier/{box.id}/brouillon/", typed)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "pas une adresse\u00a0» n’est pas une adresse complète" in page
    for word in (
        "Objet &lt;b&gt;",
        "&lt;/textarea&gt;&lt;script&gt;1",
        'value="pas une adresse"',
        "aria-invalid",
    ):
        assert word in page
    for field, value in (
        ("subject", "a\r\nBcc: x@y.example"),
        ("to", ""),
        ("message_id", "<x@elsewhere.example>"),
    ):
        form = {"what": "send", "to": "a@b.example", field: value}
        answer = client.post(f"/courrier/{box.id}/brouillon/", form, headers={"Accept": "application/json"})
        assert answer.status_code == 400 and json.loads(answer.content)["error"]
    assert client.post(f"/courrier/{box.id}/brouillon/", {"what": "boil"}).status_code == 400


@pytest.mark.parametrize("decided", ["", "cote-dor.example", "liste.example"])
def test_a_list_is_left_by_a_message_that_is_ready_or_on_its_page_unless_it_is_decided(
    beaune: Commune, nuits: Commune, box: Mailbox, shown_mail: list[MessageView], decided: str
) -> None:
    by_mail, by_page = (
        Way("stop@liste.example", "Fin <b>", "Merci"),
        Way(url="https://www.liste.example\\@a.example/?x='1"),
    )
    newsletter = shown_mail[1]
    client, path = portal_client(beaune.agent_membership), f"/courrier/{box.id}/ecrire/?desabonner=2"
    if decided:
        decide(decided)
    shown_mail[1] = replace(newsletter, unsubscribe=by_page)
    read = client.get(f"/courrier/{box.id}/2/").content.decode()
    link = 'href="https://www.liste.example/@a.example/?x=&#x27;1" target="_blank" rel="noopener noreferrer nofollow"'
    assert (link in read, "Se désabonner, sur la page www.liste.example" in read) == (
        not decided,
        not decided,
    )
    assert client.get(path).status_code == 404, "there is nobody to write to"
    shown_mail[1] = replace(newsletter, unsubscribe=by_mail)
    read = client.get(f"/courrier/{box.id}/2/").content.decode()
    assert ("desabonner=2" in read) == (not decided)
    answer = client.get(path)
    assert answer.status_code == (404 if decided else 200)
    page = answer.content.decode()
    for said in ('value="stop@liste.example"', 'value="Fin &lt;b&gt;"', ">\nMerci</textarea>", "<h1>"):
        assert (said in page) == (not decided or said == "<h1>"), said
    assert portal_client(nuits.agent_membership).get(path).status_code == 404


def test_a_mail_that_is_gone_leaves_a_way_back_to_the_others(beaune: Commune, box: Mailbox) -> None:
    client = portal_client(beaune.agent_membership)
    gone = client.get(f"/courrier/{box.id}/999999/")
    assert gone.status_code == 404 and 'href="/courrier/"' in gone.content.decode().partition("<main")[2]


@pytest.mark.parametrize(("size_bytes", "status"), [(20_000_000, 503), (20_500_000, 400)])
def test_what_the_page_says_of_attached_files_is_what_it_takes(
    beaune: Commune, box: Mailbox, size_bytes: int, status: int
) -> None:
    client = portal_client(beaune.agent_membership)
    files = SimpleUploadedFile("plan.bin", bytes(size_bytes))
    typed = {"what": "save", "text": "Mes mots", "files": files}
    answer = client.post(f"/courrier/{box.id}/brouillon/", typed)
    page = answer.content.decode()
    assert answer.status_code == status, "503: what was taken goes on to Dovecot, which is away"
    assert "déposez-les ici : 20\u00a0Mo au plus ensemble" in page.replace("\u00a0:", " :")
    assert page.count("Non ajouté") == (2 if status == 400 else 1), "for the script, and where it was refused"
    assert 'data-limit="20000000"' in page


def test_without_dovecot_the_page_keeps_the_words_and_says_what_to_do(beaune: Commune, box: Mailbox) -> None:
    client = portal_client(beaune.agent_membership)
    answer = client.post(f"/courrier/{box.id}/brouillon/", {"what": "save", "text": "Mes mots"})
    assert answer.status_code == 503
    assert "Mes mots" in answer.content.decode() and "Rien n’est perdu" in answer.content.decode()


def test_every_step_of_a_sending_is_on_record_without_words_or_addresses(
    beaune: Commune, box: Mailbox
) -> None:
    sending = schedule(beaune, box)
    with pytest.raises(sendings.AlreadyLeaving):
        schedule(beaune, box)
    assert sendings.cancel(actor=beaune.agent, sending=sending)
    assert not sendings.cancel(actor=beaune.agent, sending=sending)
    again = schedule(beaune, box)
    Sending.objects.filter(pk=again.pk).update(state="sending")
    assert not sendings.cancel(actor=beaune.agent, sending=again)
    with pytest.raises(sendings.AlreadyLeaving):
        sendings.call_back(actor=beaune.agent, mailbox=box, place=Place(1, 1))
    sendings.settle(again, reason="recipient", refused=["x@y.example"])
    sendings.settle(again, reason="size")
    verbs = list(
        AuditEntry.objects.filter(verb__startswith="mail:sending")
        .order_by("id")
        .values_list("verb", flat=True)
    )
    assert verbs == [f"mail:sending:{one}" for one in ("scheduled", "cancelled", "scheduled", "refused")]
    kinds = (
        OutboxEvent.objects.filter(kind__startswith="mail:sending")
        .order_by("pk")
        .values_list("kind", "payload")
    )
    assert [kind for kind, _ in kinds] == [one.replace("g:", "g_") for one in verbs]
    assert "y.example" not in "".join(payload for _, payload in kinds)


def test_a_colleague_and_a_neighbour_call_nothing_back(beaune: Commune, nuits: Commune, box: Mailbox) -> None:
    sending = schedule(beaune, box)
    for stranger in (beaune.referent, nuits.agent):
        with pytest.raises(NotFound):
            sendings.cancel(actor=stranger, sending=sending)
        with pytest.raises(NotFound):
            sendings.schedule(actor=stranger, mailbox=box, place=Place(1, 9), message_id="", recipients=1)
    assert Sending.objects.get().state == "waiting"


def test_attached_files_are_still_ticked_beside_what_is_wrong(beaune: Commune, box: Mailbox) -> None:
    client = portal_client(beaune.agent_membership)
    passed_on = {"forward": ["2"], "forwarded_uid": "1", "forwarded_folder": "INBOX"}
    draft = {"uid": "1", "uid_validity": "1", "keep": ["3"]}  # which this mailbox does not tell of
    form = {"what": "send", "to": "pas une adresse", **passed_on, **draft}
    page = client.post(f"/courrier/{box.id}/brouillon/", form).content.decode()
    for name, value in (
        ("forward", "2"),
        ("forwarded_uid", "1"),
        ("forwarded_folder", "INBOX"),
        ("keep", "3"),
    ):
        assert f'name="{name}" value="{value}"' in page, name


def test_a_message_that_did_not_leave_is_said_at_home_until_it_is_looked_at(
    beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    """Who pressed "Envoyer" and went on to something else would think that it left."""
    title, client = "Un message n’est pas parti", portal_client(beaune.agent_membership)
    assert title not in client.get("/").content.decode()
    sending = schedule(beaune, box)
    Sending.objects.update(state="refused", reason="recipient", refused=json.dumps(["jean@nuits.test"]))
    page = client.get("/").content.decode()
    assert title in page and "jean@nuits.test" in page and f'href="/courrier/{box.id}/"' in page
    for other in (beaune.colleague_membership, beaune.referent_membership, nuits.agent_membership):
        assert title not in portal_client(other).get("/").content.decode()
    Mailbox.objects.filter(pk=box.pk).update(closed_at=sending.created_at)
    assert title not in client.get("/").content.decode(), "a page that does not open"
    Mailbox.objects.filter(pk=box.pk).update(closed_at=None)
    client.post(f"/courrier/{box.id}/envoi/{sending.id}/annuler/", {"then": "list"})
    assert title not in client.get("/").content.decode()

"""A lent mailbox before real engines: what the delegate meets of it, what leaves in its owner's name, what counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.models import Person
from beffroi.lib import clock
from beffroi.lib.clock import PLACE
from beffroi.mail import reader
from beffroi.mail.engines import layout
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox, Sending
from beffroi.mail.people import delegations
from beffroi.mail.people.models import Delegation
from beffroi.portal.consumers import send_notices
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import Post, needs_engines
from tests.submitting import leave_now

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
ROOT = "<demande@example.org>"
MAILS = {
    "Demande de permis": "",
    "Perso : samedi": "",
    "=?utf-8?q?Re=3A_Priv=C3=A9?=": "",
    "Rendez-vous": "Sensitivity: Private\r\n",
    "Tr: [personnel] notaire": "",
    "Réunion du personnel".encode().decode("latin-1"): "",  # broken, and of the town hall
    "Perso dans la conversation": f"References: {ROOT}\r\nIn-Reply-To: {ROOT}\r\n",
    "Re: Demande de permis": f"References: {ROOT}\r\nIn-Reply-To: {ROOT}\r\n",
}
OPEN = {"Demande de permis", "Re: Demande de permis"}


def message(subject: str, more: str = "", *, message_id: str = "") -> bytes:
    named = f"Message-ID: {message_id}\r\n" if message_id else ""
    return (
        f"From: Paul <paul@example.org>\r\nTo: jeanne@beaune.test\r\nSubject: {subject}\r\n{named}{more}"
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nLe mot parcelle est partout.\r\n"
        "--b\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment; filename=plan.pdf"
        "\r\n\r\nabc\r\n--b--\r\n"
    ).encode()


def fill(post: Post, box: Mailbox) -> dict[str, dict[str, int]]:
    """Mails of every kind, folder by folder: subject -> number."""
    with reader.open_mailbox(post.config, box.address) as opened:
        for name in ("Perso", "Archives", "Archives/Privé", "Personnel communal"):
            opened.client.create_folder(name)
        for subject, more in MAILS.items():
            named = ROOT if subject == "Demande de permis" else ""
            opened.client.append("INBOX", message(subject, more, message_id=named))
        for name in ("Perso", "Archives/Privé", "Personnel communal", "Trash", "Junk", "Drafts"):
            opened.client.append(name, message("Ordinaire"))
        opened.client.append("Sent", message("Perso : re", f"References: {ROOT}\r\n"))
        opened.client.append("Sent", message("Re: Demande", f"References: {ROOT}\r\n"))
        return {
            place: {one.subject: one.uid for one in opened.list(place)}
            for place in ("INBOX", "Perso", "Archives/Privé", "Trash", "Junk", "Drafts", "Sent")
        }


@pytest.fixture
def lent(post: Post, beaune: Commune, no_door: None) -> tuple[Mailbox, Mailbox, Callable[..., Delegation]]:
    """The owner's mailbox, the delegate's, and how to lend."""
    for actor, name in ((beaune.agent, "Jeanne Petit"), (beaune.colleague, "Sophie Martin")):
        Person.objects.filter(pk=actor.id).update(name=name)
    box, own = post.mailbox(beaune, beaune.agent, "jeanne"), post.mailbox(beaune, beaune.colleague, "sophie")
    today = clock.now().astimezone(PLACE).date()

    def lend(right: str, **more: Any) -> Delegation:
        asked: dict[str, Any] = {"actor": beaune.agent, "person_id": beaune.colleague.id} | more
        row = delegations.give(mailbox=box, right=right, first=today, last=today + timedelta(days=5), **asked)
        run_pending("main")
        send_notices()
        return row

    return box, own, lend


def write(client: Client, box: Mailbox, to: str, what: str = "send", **more: str) -> dict[str, Any]:
    form = {
        "what": what,
        "to": to,
        "subject": "Permanence",
        "text": "De 9 h à 12 h.",
        "tab": "tab-of-a-test",
    } | more
    answer = client.post(f"/courrier/{box.id}/brouillon/", form, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = json.loads(answer.content)
    return found


def test_what_is_personal_does_not_exist_for_a_delegate(post: Post, beaune: Commune, lent: Any) -> None:
    box, _own, lend = lent
    uids = fill(post, box)
    lend("answer")
    client = portal_client(beaune.colleague_membership)
    base = f"/courrier/{box.id}"
    listed = client.get(f"{base}/").content.decode()
    assert "Re: Demande de permis" in listed and "union du personnel" in listed
    for word in ("Privé", "samedi", "Rendez-vous", "notaire", "Perso "):
        assert word not in listed
    for place in ("Perso", "Archives/Privé", "Trash", "Junk"):
        assert f'dossier={place.replace("/", "%2F").replace("é", "%C3%A9")}"' not in listed
    assert "Personnel communal" in listed and "Archives" in listed
    # The numbers of folders and of a search count what is visible.
    assert 'Boîte de réception <span class="count">3</span>' in listed
    found = client.get(f"{base}/?q=parcelle").content.decode()
    # In the inbox, in folders that are no secret, and in what was sent; not in Perso, Junk or Trash.
    assert "samedi" not in found and "Ordinaire" in found
    for place in ("Perso", "Archives/Privé", "Corbeille", "Indésirables", "Brouillons"):
        assert f"</span>{place}</span>" not in found
    inside = client.get(f"{base}/?q=parcelle&dossier=INBOX").content.decode()
    assert "3 courriels trouvés" in inside and "samedi" not in inside
    # Not by a guessed number, in any way.
    hidden = [
        ("INBOX", uid)
        for subject, uid in uids["INBOX"].items()
        if "ermis" not in subject and "union" not in subject
    ]
    hidden += [
        (place, uid)
        for place in ("Perso", "Archives/Privé", "Trash", "Junk", "Drafts")
        for uid in uids[place].values()
    ]
    hidden += [("Sent", uids["Sent"]["Perso : re"]), (layout.deleted_folder(post.config), 1)]
    assert len(hidden) >= 12
    for place, uid in hidden:
        for path in ("", "contenu/", "piece/2/", "signaler/"):
            assert client.get(f"{base}/{uid}/{path}", {"dossier": place}).status_code == 404, (
                place,
                uid,
                path,
            )
        for word in ("repondre", "tous", "transferer"):
            asked: dict[str, str | int] = {"dossier": place, word: uid}
            assert client.get(f"{base}/ecrire/", asked).status_code == 404, (place, uid, word)
    assert client.get(f"{base}/brouillon/{next(iter(uids['Drafts'].values()))}/").status_code == 404
    forward = {"forward": ["2"], "forwarded_uid": str(hidden[0][1]), "forwarded_folder": "INBOX"}
    answer = client.post(
        f"{base}/brouillon/", {"what": "save", **forward}, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 404
    # Marks reach what is visible alone.
    everything = ",".join(str(uid) for uid in uids["INBOX"].values())
    client.post(f"{base}/agir/", {"what": "star", "uid": everything})
    with reader.open_mailbox(post.config, box.address) as opened:
        starred = {one.subject for one in opened.list() if one.flagged}
    assert len(starred) == 3 and starred > OPEN
    # A conversation leaves its personal members out, here and in Sent.
    read = client.get(f"{base}/{uids['INBOX']['Demande de permis']}/").content.decode()
    thread = read.partition('id="h-thread"')[2]
    assert "Re: Demande de permis" in thread and "Perso" not in thread
    assert client.get(f"{base}/{uids['INBOX']['Demande de permis']}/piece/2/").status_code == 200


def test_a_reader_changes_nothing_and_the_owner_sees_what_was_read(
    post: Post, beaune: Commune, lent: Any
) -> None:
    box, _own, lend = lent
    uids = fill(post, box)
    row = lend("read")
    client = portal_client(beaune.colleague_membership)
    for subject in OPEN:
        assert client.get(f"/courrier/{box.id}/{uids['INBOX'][subject]}/").status_code == 200
        assert client.get(f"/courrier/{box.id}/{uids['INBOX'][subject]}/piece/2/").status_code == 200
    with reader.open_mailbox(post.config, box.address) as opened:
        assert not any(one.seen for one in opened.list())
    assert client.get(f"/courrier/{box.id}/?dossier=Drafts").status_code == 404
    today = clock.now().astimezone(PLACE).date()
    assert delegations.days([row]) == {row.id: [delegations.Day(today, 2, 0)]}
    page = portal_client(beaune.agent_membership).get("/courrier/delegations/").content.decode()
    assert "Sophie Martin" in page and "2 courriels lus." in page


def test_an_answer_leaves_from_the_owner_with_the_delegates_name(
    post: Post, beaune: Commune, lent: Any
) -> None:
    box, own, lend = lent
    uids = fill(post, box)
    row = lend("answer")
    client = portal_client(beaune.colleague_membership)
    uid = uids["INBOX"]["Demande de permis"]
    page = client.get(f"/courrier/{box.id}/ecrire/?repondre={uid}").content.decode()
    assert "Sophie Martin, pour Jeanne Petit" in page
    source = page.partition('name="source" value="')[2].partition('"')[0]
    saved = write(client, box, own.address, "save", source=source)
    assert client.get(f"/courrier/{box.id}/brouillon/{saved['uid']}/").status_code == 200  # one's own
    again = {"uid": str(saved["uid"]), "uid_validity": str(saved["uid_validity"]), "source": source}
    write(client, box, own.address, **again)
    sending_id = Sending.objects.latest("created_at").pk
    leave_now()
    post.wait_count(own, 1)
    with reader.open_mailbox(post.config, own.address) as opened:
        (received,) = opened.list()
        raw = opened.client.fetch([received.uid], ["BODY.PEEK[HEADER]"])[received.uid][b"BODY[HEADER]"]
    assert received.from_address == box.address
    assert received.from_name == "Jeanne Petit (par Sophie Martin, en remplacement)"
    assert b"Sender: Sophie Martin <sophie@beaune.test>" in raw
    assert not [
        one
        for one in raw.lower().split(b"\r\n")
        if one.startswith((b"x-beffroi-author", b"x-beffroi-source"))
    ]
    sent = Sending.objects.get(pk=sending_id)
    assert (sent.state, sent.person_id, sent.mailbox_id) == ("sent", beaune.colleague.id, box.id)
    with reader.open_mailbox(post.config, box.address) as opened:
        assert {one.subject for one in opened.list() if one.answered} == {"Demande de permis"}
    assert post.count(box, "Drafts") == 1  # the owner's
    (day,) = delegations.days([row])[row.id]
    assert (day.read, day.sent) == (1, 1)


def test_a_delegate_whose_right_ended_before_the_moment_sends_nothing(
    post: Post, beaune: Commune, lent: Any
) -> None:
    box, own, lend = lent
    row = lend("answer")
    client = portal_client(beaune.colleague_membership)
    write(client, box, own.address)
    sending_id = Sending.objects.latest("created_at").pk
    delegations.end(actor=beaune.agent, delegation=row)
    leave_now()
    sending = Sending.objects.get(pk=sending_id)
    assert (sending.state, sending.reason) == ("refused", "closed")
    assert post.count(own) == 0 and post.count(box, "Drafts") == 1
    assert client.get(f"/courrier/{box.id}/").status_code == 404


def test_the_owner_hears_by_mail_of_what_a_referent_lent_and_the_delegate_does_not_see_it(
    post: Post, beaune: Commune, lent: Any
) -> None:
    box, _own, lend = lent
    row = lend("read", actor=beaune.referent, reason="absence imprévue")
    post.wait_count(box, 1)
    assert Notice.objects.get(ref=row.id).told_at is not None
    with reader.open_mailbox(post.config, box.address) as opened:
        (told,) = opened.list()
        assert told.subject == "Votre boîte est confiée à Sophie Martin"
        assert "absence imprévue" in opened.read(told.uid).text
    client = portal_client(beaune.colleague_membership)
    assert "confiée à Sophie" not in client.get(f"/courrier/{box.id}/").content.decode()
    assert client.get(f"/courrier/{box.id}/{told.uid}/").status_code == 404

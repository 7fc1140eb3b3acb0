"""The portal before the real Dovecot: a hostile mail is listed, read, saved from, and reported."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from beffroi.core.events.models import OutboxEvent
from beffroi.mail import reader
from beffroi.mail.models import MailObservation

from tests import scan_samples as samples
from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import Post, needs_engines

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines

PNG = b"\x89PNG\r\n\x1a\n a picture"
FILE = b"%PDF-1.7 this is what a secretary saves\r\n" * 40
HOSTILE = """\
From: =?utf-8?q?Tr=C3=A9sorerie_=3Cscript=3Ealert=281=29=3C/script=3E?= <billing@sender.example.net>
To: {to}
Subject: =?utf-8?b?{subject}?=
Message-ID: <hostile@sender.example.net>
Date: Tue, 24 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b1

--b1
Content-Type: text/html; charset=utf-8

<html><head><style>@import url(https://pixel.evil.example.com/s)</style></head><body onload="alert(2)">
<script>alert(3)</script><p>Votre avis de taxe est disponible.</p>
<p><a href="https://pay.evil.example.com/f?x=1" onclick="alert(4)">https://www.impots.gouv.fr/</a></p>
<img src="https://pixel.evil.example.com/t.gif" alt="Marianne" onerror="alert(5)">
<iframe src="https://pay.evil.example.com/"></iframe><form action="https://pay.evil.example.com/"><input name=p></form>
</body></html>
--b1
Content-Type: application/octet-stream; name="=?utf-8?b?{name}?="
Content-Disposition: attachment; filename="=?utf-8?b?{name}?="
Content-Transfer-Encoding: base64

{file}
--b1--
"""
SUBJECT = "Taxe <script>alert(0)</script> à régler"
NAME = "avis d’imposition <script>.pdf"


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_hostile_mail_is_listed_read_saved_from_and_reported(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    file = base64.encodebytes(FILE).decode().strip()
    message = HOSTILE.format(to=box.address, subject=coded(SUBJECT), name=coded(NAME), file=file)
    assert post.send(message, box.address)[0] == 250
    post.wait_count(box, 1)
    post.settle(1)
    client = portal_client(beaune.agent_membership)

    listed = client.get(f"/courrier/{box.id}/").content.decode()
    assert "Taxe &lt;script&gt;alert(0)&lt;/script&gt; à régler" in listed
    assert "<script>alert" not in listed
    assert "1 courriel non lu" in listed

    with reader.open_mailbox(post.config, box.address) as opened:
        uid = opened.list()[0].uid
    page = client.get(f"/courrier/{box.id}/{uid}/").content.decode()
    assert "<script>alert" not in page
    assert "Lien trompeur" in page
    assert "pay.evil.example.com" in page
    assert "1 image distante non chargée" in page
    assert "avis d’imposition &lt;script&gt;.pdf" in page
    assert "Ce courriel vient bien de sender.example.net" in page
    assert "Tout est lu" in client.get(f"/courrier/{box.id}/").content.decode()

    frame = client.get(f"/courrier/{box.id}/{uid}/contenu/")
    body = frame.content.decode()
    for word in (
        "<script",
        "alert(",
        "onload",
        "onclick",
        "onerror",
        "<iframe",
        "<form",
        "pixel.evil",
        "@import",
    ):
        assert word not in body
    assert "Votre avis de taxe est disponible" in body
    assert "sandbox" in frame["Content-Security-Policy"]

    saved = client.get(f"/courrier/{box.id}/{uid}/piece/2/")
    assert saved.content == FILE
    assert saved["Content-Disposition"].startswith("attachment; filename*=utf-8''avis%20d")

    asked = client.get(f"/courrier/{box.id}/{uid}/signaler/").content.decode()
    beffroi_id = asked.split('name="beffroi_id" value="')[1].split('"')[0]
    answer = client.post(f"/courrier/{box.id}/{uid}/signaler/", {"beffroi_id": beffroi_id})
    assert answer["Location"] == f"/courrier/signale/{beffroi_id}/"
    event = OutboxEvent.objects.get(kind="sighting:reported")
    assert event.collectivite_id == beaune.id
    for word in ("pay.evil.example.com", beffroi_id, beaune.agent.id):
        assert word in str(event.payload)
    for word in ("Taxe", "avis de taxe", "imposition"):
        assert word not in str(event.payload)
    assert "Merci, votre signalement est enregistré" in client.get(answer["Location"]).content.decode()

    # The file that a decision names is no longer given, by the hash that the entry took of it.
    digest = MailObservation.objects.get(message_id=beffroi_id, kind="sha256").value
    post.block("sha256", digest)
    refused = client.get(f"/courrier/{box.id}/{uid}/piece/2/")
    assert refused.status_code == 403
    assert FILE not in refused.content


def test_a_mail_of_an_impossible_date_and_of_no_charset_is_listed_and_read(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    letter = (
        f"Date: Fri, 31 Dec 9999 23:59:59 -1200\nFrom: billing@sender.example.net\nTo: {box.address}\n"
        "Subject: Menu\n\nL’école à midi\n"
    )
    assert post.send(letter, box.address)[0] == 250
    post.wait_count(box, 1)
    client = portal_client(beaune.agent_membership)
    assert "Menu" in client.get(f"/courrier/{box.id}/").content.decode()
    with reader.open_mailbox(post.config, box.address) as opened:
        uid = opened.list()[0].uid
    assert "L’école à midi" in client.get(f"/courrier/{box.id}/{uid}/").content.decode()
    assert "L’école à midi" in client.get(f"/courrier/{box.id}/ecrire/?repondre={uid}").content.decode()


def mixed(kind: str, *parts: str) -> str:
    """``parts``: each its type, a blank line and what it holds; a multipart ends with its own boundary."""
    edge = f"edge-{kind}"
    inside = "".join(f"--{edge}\nContent-Type: {one}\n" for one in parts)
    return f"multipart/{kind}; boundary={edge}\n\n{inside}--{edge}--\n"


PHOTO = "image/jpeg; name=photo.jpg\nContent-Disposition: inline; filename=photo.jpg\n\nJPEG"
PLAIN, HTML = "text/plain; charset=utf-8\n\n{}\n", "text/html; charset=utf-8\n\n<p>{}</p>\n"


@pytest.mark.parametrize(
    "structure",
    [
        mixed("mixed", PLAIN.format(""), PHOTO, PLAIN.format("Le banc est cassé")),
        mixed("mixed", PHOTO, HTML.format("Le banc est cassé")),
        mixed("mixed", HTML.format("Bonjour,"), PHOTO, HTML.format("Le banc est cassé")),
        mixed(
            "alternative",
            PLAIN.format("En texte seul"),
            mixed("mixed", HTML.format("Bonjour,"), PHOTO, HTML.format("Le banc est cassé")),
        ),
        mixed(
            "mixed",
            mixed("alternative", PLAIN.format("Bonjour,"), HTML.format("Bonjour,")),
            PHOTO,
            PLAIN.format("Le banc est cassé"),
        ),
    ],
)
def test_what_a_phone_writes_below_a_photo_is_read_and_is_no_attachment(
    post: Post, beaune: Commune, structure: str
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    letter = (
        f"From: a@sender.example.net\nTo: {box.address}\nSubject: Banc\nMIME-Version: 1.0\nContent-Type: "
    )
    assert post.send(letter + structure, box.address)[0] == 250
    post.wait_count(box, 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        view = opened.read(1)
        found, data = opened.attachment(1, view.attachments[0].part)
    assert "Le banc est cassé" in (view.html or view.text)
    assert view.html.count("Bonjour,") <= 1
    assert [one.name for one in view.attachments] == ["photo.jpg"]
    assert (found.name, data) == ("photo.jpg", b"JPEG")
    shown = portal_client(beaune.agent_membership).get(
        f"/courrier/{box.id}/1/contenu/" if view.html else f"/courrier/{box.id}/1/"
    )
    assert "Le banc est cassé" in shown.content.decode()


def test_a_picture_stands_in_its_place_and_a_mail_that_is_attached_is_read(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    picture = (
        "image/png; name=image001.png\nContent-ID: <image001.png@01D9>\nContent-Disposition: inline\n"
        f"Content-Transfer-Encoding: base64\n\n{base64.b64encode(PNG).decode()}\n"
    )
    within = mixed("related", HTML.format('Plan <img src="cid:image001.png@01D9" alt="Plan">'), picture)
    inner = (
        "message/rfc822\n\nFrom: =?utf-8?q?Mar=C3=A9chal?= <c@devis.example>\nTo: d@autre.example\n"
        "Subject: =?utf-8?q?Devis_n=C2=B0_3?=\nDate: Mon, 23 Nov 2026 09:30:00 +0100\nContent-Type: "
    )
    paper = "application/pdf; name=devis.pdf\nContent-Disposition: attachment\n\n%PDF-1.7 devis\n"
    # Past the last moment that a clock of Paris shows.
    deeper = "message/rfc822\n\nSubject: Dessous\nDate: Fri, 31 Dec 9999 23:30:00 +0000\n\nTout au fond\n"
    letter = (
        f"From: a@sender.example.net\nTo: {box.address}\nSubject: Banc\nMIME-Version: 1.0\nContent-Type: "
    )
    letter += mixed("mixed", within, inner + mixed("inner", HTML.format("Le devis<br>joint"), paper, deeper))
    assert post.send(letter, box.address)[0] == 250
    post.wait_count(box, 1)
    client = portal_client(beaune.agent_membership)

    frame = client.get(f"/courrier/{box.id}/1/contenu/").content.decode()
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in frame and "non chargée" not in frame

    around = client.get(f"/courrier/{box.id}/1/").content.decode()
    assert "Courriel joint" in around and f"/courrier/{box.id}/1/piece/2/lire/" in around
    page = client.get(f"/courrier/{box.id}/1/piece/2/lire/").content.decode()
    for words in (
        "Maréchal",
        "c@devis.example",
        "d@autre.example",
        "Devis n° 3",
        "23 novembre 2026, 9\u00a0h\u00a030",
    ):
        assert words in page.replace("\u202f", "\u00a0"), words
    assert "Le devis\njoint" in page and "Rien ne permet de vérifier qui l’a écrit" in page
    assert client.get(f"/courrier/{box.id}/1/piece/2.2/").content.strip() == b"%PDF-1.7 devis"
    assert "Tout au fond" in client.get(f"/courrier/{box.id}/1/piece/2.3/lire/").content.decode()
    for nothing in ("1.1/lire", "1.2/lire", "2.2/lire", "2.1", "2.4", "2.3.1", "3"):
        assert client.get(f"/courrier/{box.id}/1/piece/{nothing}/").status_code == 404, nothing


def test_who_opens_a_mail_enclosed_in_its_signature_reads_its_text(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    inside = samples.attached_mail(
        "Content-Type: text/html; charset=utf-8\n\n<p>Le conseil est <a href='https://a.example/x'>jeudi</a></p>",
        samples.part(samples.pdf(), samples.named("ordre du jour.pdf")),
    )
    letter = (
        f"From: a@sender.example.net\nTo: {box.address}\nSubject: Conseil\nMIME-Version: 1.0\n"
        "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\n"
        f"Content-Transfer-Encoding: base64\n\n{base64.encodebytes(samples.signed(inside)).decode()}"
    )
    assert post.send(letter, box.address)[0] == 250
    post.wait_count(box, 1)
    client = portal_client(beaune.agent_membership)
    shown = client.get(f"/courrier/{box.id}/1/").content.decode()
    assert "enfermé dans sa signature" in shown and "que cette page ne vérifie pas" in shown
    assert (
        "Le conseil est" in shown and "ordre du jour.pdf" in shown and "Ce courriel est chiffré" not in shown
    )
    file = re.search(r'href="(/courrier/[^"]+/piece/1/contenu/0/)"', shown)
    assert file is not None
    saved = client.get(file[1])
    assert saved.content == samples.pdf() and "ordre du jour.pdf" in saved["Content-Disposition"]
    for nothing in ("1/contenu/1", "1/contenu/99999999999", "2/contenu/0"):
        assert client.get(f"/courrier/{box.id}/1/piece/{nothing}/").status_code == 404, nothing
    post.block("sha256", hashlib.sha256(samples.pdf()).hexdigest())
    assert client.get(file[1]).status_code == 403


@pytest.mark.parametrize(
    "structure",
    [
        mixed(
            "encrypted",
            "application/pgp-encrypted\n\nVersion: 1\n",
            "application/octet-stream; name=encrypted.asc\n\n-----BEGIN PGP MESSAGE-----\n",
        ),
        "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n"
        "Content-Transfer-Encoding: base64\n\nMIAGCSqGSIb3DQEHA6CAMIACAQA=\n",
    ],
)
def test_who_opens_an_encrypted_mail_reads_why_it_says_nothing(
    post: Post, beaune: Commune, structure: str
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    letter = (
        f"From: a@sender.example.net\nTo: {box.address}\nSubject: Secret\nMIME-Version: 1.0\nContent-Type: "
    )
    assert post.send(letter + structure, box.address)[0] == 250
    post.wait_count(box, 1)
    shown = portal_client(beaune.agent_membership).get(f"/courrier/{box.id}/1/").content.decode()
    assert "Ce courriel est chiffré" in shown and "ne contient pas de texte" not in shown

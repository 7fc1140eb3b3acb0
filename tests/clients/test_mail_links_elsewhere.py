"""Links that stand in attached documents or in QR codes, and links that browsers follow and rspamd does not read."""

from __future__ import annotations

import base64
import hashlib
import json
from email.message import EmailMessage

from beffroi.core.decisions import actions as decisions
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox, MailMessage, MailObservation

from tests import qr_pictures
from tests import scan_samples as samples
from tests.mail_files import packed
from tests.mail_post import Post, needs_engines

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines

HOST = "pay.evil.example.com"
EVIL = f"https://{HOST}/f"
RELATIONS = (
    b'<Relationships><Relationship Id="r1" Type="http://x/relationships/hyperlink" Target="%s" TargetMode="External"/>'
    b"</Relationships>"
)
DOCUMENTS = {
    "a.pdf": samples.pdf(page=f"/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI({EVIL})>>>>]"),
    "a.zip": packed(a__html=f"<html><a href='{EVIL}'>Voir</a></html>".encode()),
    "a.docx": samples.docx(**{"word/_rels/document.xml.rels": RELATIONS % EVIL.encode()}),
    "a.ics": f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nURL:{EVIL}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode(),
    "a.rtf": f'{{\\rtf1{{\\field{{\\*\\fldinst HYPERLINK "{EVIL}"}}{{\\fldrslt Voir}}}}}}'.encode(),
    "a.png": qr_pictures.png(EVIL),
    "code.pdf": qr_pictures.pdf(qr_pictures.drawn(EVIL)),
    "code.docx": qr_pictures.docx(qr_pictures.png(EVIL)),
}
WRITTEN = (
    f"https:/{HOST}/f",
    f"https://{'a' * 300}@{HOST}/f",
    "https://pay.ev\u2060il.example.com/f",
)
HIDDEN = (
    "<!-- a --!>{}",
    "<title><!--</title>{}",
    "<textarea><!--</textarea>{}",
    '<a / href="https://pay.evil.example.com/f?a=1&amp;b=2">Voir</a>',
    '<!-- a --!><a href="&#1;&#104;ttps&colon;//pay.evil.example.com/f">Voir</a>',
    '<a href="\\\\pay.evil.example.com\\f">Voir</a>',
    '<form action="https://a.example/"><button formaction="https://pay.evil.example.com/f">Voir</button></form>',
    '<a href="https://www.bing.com/ck/a?u=a1aHR0cHM6Ly9wYXkuZXZpbC5leGFtcGxlLmNvbS9m&amp;ntb=1">Voir</a>',
)
"""Ways to hide a link that browsers show from a reader that is none."""
_FOLDED = (
    "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDESCRIPTION:Rejoindre https://pay.ev\r\n il.example.com/f\r\n"
    "END:VEVENT\r\nEND:VCALENDAR"
)
_PDF = "Content-Type: application/pdf; name=a.pdf\r\n"
PARTS = {
    "appointment": f"Content-Type: text/calendar; method=REQUEST\r\n\r\n{_FOLDED}",
    "file elsewhere": f"{_PDF}X-Mozilla-External-Attachment-URL: {EVIL}\r\n\r\nx",
    "file in a share": f"{_PDF}X-Mozilla-External-Attachment-URL: file:////{HOST}/f\r\n\r\nx",
    "body elsewhere": f'Content-Type: message/external-body; access-type=URL; URL="https://{HOST}\r\n /f"\r\n\r\n'
    "Content-Type: application/pdf\r\n\r\n",
}
"""Parts that a program makes a file of, or an entry of the calendar, and that have no name."""


def mail(to: str, n: str, html: str, files: dict[str, bytes] | None = None) -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "billing@sender.example.net", to, "Avis"
    made["Message-ID"], made["Date"] = f"<{n}@sender.example.net>", "Tue, 24 Nov 2026 10:00:00 +0000"
    made.set_content(html, subtype="html", cte="base64")
    for name, content in (files or {}).items():
        made.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return made.as_bytes()


def test_a_link_in_an_attached_document_is_evidence_and_is_refused_once_it_is_blocked(
    post: Post, box: Mailbox
) -> None:
    for n, (name, content) in enumerate(DOCUMENTS.items()):
        sent = mail(box.address, f"d{n}", "<p>Voir le document</p>", {name: content})
        assert post.send(sent, box.address)[0] == 250
    post.settle(len(DOCUMENTS))
    assert post.count(box) == len(DOCUMENTS)
    seen = MailObservation.objects.filter(value__in=(EVIL, HOST), role="link")
    assert seen.count() == 2 * len(DOCUMENTS)
    verdicts = [json.loads(one.verdict) for one in MailMessage.objects.all()]
    assert sorted(one["qr_codes"] for one in verdicts) == [[]] * (len(DOCUMENTS) - 3) + [[EVIL]] * 3
    post.block("url", EVIL)
    post.wait_gate(1)
    for n, (name, content) in enumerate(DOCUMENTS.items()):
        sent = mail(box.address, f"e{n}", "<p>Voir le document</p>", {name: content})
        assert post.send(sent, box.address)[0] == 554, name


def test_a_file_that_is_packed_anew_for_each_reader_is_refused_once_it_is_blocked(
    post: Post, box: Mailbox
) -> None:
    lure = samples.docx("Merci de régler la facture")
    packed_for = [packed(facture__docx=lure, **{f"{n}__txt": b"Bonjour %d " % n * 9}) for n in range(3)]
    assert post.send(mail(box.address, "p0", "<p>Voir</p>", {"a.zip": packed_for[0]}), box.address)[0] == 250
    post.settle(1)
    seen = MailObservation.objects.filter(role="carried").values_list("value", flat=True)
    assert hashlib.sha256(lure).hexdigest() in seen
    decision = post.block("sha256", hashlib.sha256(lure).hexdigest())
    run_pending("remediation")
    assert post.count(box) == 0
    post.wait_gate(1)
    forwarded = samples.attached_mail(samples.part(packed_for[2], samples.named("b.zip")))
    for n, (name, content) in enumerate({"b.zip": packed_for[1], "c.eml": forwarded}.items()):
        sent = mail(box.address, f"p{n + 1}", "<p>Voir</p>", {name: content})
        assert post.send(sent, box.address)[0] == 554, name
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="mistake")
    run_pending("remediation")
    assert post.count(box) == 1


def of_parts(to: str, n: str, part: str) -> bytes:
    return (
        f"From: billing@sender.example.net\r\nTo: {to}\r\nSubject: Avis\r\nMessage-ID: <{n}@sender.example.net>\r\n"
        "Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b1\r\n\r\n"
        f"--b1\r\nContent-Type: text/plain\r\n\r\nBonjour\r\n--b1\r\n{part}\r\n--b1--\r\n"
    ).encode()


def in_text(to: str, n: str, picture: bytes) -> bytes:
    """As a lure shows its code: a picture of the text, which has no name."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "billing@sender.example.net", to, "Double authentification"
    made["Message-ID"], made["Date"] = f"<{n}@sender.example.net>", "Tue, 24 Nov 2026 10:00:00 +0000"
    made.set_content('<p>Scannez ce code</p><img src="cid:code">', subtype="html")
    made.add_related(picture, maintype="image", subtype="png", cid="<code>")
    return made.as_bytes()


def test_a_mail_whose_link_is_a_code_in_its_text_is_withdrawn_once_that_is_blocked(
    post: Post, box: Mailbox
) -> None:
    for n, text in enumerate((EVIL, "https://sender.example.net/", "BCD\n002\n1\nSCT\n\nMairie\nFR76")):
        assert post.send(in_text(box.address, f"i{n}", qr_pictures.png(text)), box.address)[0] == 250
    post.settle(3)
    assert post.count(box) == 3
    decision = post.block("domain", HOST)
    run_pending("remediation")
    assert post.count(box) == 2
    post.wait_gate(1)
    assert post.send(in_text(box.address, "i4", qr_pictures.png(EVIL)), box.address)[0] == 554
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="mistake")
    run_pending("remediation")
    assert post.count(box) == 3


def test_a_code_within_the_text_itself_is_read_as_any_other_picture(post: Post, box: Mailbox) -> None:
    post.block("domain", HOST)
    post.wait_gate(1)
    code = base64.encodebytes(qr_pictures.png(EVIL)).decode()
    shown = (
        f'<img alt="" src="data:image/png;base64,{code}">',
        f"<pre>{qr_pictures.signs(EVIL)}</pre>",
        qr_pictures.table(EVIL),
    )
    for n, one in enumerate(shown):
        assert post.send(mail(box.address, f"t{n}", f"<p>Scannez ce code</p>{one}"), box.address)[0] == 554
    assert post.send(mail(box.address, "t", qr_pictures.table("https://a.example/")), box.address)[0] == 250
    post.settle(1)
    seen = MailObservation.objects.filter(message_id=MailMessage.objects.latest("id").id)
    assert ("https://a.example/", "link") in seen.values_list("value", "role")
    assert not seen.filter(role="attachment").exists()


def test_a_picture_of_more_pixels_than_are_opened_is_held_and_a_broken_one_is_not(
    post: Post, box: Mailbox
) -> None:
    huge = qr_pictures.png_of_size(60_000, 60_000)
    for n, picture in enumerate((huge, qr_pictures.png(EVIL)[:60])):
        assert post.send(in_text(box.address, f"h{n}", picture), box.address)[0] == 250
    post.settle(2)
    assert HeldMail.objects.get().findings == "unreadable"
    assert post.count(box) == 1


def test_a_document_of_more_links_than_are_looked_at_is_held(post: Post, box: Mailbox) -> None:
    notes = "".join(f"<</Subtype/Link/A<</S/URI/URI(https://a.example/{n})>>>>" for n in range(1001))
    sent = mail(box.address, "m", "<p>Rapport</p>", {"a.pdf": samples.pdf(page=f"/Annots[{notes}]")})
    assert post.send(sent, box.address)[0] == 250
    post.settle(1)
    assert HeldMail.objects.get().findings == "unparseable"


def test_a_blocked_link_is_refused_however_it_is_written(post: Post, box: Mailbox) -> None:
    post.block("domain", HOST)
    post.wait_gate(1)
    passed = []
    links = [f'<p>Bonjour <a href="{written}">Voir</a></p>' for written in WRITTEN]
    links += [one.format(f'<a href="{EVIL}">Voir</a>') for one in HIDDEN]
    for n, html in enumerate(links):
        if post.send(mail(box.address, f"w{n}", html), box.address)[0] != 554:
            passed.append(html)
    for n, (name, part) in enumerate(PARTS.items()):
        if post.send(of_parts(box.address, f"x{n}", part), box.address)[0] != 554:
            passed.append(name)
    assert passed == []

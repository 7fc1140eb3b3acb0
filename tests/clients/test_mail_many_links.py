"""A lure's link among hundreds of others, and facts longer than the door reads, through the real engines."""

from __future__ import annotations

import base64
import io
import zipfile
from email.message import EmailMessage

from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox

from tests.mail_post import Post, needs_engines

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines

EVIL = "https://zz.evil.example.com/f"
SENDER = "billing@sender.example.net"


def links(to: str, subject: str, addresses: list[str]) -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = SENDER, to, subject
    made["Message-ID"] = f"<{subject}@sender.example.net>"
    made["Date"] = "Tue, 24 Nov 2026 10:00:00 +0000"
    made.set_content("".join(f'<a href="{one}">x</a>\n' for one in addresses), subtype="html")
    return made.as_bytes()


def test_what_is_blocked_is_found_among_hundreds_of_links(post: Post, box: Mailbox) -> None:
    post.block("url", EVIL)
    post.wait_gate(1)
    decoys = [f"https://www{n}.leurre{n}.example.org/page" for n in range(400)]
    assert post.send(links(box.address, "sans", decoys), box.address)[0] == 250
    for place in (0, 200, 400):
        among = [*decoys[:place], EVIL, *decoys[place:]]
        assert post.send(links(box.address, f"parmi-{place}", among), box.address)[0] == 554, place
    # More than anybody looks at: a person does.
    many = [f"{one}/{n}" for one in decoys for n in range(3)]
    assert post.send(links(box.address, "trop", many), box.address)[0] == 250
    post.settle(2)
    assert [mail["Subject"] for mail in post.mails(box)] == ["sans"]
    assert list(HeldMail.objects.values_list("findings", flat=True)) == ["unparseable"]


def test_a_mail_of_thousands_of_links_is_held_whatever_rspamd_shows_of_them(post: Post, box: Mailbox) -> None:
    """It shows some, and by chance so few that they passed for all."""
    for n in range(24):
        addresses = [f"https://www{m}.leurre{n}.example.org/" for m in range(3000)]
        assert post.send(links(box.address, f"milliers-{n}", addresses), box.address)[0] == 250
    post.settle(24)
    assert post.count(box) == 0
    assert {*HeldMail.objects.values_list("findings", flat=True)} == {"unparseable"}


def test_a_mail_of_which_the_facts_are_too_long_is_held(post: Post, box: Mailbox) -> None:
    """It passed as one that the door could not look at, whatever it held."""
    names = "".join(f';\n name="f.x{n}"' for n in range(8))
    parts = []
    for number in range(30):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for n in range(500):
                archive.writestr(f"a.{number:02}{n:03}abcdefghijk", b"")
        encoded = base64.encodebytes(content.getvalue()).decode()
        parts.append(
            f"--b1\nContent-Type: application/zip{names}\nContent-Transfer-Encoding: base64\n\n{encoded}"
        )
    head = f"From: {SENDER}\nTo: {box.address}\nSubject: archives\nMessage-ID: <z@sender.example.net>\n"
    head += "Date: Tue, 24 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\n"
    head += 'Content-Type: multipart/mixed; boundary="b1"\n\n'
    assert post.send(head + "".join(parts) + "--b1--\n", box.address)[0] == 250
    post.settle(1)
    assert post.count(box) == 0
    assert HeldMail.objects.get().findings == "unparseable"

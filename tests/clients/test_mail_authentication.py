"""SPF, DKIM and DMARC as real rspamd finds them with real DNS answers, and what each of them does to the mail.

Every domain has a name of its own: the resolver remembers what it was told, also that there was nothing.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache

import dkim
import pytest
from beffroi.mail import queries, reader
from beffroi.mail.models import MailMessage
from beffroi.mail.unsubscribing import Way
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conftest import Commune
from tests.mail_post import OTHER_IP, SENDER_IP, Post, Zone, needs_engines

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
REFUSED = ""
SELECTOR = "s1"
MESSAGE = """\
From: Service comptable <paie@{domain}>
To: {to}
Subject: Bulletin
Message-ID: <1@{domain}>
Date: Tue, 24 Nov 2026 10:00:00 +0000
List-Unsubscribe: <mailto:listes@{domain}?subject=stop>
Content-Type: text/plain; charset=utf-8

Bonjour, le bulletin du mois est en ligne.
"""


@dataclass(frozen=True)
class Case:
    """A sender and what becomes of its mail. ``dmarc``: its policy, "" for no record; ``signed``: by whom, "" for
    nobody, "own" for itself; ``folder``: where the mail is found, REFUSED for nowhere; ``found``: SPF, DKIM, DMARC."""

    name: str
    dmarc: str
    signed: str
    folder: str
    found: tuple[str, str, str] = ("", "", "")
    client: str = OTHER_IP  # not among the domain's servers
    changed: bool = False  # on its way, after it was signed
    published: bool = True

    @property
    def domain(self) -> str:
        return f"{self.name}.example.net"


CASES = [
    Case("own-server", "reject", "own", "INBOX", ("pass", "pass", "pass"), client=SENDER_IP),
    # A forwarder's server is not the domain's: its signature alone has to carry the mail.
    Case("forwarded", "reject", "own", "INBOX", ("fail", "pass", "pass")),
    Case(
        "changed-own-server",
        "reject",
        "own",
        "INBOX",
        ("pass", "fail", "pass"),
        client=SENDER_IP,
        changed=True,
    ),
    Case("changed-reject", "reject", "own", REFUSED, changed=True),
    Case("changed-quarantine", "quarantine", "own", "Junk", ("fail", "fail", "fail"), changed=True),
    Case("changed-none", "none", "own", "INBOX", ("fail", "fail", "fail"), changed=True),
    Case("changed-no-policy", "", "own", "INBOX", ("fail", "fail", "none"), changed=True),
    Case("forged-reject", "reject", "", REFUSED),
    Case("forged-quarantine", "quarantine", "", "Junk", ("fail", "none", "fail")),
    Case("forged-none", "none", "", "INBOX", ("fail", "none", "fail")),
    # A good signature of somebody else says nothing about the name that people see.
    Case("signed-by-another", "reject", "stranger.example.com", REFUSED),
    Case("another-no-policy", "none", "stranger.example.com", "INBOX", ("fail", "pass", "fail")),
    Case("key-not-published", "none", "own", "INBOX", ("fail", "permerror", "fail"), published=False),
]


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module", autouse=True)
def published(mail_zone: Zone) -> None:
    public = (
        key()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    text = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"
    record = f'TXT "{text[:200]}" "{text[200:]}"'
    lines = [f"{SELECTOR}._domainkey.stranger.example.com. 60 IN {record}"]
    for case in CASES:
        lines += [
            f'{case.domain}. 60 IN TXT "v=spf1 ip4:{SENDER_IP} -all"',
            f"{case.domain}. 60 IN A {SENDER_IP}",
        ]
        if case.dmarc:
            lines.append(f'_dmarc.{case.domain}. 60 IN TXT "v=DMARC1; p={case.dmarc}"')
        if case.published:
            lines.append(f"{SELECTOR}._domainkey.{case.domain}. 60 IN {record}")
    mail_zone.add("\n".join(lines))


def message(case: Case, to: str) -> bytes:
    made = MESSAGE.format(domain=case.domain, to=to).replace("\n", "\r\n").encode()
    if not case.signed:
        return made
    pem = key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    signer = case.domain if case.signed == "own" else case.signed
    header = dkim.sign(made, SELECTOR.encode(), signer.encode(), pem)
    return bytes(header) + (made.replace(b"en ligne", b"ailleurs") if case.changed else made)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_domain_asks_for_is_done_and_what_was_found_is_shown(
    post: Post, beaune: Commune, case: Case
) -> None:
    box = post.mailbox(beaune, beaune.agent, case.name)
    code, _ = post.send(
        message(case, box.address), box.address, sender=f"paie@{case.domain}", client=case.client
    )
    if case.folder == REFUSED:
        assert code == 554
        assert post.count(box) == post.count(box, "Junk") == 0
        return
    assert code == 250
    post.wait_count(box, 1, case.folder)
    post.settle(1)
    with reader.open_mailbox(post.config, box.address) as opened:
        view = opened.read(opened.list(case.folder)[0].uid, case.folder)
    shown = view.authentication
    assert (shown.spf, shown.dkim, shown.dmarc) == case.found
    proved = case.found[1:] == ("pass", "pass")
    assert view.unsubscribe == (Way(f"listes@{case.domain}", "stop") if proved else None)
    kept = queries.verdict_of(MailMessage.objects.get(pk=view.summary.beffroi_id))
    assert (kept["auth"]["spf"], kept["auth"]["dkim"], kept["auth"]["dmarc"]) == case.found
    assert kept["proved_senders"] == ([f"paie@{case.domain}"] if "pass" in case.found[::2] else [])


def test_who_writes_as_another_by_an_envelope_and_a_signature_of_their_own_proves_themselves_alone(
    post: Post, beaune: Commune
) -> None:
    """As whoever publishes no DMARC: reports of the lure would set that supplier aside in all communes."""
    box = post.mailbox(beaune, beaune.agent, "imite")
    imitated = Case("changed-no-policy", "", "stranger.example.com", "INBOX")
    attacker = "eve@own-server.example.net"
    assert post.send(message(imitated, box.address), box.address, sender=attacker, client=SENDER_IP)[0] == 250
    post.settle(1)
    kept = queries.verdict_of(MailMessage.objects.get())
    assert (kept["auth"]["spf"], kept["auth"]["dkim"], kept["auth"]["dmarc"]) == ("pass", "pass", "none")
    assert kept["proved_senders"] == [attacker]

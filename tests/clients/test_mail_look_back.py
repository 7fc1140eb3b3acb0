"""Looking back with the real engines: who signed in over IMAP from an address, who opened a mail of weeks ago."""

from __future__ import annotations

import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import imapclient
import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, SignIn
from beffroi.incidents import queries
from beffroi.incidents.models import Incident
from beffroi.lib import clock
from beffroi.mail import reader
from beffroi.mail.met import met
from beffroi.mail.models import MailDelivery, MailMessage, MailObservation

from tests.certificates import unverified
from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines, until
from tests.submitting import secret_of
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
ATTACKER = "185.203.116.77"
CLIENT = "45.155.204.9"


@pytest.fixture
def attacker() -> Iterator[str]:
    """An address of this machine that is not the loopback's, for the time of a test."""
    subprocess.run(["ip", "address", "replace", f"{ATTACKER}/32", "dev", "lo"], check=True)
    yield ATTACKER
    subprocess.run(["ip", "address", "delete", f"{ATTACKER}/32", "dev", "lo"], check=False)


class From(imapclient.IMAPClient):
    """A mail program on another machine."""

    def __init__(self, post: Post, source: str) -> None:
        self._source = source
        context = unverified()
        super().__init__("127.0.0.1", post.config.imaps_port, ssl_context=context, timeout=PATIENCE_S)

    def _create_IMAP4(self) -> object:  # noqa: N802 - the library's name
        from imapclient import tls

        source = self._source

        class Bound(tls.IMAP4_TLS):
            def _create_socket(self, timeout: float | None = None) -> object:
                import socket

                plain = socket.create_connection(
                    (self.host, self.port), PATIENCE_S, source_address=(source, 0)
                )
                return tls.wrap_socket(plain, self.ssl_context, self.host)

        return Bound(self.host, self.port, self.ssl_context, self._timeout)


def test_imap_and_submission_leave_evidence_and_a_decision_finds_it(
    post: Post, beaune: Commune, attacker: str
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    secret = secret_of(beaune)
    post.count(box)  # the portal reads from the loopback: no evidence
    with pytest.raises(imapclient.exceptions.LoginError):
        From(post, attacker).login(box.address, "wrong")
    for _ in range(3):
        client = From(post, attacker)
        client.login(box.address, secret)
        client.logout()
    with smtplib.SMTP(
        "127.0.0.1", post.config.submission_port, timeout=PATIENCE_S, source_address=(attacker, 0)
    ) as smtp:
        smtp.starttls(context=ssl._create_unverified_context())
        smtp.login(box.address, secret)
    until(lambda: SignIn.objects.count() == 2, "two doors")
    found = {row.door: row for row in SignIn.objects.all()}
    assert {row.address for row in found.values()} == {attacker}
    assert {(row.person_id, row.collectivite_id) for row in found.values()} == {(beaune.agent.id, beaune.id)}
    assert found.keys() == {"imap", "smtp"}
    post.block("ip", attacker)
    run_pending("main")
    incident = Incident.objects.get()
    assert incident.person_id == beaune.agent.id
    assert [one.source for one in queries.evidence(incident)].count("sign_in") == 2
    assert AppPassword.objects.get().revoked_at is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("url", ""),
        ("domain", ""),
        ("sender", "billing@sender.example.net"),
        ("ip", CLIENT),
        ("cidr", "45.155.204.0/24"),
        ("sha256", ""),
    ],
)
def test_what_arrived_29_days_ago_is_found_with_who_opened_it(
    post: Post, beaune: Commune, nuits: Commune, kind: str, value: str
) -> None:
    first, second = (
        post.mailbox(beaune, who, name) for who, name in ((beaune.agent, "a"), (beaune.colleague, "b"))
    )
    third = post.mailbox(nuits, nuits.agent, "agent")
    text = lure(first.address, "n1").replace("evil.example.com", "colis-suivi-bourgogne.com")
    post.send(text, first.address, second.address, third.address, client=CLIENT)
    post.settle(3)
    with reader.open_mailbox(post.config, first.address) as opened:
        opened.mark_seen(opened.list()[0].uid)
    old = clock.now() - timedelta(days=29)
    MailDelivery.objects.update(delivered_at=old)
    MailMessage.objects.update(received_at=old)
    if not value:  # what the lure links to and carries
        seen = MailObservation.objects.filter(kind=kind, role__in=("link", "attachment"))
        value = str(seen.values_list("value", flat=True).exclude(value__contains="gouv.fr")[0])
    decision = post.block(kind, value)
    run_pending("remediation")
    post.wait_count(first, 0)
    rows = {one.collectivite_id: one for one in met(Actor.system("tests"), decision.id)}
    assert set(rows) == {beaune.id, nuits.id}
    here, there = rows[beaune.id], rows[nuits.id]
    assert (here.copies, here.mailboxes, here.opened, here.withdrawn, here.remaining) == (2, 2, 1, 2, 0)
    assert (there.copies, there.opened, there.withdrawn) == (1, 0, 1)
    assert [one.collectivite_id for one in met(nuits.referent, decision.id)] == [nuits.id]

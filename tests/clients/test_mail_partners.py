"""Partners that demand a proved certificate: their policy over real DNS and HTTPS, and what Postfix does then."""

from __future__ import annotations

import smtplib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.domains import checking
from beffroi.mail.domains.site import Way
from beffroi.mail.sending import actions, consumers, policies, queries, sts
from beffroi.mail.sending.sts import Known

from tests.certificates import self_signed
from tests.conftest import Commune
from tests.foreign_mail import PLAIN, POLICIES, SIGNED, SLOW, STRICT, SURE, Sending
from tests.mail_post import needs_engines, until
from tests.submitting import letter, secret_of, submitting
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_sending"]
pytestmark = needs_engines
POLICY = f"version: STSv1\r\nmode: enforce\r\nmx: mx.{STRICT}\r\nmax_age: 86400\r\n"


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        good = (
            self.path == "/.well-known/mta-sts.txt"
            and self.headers["Host"].partition(":")[0] == f"mta-sts.{STRICT}"
        )
        self.send_response(200 if good else 404)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(POLICY.encode() if good else b"")

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """The partner's site with its policy."""
    folder: Path = tmp_path_factory.mktemp("sts")
    self_signed(folder / "site.pem", folder / "key.pem", f"mta-sts.{STRICT}")
    server = ThreadingHTTPServer((POLICIES, 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "site.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Way(https_port=server.server_address[1], private=True, authorities=str(folder / "site.pem"))
    server.shutdown()
    server.server_close()


def test_a_partners_policy_is_learned_held_and_kept_when_its_server_is_gone(
    sending: Sending, way: Way
) -> None:
    now_s = clock.epoch_s()
    found = sts.learn(Known(STRICT), checking.own_resolver(sending.config), way, now_s=now_s)
    assert found == Known(
        STRICT, "20261126", f"secure match=mx.{STRICT} servername=hostname", now_s + 86400, now_s
    )
    gone = Way(https_port=1, private=True, authorities=way.authorities)
    later = sts.learn(found, checking.own_resolver(sending.config), gone, now_s=now_s + 3600)
    assert (later.row, later.until_s) == (found.row, found.until_s)
    over = sts.learn(found, checking.own_resolver(sending.config), gone, now_s=now_s + 90000)
    assert over.row == ""
    # By default nothing inside is asked: an address of this machine is no public one.
    inside = sts.learn(Known(STRICT), checking.own_resolver(sending.config), Way(), now_s=now_s)
    assert inside.row == ""


def test_dane_goes_first_and_takes_the_place_of_a_policy(sending: Sending, way: Way) -> None:
    now_s = clock.epoch_s()
    before = Known(SIGNED, "1", "secure match=x", now_s + 86400, 0)
    found = sts.learn(before, checking.own_resolver(sending.config), way, now_s=now_s)
    assert found == Known(SIGNED, asked_s=now_s)


def test_mail_waits_for_a_partner_whose_certificate_is_not_the_one_its_policy_names(
    sending: Sending, beaune: Commune
) -> None:
    """With every Python process but mailgate stopped: the rule is a file of Postfix's."""
    box = sending.post.mailbox(beaune, beaune.agent, "prudent")
    until_s = clock.epoch_s() + 86400
    policies.put(
        sending.config, Known(STRICT, "1", f"secure match=mx.{STRICT} servername=hostname", until_s, until_s)
    )
    policies.put(
        sending.config, Known(SURE, "1", "secure match=mx.example.org servername=hostname", until_s, until_s)
    )
    main = sending.config.state / "postfix" / "etc" / "main.cf"
    before = main.read_text()
    main.write_text(f"{before}smtp_tls_CAfile = {sending.foreign.home / 'cert.pem'}\n")
    sending.post.engines.kill("postfix")
    sending.post.engines.start("postfix")
    try:
        with submitting(sending.post, box.address, secret_of(beaune)) as smtp:
            for to, subject in ((f"x@{STRICT}", "retenu"), (f"x@{SURE}", "certain")):
                smtp.sendmail(box.address, [to], letter(box.address, to, subject))
        sending.foreign.arrives("certain")
        assert "Verified TLS connection" in sending.logged("TLS connection established to", f"mx.{SURE}")
        assert "status=deferred" in sending.logged(f"to=<x@{STRICT}>", "status=")
        assert b"retenu" not in b"".join(sending.foreign.arrived())
    finally:
        main.write_text(before)
        sending.post.engines.kill("postfix")
        sending.post.engines.start("postfix")


def test_what_left_is_counted_by_how_it_was_protected(
    sending: Sending, beaune: Commune, administrator: Actor
) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "compte")
    sending.post.engines.start("queue")
    try:
        consumers.count_left()
        before = queries.protected(administrator, days=1)
        with submitting(sending.post, box.address, secret_of(beaune)) as smtp:
            for to in (f"x@{SIGNED}", f"x@{PLAIN}", f"x@{SLOW}"):
                smtp.sendmail(box.address, [to], letter(box.address, to, f"compte {to}"))
        for to in (f"x@{SIGNED}", f"x@{PLAIN}", f"x@{SLOW}"):
            sending.foreign.arrives(f"compte {to}")
            sending.logged(f"to=<{to}>", "status=sent")
        until(lambda: _counted(administrator) == sum(before[:3]) + 3, "three more recipients")
        found = queries.protected(administrator, days=1)
        assert [found[n] - before[n] for n in range(3)] == [1, 1, 1]
        assert found.partners[0][0] == PLAIN
    finally:
        sending.post.engines.kill("queue")


def _counted(actor: Actor) -> int:
    consumers.count_left()
    return sum(queries.protected(actor, days=1)[:3])


def test_the_first_mail_to_a_partner_makes_its_policy_be_asked(sending: Sending, beaune: Commune) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "premier")
    to = f"x@{SURE}"
    policies.put(sending.config, Known(SURE))
    with submitting(sending.post, box.address, secret_of(beaune)) as smtp:
        smtp.sendmail(box.address, [to, box.address], letter(box.address, to, "premier"))
    until(lambda: OutboxEvent.objects.filter(kind="mail:leaving").exists(), "the domains of what leaves")
    run_pending("sources")
    assert policies.known(sending.config, SURE).asked_s > 0
    assert policies.known(sending.config, beaune.domain).asked_s == 0, "nobody asks our own domains"


def test_with_a_chosen_partner_mail_passes_encrypted_or_not_at_all(
    sending: Sending, beaune: Commune, administrator: Actor
) -> None:
    box = sending.post.mailbox(beaune, beaune.agent, "exige")
    for name in (PLAIN, SLOW, SIGNED):
        actions.choose_partner(actor=administrator, name=name)
    run_pending("sources")
    consumers.refresh_chosen()
    assert policies.chosen(sending.config) == {PLAIN: "encrypt", SLOW: "encrypt", SIGNED: "dane-only"}
    with submitting(sending.post, box.address, secret_of(beaune)) as smtp:
        for to in (f"x@{PLAIN}", f"x@{SLOW}", f"x@{SIGNED}"):
            smtp.sendmail(box.address, [to], letter(box.address, to, f"exige {to}"))
    for to in (f"x@{SLOW}", f"x@{SIGNED}"):
        sending.foreign.arrives(f"exige {to}")
    assert "TLS is required" in sending.logged(f"to=<x@{PLAIN}>", "status=deferred")
    sender = f"x@{PLAIN}"
    mail = letter(sender, box.address, "en clair")
    code, text = sending.post.send(mail, box.address, sender=sender)
    assert (code, "encryption is required" in text) == (450, True)
    with smtplib.SMTP("127.0.0.1", sending.config.smtp_port, timeout=PATIENCE_S) as smtp:
        smtp.starttls(context=ssl._create_unverified_context())
        smtp.sendmail(sender, [box.address], mail)
    sending.post.wait_count(box, 1)
    actions.leave_partner(actor=administrator, domain=PLAIN)
    run_pending("sources")
    assert sending.post.send(letter(sender, box.address, "sans"), box.address, sender=sender)[0] == 250

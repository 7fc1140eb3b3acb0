"""The real Thunderbird with its mail: it finds the servers by the domain, signs in, and answers an invitation of the
webmail; its answer is understood, and kept among what was sent."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from beffroi.drive.calendars import itip, itip_text
from beffroi.lib import clock
from beffroi.mail import compose, invitations, reader
from beffroi.mail.models import Mailbox
from django.test import Client

from tests.certificates import self_signed
from tests.conftest import Commune
from tests.desk_thunderbird import Thunderbird, needs_thunderbird, thunderbird
from tests.mail_post import Post, needs_engines, until
from tests.submitting import secret_of

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [*needs_engines, *needs_thunderbird]
LOOPBACK = "127.0.77.1"
"""Of this test alone, where it takes the port of HTTPS, which is no setting of Thunderbird's."""
SIGNS_IN = """
    const from = name => ChromeUtils.importESModule(`resource:///modules/accountcreation/${name}.sys.mjs`)[name];
    const [address, password] = given;
    const { signal } = new AbortController();
    const looked = from("FindConfig").parallelAutoDiscovery(address.split("@")[1], address, signal, password);
    const { value: found } = await looked.next();
    from("AccountConfig").replaceVariables(found, "Claire Noël", address, password);
    found.rememberPassword = true;
    const verified = await new (from("ConfigVerifier"))(window.msgWindow, signal).verifyConfig(found, false);
    await from("CreateInBackend").createAccountInBackend(verified);
    return [found.subSource, verified.incoming.hostname, verified.incoming.port, verified.outgoing.port];
"""
"""What the window for a new account does: servers of the domain, a sign-in, and the account."""
INBOX = """
    const server = MailServices.accounts.accounts[0].incomingServer;
    const inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
"""
SHOWN = """
    const shown = window.document.getElementById("tabmail").currentTabInfo.chromeBrowser?.contentWindow;
    const accept = shown?.document.getElementById("imipAcceptButton");
"""
INVITES = """
    const [home] = cal.manager.getCalendars();
    const { CalEvent } = ChromeUtils.importESModule("resource:///modules/CalEvent.sys.mjs");
    const { CalAttendee } = ChromeUtils.importESModule("resource:///modules/CalAttendee.sys.mjs");
    const entry = new CalEvent();
    entry.title = "Commission, écoles";
    entry.startDate = cal.createDateTime("20261204T090000Z");
    entry.endDate = cal.createDateTime("20261204T100000Z");
    given.forEach((address, number) => {
        const one = new CalAttendee();
        one.id = `mailto:${address}`;
        one.isOrganizer = number == 0;
        one.rsvp = "TRUE";
        one.role = "REQ-PARTICIPANT";
        one.participationStatus = number == 0 ? "ACCEPTED" : "NEEDS-ACTION";
        if (one.isOrganizer) {
            entry.organizer = one;
        } else {
            entry.addAttendee(one);
        }
    });
    entry.setProperty("X-MOZ-SEND-INVITATIONS", "TRUE");
    await window.doTransaction("add", entry, home, null, null, { responseMode: Ci.calIItipItem.AUTO });
"""
INVITATION = """BEGIN:VCALENDAR
VERSION:2.0
METHOD:REQUEST
BEGIN:VEVENT
UID:reunion
DTSTAMP:20261101T080000Z
DTSTART;TZID=Europe/Paris:20261203T090000
DTEND;TZID=Europe/Paris:20261203T100000
SUMMARY:Réunion\\, salle 2
ORGANIZER;CN=Paul Élu:mailto:{organizer}
ATTENDEE;CN=Claire Noël;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{guest}
END:VEVENT
END:VCALENDAR
"""


@contextmanager
def discovery(domain: str, directory: Path) -> Iterator[Path]:
    """Under the domain's own name what the portal answers there; the certificate that it shows."""
    host, path = f"autoconfig.{domain}", "/mail/config-v1.1.xml"
    told = Client().get(path, headers={"host": host})

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_asked = (self.headers["Host"], self.path.partition("?")[0]) == (host, path)
            self.send_response(told.status_code if is_asked else 404)
            self.send_header("Content-Type", told.headers["Content-Type"])
            self.end_headers()
            self.wfile.write(told.content if is_asked else b"")

        def log_message(self, *_: object) -> None:
            pass

    pem, key = directory / "discovery.pem", directory / "discovery.key"
    self_signed(pem, key, f"autoconfig.{domain}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    with ThreadingHTTPServer((LOOPBACK, 443), Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield pem
        finally:
            server.shutdown()
            thread.join()


def read(post: Post, mailbox: Mailbox) -> itip.Message:
    """What the newest mail there says to calendars, as the portal reads it."""
    with reader.open_mailbox(post.config, mailbox.address) as opened:
        newest = opened.list()[0]
        part = invitations.part_of(opened.read(newest.uid))
        assert part is not None
        text = invitations.text_of(invitations.fetch(opened, newest.uid, "INBOX", part), "utf-8")
    return itip.parse(text or "")


@pytest.fixture
def program(post: Post, beaune: Commune, tmp_path: Path) -> Iterator[Thunderbird]:
    config = post.config
    hosts = {"network__dns__localDomains": config.mail_name, "network__dns__forceResolve": LOOPBACK}
    with (
        discovery(beaune.domain, tmp_path) as certificate,
        thunderbird(tmp_path / "thunderbird", **hosts) as running,
    ):
        running.trust_at(f"autoconfig.{beaune.domain}", 443, certificate)
        for port in (config.imaps_port, config.submissions_port):
            running.trust_at(config.mail_name, port, config.state / "tls" / "mail.pem")
        yield running


def test_an_account_is_found_by_its_address_answers_an_invitation_and_sends_one(
    program: Thunderbird, post: Post, beaune: Commune, nuits: Commune
) -> None:
    claire = post.mailbox(beaune, beaune.agent, "claire")
    paul = post.mailbox(nuits, nuits.agent, "paul")
    config = post.config
    servers = ["xml-from-isp-https", config.mail_name, config.imaps_port, config.submissions_port]
    assert program.do(SIGNS_IN, claire.address, secret_of(beaune)) == servers
    asked = itip.parse(INVITATION.format(organizer=paul.address, guest=claire.address).replace("\n", "\r\n"))
    text = itip_text.calendar("REQUEST", asked.events)
    draft = compose.Draft(
        from_name="Paul Élu",
        from_address=paul.address,
        to=claire.address,
        subject="Invitation : Réunion",
        text="Bonjour",
        files=(compose.File("invitation.ics", text.encode(), is_calendar=True),),
        message_id=f"<1@{nuits.domain}>",
    )
    assert post.send(compose.build(draft, clock.now()), claire.address)[0] == 250
    come = "server.getNewMessages(inbox, window.msgWindow, null); return inbox?.getTotalMessages(false);"
    until(lambda: program.do(INBOX + come), "the mail arrives")
    program.do(
        INBOX
        + """
        const [home] = cal.manager.getCalendars();
        home.setProperty("disabled", false);
        const messageURI = inbox.getUriForMsg([...inbox.messages][0]);
        window.document.getElementById("tabmail").openTab("mailMessageTab", { messageURI });
        """
    )
    until(lambda: program.do(f"{SHOWN} return accept && !accept.hidden;"), "it shows that it can be accepted")
    program.do(f"{SHOWN} later(() => accept.doCommand(), shown);")
    post.wait_count(paul, 1)
    answer = read(post, paul)
    guest = answer.main.guest(claire.address)
    assert (answer.method, answer.main.uid) == ("REPLY", "reunion") and guest is not None
    assert (guest.answer, answer.main.title) == ("ACCEPTED", "Réunion, salle 2")
    program.do(INVITES, claire.address, paul.address)
    post.wait_count(paul, 2)
    asked = read(post, paul)
    assert (asked.method, asked.main.title) == ("REQUEST", "Commission, écoles")
    assert asked.main.organizer is not None and asked.main.organizer.address == claire.address
    assert [one.address for one in asked.main.attendees if one.address != claire.address] == [paul.address]
    post.wait_count(claire, 2, "Sent")

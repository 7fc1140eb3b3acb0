"""By which address mail really leaves: real Postfix and rspamd, several addresses of loopback, and servers that write
down who connected."""

from __future__ import annotations

import email
import smtplib

import msgspec
import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, durable
from beffroi.mail.gate.exits import State, state_path
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import actions, consumers, exits, pool_actions, pool_queries
from beffroi.mail.sending.models import Doubted, RefusedDay, SendingAlarm
from beffroi.mail.sending.warming import Answered

from tests.certificates import unverified
from tests.conftest import Commune
from tests.foreign_mail import DESERTED, PLAIN, REFUSING, SLOW, Sending
from tests.mail_post import needs_engines, until
from tests.submitting import letter, secret_of, submitting
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_sending"]
pytestmark = needs_engines
FIRST, NEW, DOUBTFUL, ABSENT = "127.0.0.41", "127.0.0.42", "127.0.0.43", "192.0.2.77"
OUTGOING_POOLS = (
    f"nouvelle warming nouvelle.beffroi.example {NEW}; douteux doubtful douteux.beffroi.example {DOUBTFUL};"
    f" absente warming absente.beffroi.example {ABSENT}"
)


def _tell(sending: Sending, **shares: int) -> None:
    """What the worker tells the door; nobody is doubtful."""
    told = msgspec.json.encode(msgspec.to_builtins(State(shares=shares)))
    durable.write(state_path(sending.config), (told,), mode=0o644)


def _left_from(sending: Sending, subject: str) -> str:
    """The address that the foreign server saw, with the name it was greeted by."""
    received = email.message_from_bytes(sending.foreign.arrives(subject)).get_all("Received", [])[0]
    return " ".join(received.split()[1:4])


def _send(sending: Sending, box: Mailbox, secret: str, subject: str, *to: str) -> None:
    with submitting(sending.post, box.address, secret) as smtp:
        smtp.sendmail(box.address, list(to), letter(box.address, to[0], subject))


def test_a_new_address_gets_its_share_of_each_provider_and_the_rest_leaves_by_the_first(
    sending: Sending, beaune: Commune
) -> None:
    box, secret = sending.post.mailbox(beaune, beaune.agent, "ordinaire"), secret_of(beaune)
    with submitting(sending.post, box.address, secret) as smtp:
        forged = f"X-Beffroi-Lane: out-nouvelle\r\n{letter(box.address, f'x@{PLAIN}', 'sans part')}"
        smtp.sendmail(box.address, [f"x@{PLAIN}"], forged)
    assert FIRST in _left_from(sending, "sans part"), "nobody chooses an address by a header of their own"
    _tell(sending, nouvelle=2)
    for number in range(3):
        _send(sending, box, secret, f"orange {number}", f"n{number}@{SLOW}")
    _send(sending, box, secret, "autre", f"y@{PLAIN}")
    _send(sending, box, secret, "deux fournisseurs", f"a@{SLOW}", f"b@{PLAIN}")
    for number, address in enumerate((NEW, NEW, FIRST)):
        assert address in _left_from(sending, f"orange {number}")
    assert "nouvelle.beffroi.example" in _left_from(sending, "orange 0")
    assert NEW in _left_from(sending, "autre"), "each provider has its own share"
    assert FIRST in _left_from(sending, "deux fournisseurs")
    _send(sending, box, secret, "refus", f"z@{REFUSING}")
    assert "out-nouvelle/smtp" in sending.logged(f"to=<z@{REFUSING}>", "status=bounced")
    assert "out-nouvelle-orange/smtp" in sending.logged(f"to=<n1@{SLOW}>", "status=sent")
    assert "slow-orange/smtp" in sending.logged(f"to=<n2@{SLOW}>", "status=sent")
    sending.post.engines.start("queue")
    try:
        consumers.count_left()
    finally:
        sending.post.engines.kill("queue")
    today = clock.now().date()
    assert pool_queries.answered("nouvelle", since=today) == {"orange": Answered(2, 0), "": Answered(1, 1)}
    assert RefusedDay.objects.get().mailbox_id == box.id


def test_an_account_that_writes_to_a_list_of_strangers_sends_nothing_more_until_it_is_given_back(
    sending: Sending, beaune: Commune, administrator: Actor
) -> None:
    box, secret = sending.post.mailbox(beaune, beaune.agent, "volee"), secret_of(beaune)
    _tell(sending)
    for mail in range(2):  # a server hangs up after 20 refusals in one session
        strangers = [f"n{mail}-{number}@{DESERTED}" for number in range(12)]
        _send(sending, box, secret, f"offre {mail}", *strangers, f"vrai{mail}@{PLAIN}")

    def answers() -> list[str]:
        lines = [
            line for line in sending.log().splitlines() if f"@{DESERTED}>, " in line or "to=<vrai" in line
        ]
        return [line for line in lines if "status=bounced" in line or "status=sent" in line]

    until(lambda: len(answers()) >= 26, "all answers")
    sending.post.engines.start("queue")
    try:
        consumers.count_left()
        alarm = SendingAlarm.objects.get()
        assert (alarm.mailbox_id, alarm.limit, alarm.most) == (box.id, "unknown", 24)
        assert alarm.contained_at is not None
        run_pending("main")
        with pytest.raises(smtplib.SMTPException):
            _send(sending, box, secret, "encore", f"vrai@{PLAIN}")
        actions.give_back(actor=administrator, alarm=alarm)
        run_pending("main")
        consumers.count_left()
    finally:
        sending.post.engines.kill("queue")
    assert not SendingAlarm.objects.filter(closed_at=None).exists()
    _send(sending, box, secret, "rendu", f"vrai@{PLAIN}")
    assert sending.foreign.arrives("rendu")


def test_doubtful_mail_leaves_by_its_own_address_and_colleagues_get_theirs(
    sending: Sending, beaune: Commune, nuits: Commune
) -> None:
    _tell(sending)
    box, secret = sending.post.mailbox(beaune, beaune.agent, "douteux"), secret_of(beaune)
    colleague = sending.post.mailbox(nuits, nuits.agent, "collegue")
    pool_actions.doubt({box.id: (beaune.collectivite.id, "refused")})
    exits.project(sending.config)
    _send(sending, box, secret, "douteux", f"un@{SLOW}", f"deux@{PLAIN}", colleague.address)
    sending.post.wait_count(colleague, 1)
    for to, lane in ((f"un@{SLOW}", "out-douteux-orange/smtp"), (f"deux@{PLAIN}", "out-douteux/smtp")):
        assert lane in sending.logged(f"to=<{to}>", "status=sent", "postfix-beffroi/out-")

    def copies() -> list[bytes]:
        return [one for one in sending.foreign.arrived() if b"Subject: douteux" in one]

    until(lambda: len(copies()) == 2, "both at the foreign server")
    for copy in copies():
        first = email.message_from_bytes(copy).get_all("Received", [])[0]
        assert DOUBTFUL in first and "douteux.beffroi.example" in first
        assert b"X-Beffroi-" not in copy
    client = sending.post.imap(colleague)
    client.select_folder("INBOX", readonly=True)
    headers = client.fetch([1], ["BODY.PEEK[HEADER]"])[1][b"BODY[HEADER]"]
    client.logout()
    assert b"X-Beffroi-Id: " in headers
    assert b"X-Beffroi-Lane" not in headers

    pool_actions.doubt({})
    assert Doubted.objects.get().ended_at is not None
    exits.project(sending.config)
    _send(sending, box, secret, "de nouveau clair", f"un@{PLAIN}")
    assert FIRST in _left_from(sending, "de nouveau clair")


def test_from_an_address_that_is_not_here_mail_waits_and_leaves_by_no_other(
    sending: Sending, beaune: Commune
) -> None:
    box, secret = sending.post.mailbox(beaune, beaune.agent, "absente"), secret_of(beaune)
    _tell(sending, absente=5)
    _send(sending, box, secret, "nulle part", f"attend@{PLAIN}")
    assert "status=deferred" in sending.logged(f"to=<attend@{PLAIN}>", "status=")
    assert not [one for one in sending.foreign.arrived() if b"nulle part" in one]


def test_where_mail_is_split_nobody_hands_any_in(sending: Sending) -> None:
    context = unverified()
    with smtplib.SMTP("127.0.0.1", sending.config.split_port, timeout=PATIENCE_S) as smtp:
        smtp.starttls(context=context)
        smtp.ehlo("intrus")
        smtp.docmd("MAIL FROM:<a@b.example>")
        code, _ = smtp.docmd(f"RCPT TO:<x@{PLAIN}>")
    assert code == 554

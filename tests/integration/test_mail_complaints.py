"""Complaints of recipients: from the feedback loop's mail to the account, and who sees them."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.mail import actions as mail_actions
from beffroi.mail.domains.asking import Asker
from beffroi.mail.gate.facts import hash_of_message_id
from beffroi.mail.models import Mailbox, MailMessage
from beffroi.mail.reports import consumers, intake, queries, retention, rules
from beffroi.mail.reports.models import Complaint, ReportRefusal
from beffroi.mail.reports.values import Complaint as Told
from beffroi.mail.reports.values import Read
from beffroi.mail.sending.models import SendingAlarm

from tests import reports_samples as samples
from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
PROVED = "spf=pass; dkim=pass; dmarc=pass"


@pytest.fixture
def box(beaune: Commune, administrator: Actor) -> Mailbox:
    return mail_actions.provision_mailbox(
        actor=administrator, collectivite=beaune.collectivite, address=f"mairie@{beaune.domain}"
    )


def left(box: Mailbox, number: int, *, signed_in: bool = True) -> str:
    """A mail that this mailbox sent, as the mail door records it; its Message-ID."""
    name = f"lettre-{number}@{box.address.partition('@')[2]}"
    MailMessage.objects.create(
        received_at=clock.now(),
        message_id=name,
        message_id_hash=hash_of_message_id(name),
        sender=box.address,
        client_ip="192.0.2.9",
        helo="pc",
        verdict='{"action":"accept","signed_in":%s}' % ("true" if signed_in else "false"),
    )
    return name


def bring(about: str, **more: Any) -> int:
    found = intake.read(samples.complaint(about, **{"auth": PROVED, **more}), now_s=clock.epoch())
    return consumers.take(found, asker=Asker("127.0.0.1", 9, 0.0))


@pytest.mark.parametrize("whole", [True, False])
def test_a_complaint_finds_the_mailbox_and_keeps_nobody_else(box: Mailbox, whole: bool) -> None:
    about = left(box, 1)
    assert bring(about, whole=whole) == 1
    row = Complaint.objects.get()
    assert (row.mailbox_id, row.kind, row.reporter, row.authentic) == (
        box.id,
        "abuse",
        "signal-spam.fr",
        True,
    )
    assert bring(about, whole=whole) == 0
    assert not any("orange" in str(value) for value in vars(row).values())


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "", "abuse; x"])
def test_what_is_no_complaint_counts_as_a_mail_without_report(box: Mailbox, kind: str) -> None:
    assert bring(left(box, 1), kind=kind) == 0
    assert ReportRefusal.objects.get().code == "report.none"


def test_a_mail_that_no_mailbox_sent_signed_in_is_unknown(box: Mailbox) -> None:
    assert bring(left(box, 1, signed_in=False)) == 0
    assert bring("never@beaune.test") == 0
    refused = ReportRefusal.objects.get()
    assert (refused.code, refused.count) == ("report.unknown_mail", 2)
    assert not Complaint.objects.exists()


def test_without_the_mail_it_speaks_of_it_is_unreadable(box: Mailbox) -> None:
    text = samples.complaint("x@y", auth=PROVED).replace(b"Message-ID: <x@y>", b"X: y")
    assert intake.read(text, now_s=clock.epoch()).code == "report.unreadable"


def test_what_lies_inside_the_mail_is_not_opened(box: Mailbox) -> None:
    """A mail of many parts, or with another report in it, is only its Message-ID."""
    about = left(box, 1)
    inside = b"Content-Type: multipart/mixed; boundary=i\n\n" + b"--i\n\n<feedback>\n" * 200
    text = samples.complaint(about, auth=PROVED).replace(b"\n\nBonjour,\n", b"\n" + inside)
    found = intake.read(text, now_s=clock.epoch())
    assert (found.code, found.dmarc) == ("", ())
    assert found.complaint is not None and found.complaint.about == about


def test_what_another_process_wrote_is_judged_again(box: Mailbox) -> None:
    for one in (Told("<b>", left(box, 1), "1"), Told("abuse", "", "1"), Told("abuse", "x" * 999, "1")):
        assert consumers.take(Read("a.fr", True, complaint=one), asker=Asker("127.0.0.1", 9, 0.0)) == 0
    assert ReportRefusal.objects.get().code == "report.unreadable"


def test_many_complaints_make_an_alarm_that_holds_nothing(box: Mailbox, administrator: Actor) -> None:
    for number in range(rules.COMPLAINTS + 3):
        bring(left(box, number), number=str(number), auth="spf=fail; dkim=none; dmarc=fail")
    assert not SendingAlarm.objects.exists()  # anybody may write these
    for number in range(rules.COMPLAINTS):
        bring(left(box, 100 + number), number=f"p{number}")
    alarm = SendingAlarm.objects.get()
    assert (alarm.limit, alarm.most, alarm.contained_at) == ("complaints", rules.COMPLAINTS, None)
    bring(left(box, 200), number="later")
    alarm.refresh_from_db()
    assert alarm.most == rules.COMPLAINTS + 1
    [shown] = queries.complaints(administrator, days=30)
    assert (shown.complaints, shown.mails, shown.unproved) == (rules.COMPLAINTS + 1, rules.COMPLAINTS + 1, 8)
    with on_listener("console"):
        page = console_client(administrator.id).get("/sortant/").content.decode()
    assert "6 plaintes de destinataires en une semaine" in page
    assert "6 plaintes, sur 6 courriels" in page
    assert "8 autres, d’origine non prouvée" in page
    assert "Suspendre l’envoi" in page


def test_a_complaint_about_one_commune_is_told_to_no_other(box: Mailbox, nuits: Commune) -> None:
    bring(left(box, 1))
    with pytest.raises(NotFound):
        queries.complaints(nuits.referent, days=30)


def test_old_complaints_go(box: Mailbox) -> None:
    bring(left(box, 1))
    assert retention.complaints(clock.now()).count() == 1
    assert retention.complaints(Complaint.objects.get().received_at).count() == 0

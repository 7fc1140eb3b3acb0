"""A report from another server's mail to our table: real Postfix, rspamd, and the process that reads it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from beffroi.lib import clock, seclusion
from beffroi.mail.reports import consumers, intake, values
from beffroi.mail.reports.models import Complaint, DmarcReport, ReportRefusal

from tests import reports_samples as samples
from tests.conftest import Commune
from tests.mail_post import Post, needs_engines, until
from tests.reports_samples import DAY_S, GOOD
from tests.submitting import secret_of, submitting

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
SENDER = "reports@sender.example.net"


@pytest.fixture
def reports(post: Post) -> Iterator[Post]:
    post.engines.start("reports")
    try:
        yield post
    finally:
        post.engines.kill("reports")


def mail(number: str) -> bytes:
    begin_s = clock.epoch_s() // DAY_S * DAY_S - DAY_S
    text = samples.google([GOOD], begin_s=begin_s, number=number)
    forged = "spf=pass; dkim=pass; dmarc=pass"  # the door must take it out
    return samples.mail(samples.zipped(text), "application/zip", sender=SENDER, auth=forged)


def taken(post: Post) -> int:
    consumers.take_waiting()
    return DmarcReport.objects.count()


def test_a_report_by_mail_is_read_kept_and_its_mail_is_gone(reports: Post, beaune: Commune) -> None:
    to = reports.config.reports_address
    code, said = reports.send(mail("1"), to, sender=SENDER)
    assert code == 250, said
    until(lambda: taken(reports) == 1, "the report in the table")
    report = DmarcReport.objects.get()
    assert (report.reporter, report.authentic) == ("sender.example.net", True)
    assert list((values.maildir(reports.config.state) / "new").iterdir()) == []
    # The same words of somebody whose name nobody proves: kept, and not believed.
    assert reports.send(mail("2"), to, sender=SENDER, client="91.240.118.66")[0] == 250
    until(lambda: taken(reports) == 2, "the second report in the table")
    assert sorted(DmarcReport.objects.values_list("authentic", flat=True)) == [False, True]


def test_mails_wait_while_nothing_of_ours_runs(post: Post, beaune: Commune) -> None:
    post.engines.kill("stream", "mailgate")
    assert post.send(mail("3"), post.config.reports_address, sender=SENDER)[0] == 250
    new = values.maildir(post.config.state) / "new"
    until(lambda: new.exists() and len(list(new.iterdir())) == 1, "the mail in its folder")
    intake.read_waiting(post.config.state)
    assert taken(post) == 1


def test_other_addresses_of_our_own_name_do_not_exist(post: Post) -> None:
    code, _ = post.send(b"Subject: x\n\nx", f"secretaire@{post.config.mail_name}")
    assert code == 550


def test_a_bomb_is_a_code_and_the_next_mail_is_read(reports: Post, beaune: Commune) -> None:
    to = reports.config.reports_address
    bomb = samples.mail(samples.packed(b"<feedback>" + b" " * 40_000_000), "application/gzip", sender=SENDER)
    assert reports.send(bomb, to, sender=SENDER)[0] == 250
    assert reports.send(mail("4"), to, sender=SENDER)[0] == 250
    until(lambda: taken(reports) == 1, "the good report in the table")
    until(lambda: bool(taken(reports)) and ReportRefusal.objects.exists(), "the bomb among the refused")
    assert ReportRefusal.objects.get().code == "report.too_big"


@pytest.mark.parametrize("what", ["socket", "program", "file"])
def test_who_reads_a_report_has_no_socket_no_program_and_writes_no_file(what: str) -> None:
    """In a child, as the reader does it; what is refused ends it with 7."""
    child = os.fork()
    if child == 0:
        try:
            seclusion.limit(memory_bytes=intake.MEMORY_BYTES * 8, cpu_s=20, file_bytes=0)
            seclusion.no_sockets_no_programs()
            if what == "socket":
                socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            elif what == "program":
                os.execv("/bin/true", ["true"])
            else:
                import signal

                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                os.write(os.open("/tmp", os.O_TMPFILE | os.O_WRONLY), b"x")
        except OSError:
            os._exit(7)
        finally:
            os._exit(8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_complaint_finds_the_account_that_sent(reports: Post, beaune: Commune) -> None:
    box = reports.mailbox(beaune, beaune.agent, "lettre")
    with submitting(reports, box.address, secret_of(beaune)) as smtp:
        text = f"From: {box.address}\nTo: {box.address}\nSubject: Lettre\nMessage-ID: <lettre-1@x.test>\n\nBonjour\n"
        smtp.sendmail(box.address, [box.address], text)
    reports.wait_count(box, 1)
    told = samples.complaint("lettre-1@x.test", sender=SENDER, auth="dmarc=pass")
    assert reports.send(told, reports.config.reports_address, sender=SENDER)[0] == 250
    until(lambda: consumers.take_waiting() or Complaint.objects.exists(), "the complaint in the table")
    row = Complaint.objects.get()
    assert (row.mailbox_id, row.authentic) == (box.id, True)

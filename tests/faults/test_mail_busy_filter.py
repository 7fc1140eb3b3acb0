"""Mails that keep the filter busy: each gets a verdict, others pass meanwhile, and what hangs for good is replaced."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from beffroi.lib import clock
from beffroi.mail import compose, drafts, outgoing, sendings, submission
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox, Sending

from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
HEAD = "From: S <billing@sender.example.net>\nSubject: x\nMessage-ID: <{}@sender.example.net>\nMIME-Version: 1.0\n"


def test_a_mail_of_lines_that_look_like_boundaries_is_held_and_the_next_one_passes_meanwhile(
    post: Post, box: Mailbox
) -> None:
    lines = "--\n" * (8 * 2**20 // 3)
    bomb = (
        f"{HEAD.format('bombe')}Content-Type: multipart/mixed; boundary=b1\n\n"
        f"--b1\nContent-Type: text/plain\n\nBonjour\n{lines}--b1--\n"
    )
    answers: list[tuple[int, str]] = []
    sending = threading.Thread(target=lambda: answers.append(post.send(bomb, box.address)))
    sending.start()
    assert post.send(lure(box.address, "suivant"), box.address)[0] == 250
    sending.join()
    assert [code for code, _ in answers] == [250]
    post.settle(2)
    assert HeldMail.objects.get().findings == "unparseable"
    post.wait_count(box, 1)


def test_a_message_of_the_webmail_that_is_looked_at_for_long_leaves_once(
    post: Post, box: Mailbox, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = compose.File("note.pdf", b"%PDF-1.4\n%%EOF\n")
    draft = compose.Draft("Claire", box.address, to=box.address, subject="x", text="y", files=(file,))
    draft = replace(draft, message_id=compose.new_message_id(box.address))
    with drafts.open_drafts(post.config, box.address) as folder:
        place = folder.put(compose.build(draft, clock.now()))
    sendings.schedule(actor=beaune.agent, mailbox=box, place=place, message_id=draft.message_id, recipients=1)
    monkeypatch.setattr(submission, "TIMEOUT_S", 3.0)
    scan = post.engines.running["scan"].pid
    os.kill(scan, signal.SIGSTOP)
    goes_on = threading.Timer(8, os.kill, (scan, signal.SIGCONT))
    goes_on.start()

    def settled() -> bool:
        Sending.objects.filter(state="waiting").update(due_at=clock.now())
        outgoing.send_due()
        return Sending.objects.get().state == "sent"

    until(settled, "the message has left")
    goes_on.join()
    post.settle(1)
    assert [one["Subject"] for one in post.mails(box)] == ["x"]


@pytest.fixture
def impatient(post: Post) -> Iterator[Post]:
    """The same patience, counted in seconds instead of tens of them."""
    path = post.config.state / "rspamd" / "etc" / "override.d" / "options.inc"
    written = path.read_text()
    shorter = re.sub(r"heartbeat_interval = 10s", "heartbeat_interval = 1s", written)
    assert shorter != written
    path.write_text(shorter)
    post.engines.kill("rspamd")
    post.engines.start("rspamd")
    yield post
    path.write_text(written)
    post.engines.kill("rspamd")
    post.engines.start("rspamd")


def _workers(post: Post) -> set[int]:
    """Of this rspamd alone: other tests have theirs."""
    master = str(post.engines.running["rspamd"].pid)
    lines = subprocess.run(
        ["/bin/ps", "--ppid", master, "-o", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {int(line.split()[0]) for line in lines if "rspamd: rspamd_proxy" in line}


def test_workers_that_hang_are_replaced_and_mail_passes_again(impatient: Post, box: Mailbox) -> None:
    hung = _workers(impatient)
    assert len(hung) == 2
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)

    def replaced() -> bool:
        now = _workers(impatient)
        return len(now) == 2 and not now & hung

    until(replaced, "two other workers")
    assert impatient.send(lure(box.address, "apres"), box.address)[0] == 250
    impatient.wait_count(box, 1)

"""What one mail sets in motion: no event that nobody takes, nothing that waits for a poll, nothing compiled twice."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.mail import doveadm, reader
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.engines import layout, patterns, rspamd
from beffroi.mail.models import MailDelivery, MailMessage

from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
WAKE_UPS_A_SECOND = 8
"""Of one process of rspamd: it looks after its timers about thrice; for each missing file six times more."""


def test_a_delivered_mail_is_one_event(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "un")
    OutboxEvent.objects.all().delete()
    assert post.send(lure(box.address, "un"), box.address)[0] == 250
    post.settle(1)
    assert list(OutboxEvent.objects.values_list("kind", flat=True)) == ["mail:delivered"]


def test_a_decision_withdraws_what_the_journal_told_a_moment_ago(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "instant")
    assert post.send(lure(box.address, "instant"), box.address)[0] == 250
    post.wait_count(box, 1)
    journal = layout.Paths(post.config.state).journal
    until(lambda: MailMessage.objects.exists() and journal.stat().st_size > 0, "evidence and its line")
    assert not MailDelivery.objects.exists()
    post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert post.count(box) == 0


def test_patterns_of_rspamd_lie_in_files_before_it_starts_and_are_made_once(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = layout.Paths(post.config.state).rspamd / "db"
    largest = max(made.glob("*.hsmp"), key=lambda one: one.stat().st_size)
    # What rspamd compiles at its start, it writes as root.
    assert largest.owner() == "_rspamd"
    assert largest.stat().st_size > 10_000_000
    (kept,) = patterns.CACHE.glob(f"*/{largest.name}")
    assert (kept.owner(), kept.parent.owner()) == ("root", "root")  # no rspamd writes what others load
    assert kept.read_bytes() == largest.read_bytes()

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(subprocess, "run", never)
    largest.unlink()
    rspamd.write(post.config)
    assert largest.owner() == "_rspamd"


def _wake_ups(pid: str) -> int:
    """How often a process has waited so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(one for one in lines if one.startswith("voluntary_ctxt_switches")).split()[1])


def test_rspamd_at_rest_sleeps_and_looks_for_no_file_that_is_missing(post: Post) -> None:
    main = str(post.engines.running["rspamd"].pid)
    found = subprocess.run(["pgrep", "-P", main, "-f", "proxy"], capture_output=True, text=True, check=True)
    (pid, *_) = found.stdout.split()

    def woken() -> int:
        before = _wake_ups(pid)
        time.sleep(3)
        return _wake_ups(pid) - before

    until(lambda: woken() < 3 * WAKE_UPS_A_SECOND, "three quiet seconds", limit_s=30)


def test_a_sign_in_of_the_portal_waits_for_no_acknowledgement(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "vite")
    with reader.connect(post.config, box.address) as client:
        assert client.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_dovecot_starts_no_process_for_each_request(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "ensemble")
    engine = Doveadm(post.config)

    def answering() -> set[str]:
        assert engine.run([doveadm.quota(box.address)])[0]
        master = str(post.engines.running["dovecot"].pid)
        found = subprocess.run(["pgrep", "-P", master, "doveadm"], capture_output=True, text=True, check=True)
        return set(found.stdout.split())

    before = answering()
    for _ in range(3):
        assert answering() == before

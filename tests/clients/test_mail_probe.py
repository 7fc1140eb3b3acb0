"""The centre's mail to itself through the real engines: it arrives, it is gone, and nobody counts it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import tokens
from beffroi.mail.models import MailDelivery, MailMessage, PendingDelivery
from beffroi.mail.probe import consumers, paths, queries, told
from beffroi.mail.probe.models import ProbeRun

from tests.conftest import Commune
from tests.mail_post import Post, needs_engines

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


@pytest.fixture
def probed(post: Post) -> Iterator[Post]:
    assert consumers.ensure_mailbox()
    yield post
    post.engines.start(*(one for one in ("dovecot", "postfix") if one not in post.engines.running))


def lying(post: Post) -> int:
    client = paths._local(post.config)
    client.oauthbearer_login(
        post.config.probe_address, tokens.mailbox_token(post.config, post.config.probe_address)
    )
    try:
        return int(client.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"])
    finally:
        client.logout()


def counted(post: Post) -> int:
    path = post.config.state / "mailgate" / "sending.sqlite"
    with sqlite3.connect(path) as connection:
        found: Any = connection.execute("SELECT COUNT(*) FROM sent").fetchone()
    return int(found[0])


def test_a_mail_by_every_path_arrives_is_deleted_and_counted_nowhere(probed: Post) -> None:
    consumers.probe()
    assert {one.path: one.code for one in ProbeRun.objects.all()} == {"incoming": "", "submission": ""}
    assert all(one.duration_ms > 0 for one in ProbeRun.objects.all())
    assert lying(probed) == 0
    assert counted(probed) == 0
    probed.settle(0)
    assert not MailMessage.objects.exists()
    assert not MailDelivery.objects.exists()
    assert not PendingDelivery.objects.exists()
    assert told.problem(probed.config, now=clock.epoch_s(), alarm_after=2) == ""


def test_what_a_person_sends_to_the_probe_counts_as_everything_else(
    probed: Post, beaune: Commune, nuits: Commune
) -> None:
    box = probed.mailbox(beaune, beaune.agent, "curieux")
    body = f"From: x@sender.example.net\r\nTo: {box.address}\r\nMessage-ID: <p1@x>\r\nSubject: x\r\n\r\nx\r\n"
    assert probed.send(body, probed.config.probe_address, box.address)[0] == 250
    probed.settle(1)
    assert MailMessage.objects.count() == 1


def test_two_failures_in_a_row_alarm_and_a_success_ends_it(probed: Post, administrator: Actor) -> None:
    probed.engines.kill("postfix")
    for _ in range(3):
        consumers.probe()
    assert queries.alarms(administrator) == 2
    assert "incoming (unreachable)" in told.problem(probed.config, now=clock.epoch_s(), alarm_after=2)
    probed.engines.start("postfix")
    consumers.probe()
    assert queries.alarms(administrator) == 0
    verbs = AuditEntry.objects.filter(verb__startswith="mail:probe:").order_by("id")
    assert list(verbs.values_list("verb", flat=True)) == ["mail:probe:failed"] * 2 + ["mail:probe:well"] * 2


def test_mail_that_passed_without_our_door_is_no_success(probed: Post) -> None:
    probed.engines.kill("mailgate")
    assert [one.code for one in paths.run(probed.config)] == ["unchecked", "unchecked"]


def test_a_new_projection_gets_a_new_mailbox(probed: Post) -> None:
    with sqlite3.connect(probed.config.state / "projections" / "auth.sqlite") as connection:
        connection.execute("DELETE FROM mailbox WHERE address = ?", (probed.config.probe_address,))
    assert consumers.ensure_mailbox()
    assert [one.code for one in paths.run(probed.config)] == ["", ""]

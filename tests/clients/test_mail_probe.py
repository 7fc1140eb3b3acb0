"""The centre's mail to itself through the real engines: it arrives, it is gone, and nobody counts it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import tokens
from beffroi.mail.drafts import Place
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, PendingDelivery
from beffroi.mail.probe import actions, consumers, paths, queries, told
from beffroi.mail.probe.models import ProbeRun

from tests.clients.test_mail_relay_limits import copier
from tests.conftest import Commune
from tests.mail_post import Post, needs_engines

__all__ = ["copier"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


PATHS = ("incoming", "submission", "webmail")


@pytest.fixture
def probed(post: Post, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """The process webmail does its part as soon as it is asked."""
    ask = actions.ask_webmail

    def ask_and_send(place: Place) -> None:
        ask(place)
        run_pending("webmail")

    monkeypatch.setattr(actions, "ask_webmail", ask_and_send)
    assert consumers.ensure_mailbox()
    yield post
    post.engines.start(*(one for one in ("dovecot", "postfix") if one not in post.engines.running))


def lying(post: Post, folder: str = "INBOX") -> int:
    client = paths._local(post.config)
    client.oauthbearer_login(
        post.config.probe_address, tokens.mailbox_token(post.config, post.config.probe_address)
    )
    try:
        return int(client.folder_status(folder, ["MESSAGES"])[b"MESSAGES"])
    finally:
        client.logout()


def counted(post: Post) -> int:
    path = post.config.state / "mailgate" / "sending.sqlite"
    with sqlite3.connect(path) as connection:
        found: Any = connection.execute("SELECT COUNT(*) FROM sent").fetchone()
    return int(found[0])


def test_a_mail_by_every_path_arrives_is_deleted_and_counted_nowhere(probed: Post) -> None:
    consumers.probe()
    assert {one.path: one.code for one in ProbeRun.objects.all()} == dict.fromkeys(PATHS, "")
    assert all(one.duration_ms > 0 for one in ProbeRun.objects.all())
    assert [lying(probed, one) for one in ("INBOX", "Drafts", "Sent")] == [0, 0, 0]
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


def test_two_failures_in_a_row_alarm_and_a_success_ends_it(
    probed: Post, administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed.engines.kill("postfix")
    with monkeypatch.context() as hurried:
        hurried.setattr(paths, "ARRIVES_S", 3.0)  # nothing will
        for _ in range(3):
            consumers.probe()
    assert queries.alarms(administrator) == len(PATHS)
    assert "incoming (unreachable)" in told.problem(probed.config, now=clock.epoch_s(), alarm_after=2)
    probed.engines.start("postfix")
    consumers.probe()
    assert queries.alarms(administrator) == 0
    verbs = AuditEntry.objects.filter(verb__startswith="mail:probe:").order_by("id")
    assert list(verbs.values_list("verb", flat=True)) == ["mail:probe:failed"] * len(PATHS) + [
        "mail:probe:well"
    ] * len(PATHS)


def test_mail_that_passed_without_our_door_is_no_success(probed: Post) -> None:
    probed.engines.kill("mailgate")
    assert [one.code for one in paths.run(probed.config, actions.ask_webmail)] == ["unchecked"] * len(PATHS)


def test_a_new_projection_gets_a_new_mailbox(probed: Post) -> None:
    with sqlite3.connect(probed.config.state / "projections" / "auth.sqlite") as connection:
        connection.execute("DELETE FROM mailbox WHERE address = ?", (probed.config.probe_address,))
    assert consumers.ensure_mailbox()
    assert [one.code for one in paths.run(probed.config, actions.ask_webmail)] == [""] * len(PATHS)


def test_a_portal_that_sends_nothing_is_late_and_nothing_of_it_stays(
    probed: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ARRIVES_S", 3.0)
    codes = {one.path: one.code for one in paths.run(probed.config, lambda place: None)}
    assert codes == {"incoming": "", "submission": "", "webmail": "late"}
    assert lying(probed, "Drafts") == 0


def test_the_way_of_the_copiers_is_tried_where_a_relay_is_in_force(probed: Post, copier: Mailbox) -> None:
    codes = {one.path: one.code for one in paths.run(probed.config, actions.ask_webmail)}
    assert codes == dict.fromkeys((*PATHS, "relay"), "")
    assert counted(probed) == 0
    with sqlite3.connect(probed.config.state / "projections" / "routes.sqlite") as connection:
        connection.execute("UPDATE relay SET recipients = '@elsewhere.test' WHERE login LIKE 'sonde@%'")
    codes = {one.path: one.code for one in paths.run(probed.config, actions.ask_webmail)}
    assert codes == {**dict.fromkeys(PATHS, ""), "relay": "refused"}, "the mail door looks at the policy"

"""rspamd is stopped: mail waits; for a term that an administrator set it passes, marked, and is checked afterwards."""

from __future__ import annotations

import smtplib
import sqlite3
from collections.abc import Iterator

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid, NotAllowed
from beffroi.mail import projections, reader, unscanned
from beffroi.mail.engines import layout
from beffroi.mail.heads import MessageSummary
from beffroi.mail.models import Mailbox, MailMessage

from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines
from tests.submitting import letter, secret_of, submitting

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
FOREIGN = "msg_" + "7" * 26


@pytest.fixture
def alone(post: Post) -> Iterator[Post]:
    """Without rspamd."""
    post.engines.kill("rspamd")
    yield post
    projections.put_unscanned(post.config, None)
    if "rspamd" not in post.engines.running:
        post.engines.start("rspamd")


def harmless(address: str, n: str) -> str:
    return lure(address, n).replace("evil", "kind").replace("SGVsbG8gUERG", "QXV0cmU=")


def listed(post: Post, box: Mailbox) -> list[MessageSummary]:
    with reader.open_mailbox(post.config, box.address) as opened:
        return opened.list()


def test_mail_waits_then_passes_marked_for_a_term_and_the_lure_is_withdrawn_when_rspamd_is_back(
    alone: Post, beaune: Commune, administrator: Actor
) -> None:
    post, box = alone, alone.mailbox(beaune, beaune.agent, "attente")
    post.block("domain", "evil.example.com")
    post.wait_gate(1)
    assert post.send(lure(box.address, "un"), box.address)[0] == 451
    unscanned.allow(actor=administrator, hours=2)
    assert AuditEntry.objects.filter(verb="mail:unscanned:allowed", actor_id=administrator.id).exists()
    assert post.send(lure(box.address, "un"), box.address)[0] == 250
    forged = f"X-Beffroi-Id: {FOREIGN}\r\nX-Beffroi-Spam: yes\r\nx-beffroi-verdict: quarantine\r\n"
    assert post.send(forged + harmless(box.address, "deux"), box.address)[0] == 250
    post.wait_count(box, 2)
    found = listed(post, box)
    assert all(one.unchecked for one in found)
    ids = {one.beffroi_id for one in found}
    assert len(ids) == 2 and FOREIGN not in ids and all(len(one) == 30 for one in ids)

    post.engines.start("rspamd")
    post.settle(2)
    assert {one.id for one in MailMessage.objects.all()} == ids
    (left,) = listed(post, box)
    assert not left.unchecked
    assert post.count(box) == 1


def test_while_rspamd_answers_a_term_changes_nothing(
    post: Post, beaune: Commune, administrator: Actor
) -> None:
    box = post.mailbox(beaune, beaune.agent, "normal")
    unscanned.allow(actor=administrator, hours=1)
    try:
        assert post.send(harmless(box.address, "trois"), box.address)[0] == 250
        post.settle(1)
    finally:
        unscanned.stop(actor=administrator)
    (one,) = listed(post, box)
    assert not one.unchecked
    assert MailMessage.objects.get().id == one.beffroi_id


def test_a_term_ends_by_itself_or_by_hand_and_people_do_not_send_unscanned(
    alone: Post, beaune: Commune, administrator: Actor
) -> None:
    post, box = alone, alone.mailbox(beaune, beaune.agent, "terme")
    secret = secret_of(beaune)
    unscanned.allow(actor=administrator, hours=1)
    with (
        pytest.raises(smtplib.SMTPResponseException) as refused,
        submitting(post, box.address, secret) as smtp,
    ):
        smtp.sendmail(box.address, [box.address], letter(box.address, box.address, "x"))
    assert refused.value.smtp_code in (451, 454), "later; 454 where STARTTLS already waits for rspamd"
    projections.put_unscanned(post.config, 1)
    assert unscanned.until() is None
    assert post.send(harmless(box.address, "quatre"), box.address)[0] == 451
    unscanned.allow(actor=administrator, hours=1)
    unscanned.stop(actor=administrator)
    assert post.send(harmless(box.address, "cinq"), box.address)[0] == 451


def test_a_table_that_cannot_be_read_lets_nothing_pass(
    alone: Post, beaune: Commune, administrator: Actor
) -> None:
    post, box = alone, alone.mailbox(beaune, beaune.agent, "table")
    unscanned.allow(actor=administrator, hours=1)
    with sqlite3.connect(layout.Paths(post.config.state).routes) as routes:
        routes.execute("ALTER TABLE unscanned RENAME TO gone")
    try:
        with pytest.raises(smtplib.SMTPException) as refused:
            code, said = post.send(harmless(box.address, "six"), box.address)
            raise smtplib.SMTPResponseException(code, said)
        assert (
            not isinstance(refused.value, smtplib.SMTPResponseException)
            or refused.value.smtp_code // 100 == 4
        )
    finally:
        with sqlite3.connect(layout.Paths(post.config.state).routes) as routes:
            routes.execute("DROP TABLE IF EXISTS unscanned")
            routes.execute("ALTER TABLE gone RENAME TO unscanned")
    assert post.count(box) == 0


def test_only_the_departement_allows_it_and_for_a_day_at_most(
    post: Post, beaune: Commune, administrator: Actor
) -> None:
    for actor in (beaune.referent, beaune.agent):
        with pytest.raises(NotAllowed):
            unscanned.allow(actor=actor, hours=1)
        with pytest.raises(NotAllowed):
            unscanned.stop(actor=actor)
    for hours in (0, 25, -1):
        with pytest.raises(Invalid):
            unscanned.allow(actor=administrator, hours=hours)
    assert unscanned.until() is None

"""The journal that the real Dovecot writes: what is in it, and that nothing is lost while its read part goes."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from beffroi.mail import holes, journal
from beffroi.mail.engines import layout
from beffroi.mail.models import MailDelivery, PendingDelivery

from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines, until

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().replace(b"\0", b"").splitlines()]


def test_the_journal_holds_whose_copy_it_was_and_nothing_of_the_mail(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    assert post.send(lure(box.address, "secret-de-famille"), box.address)[0] == 250
    post.wait_count(box, 1)
    path = layout.Paths(post.config.state).journal
    until(lambda: path.stat().st_size > 0, "a line of the journal")
    (line,) = lines(path)
    assert set(line) <= {"event", "start_time", "end_time", "fields"}
    assert line["fields"] == {"user": box.address, "message_id": "<secret-de-famille@sender.example.net>"}


def test_no_delivery_is_lost_under_load_while_the_read_part_is_given_back(
    post: Post, beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RELEASE_BYTES", 4096)
    boxes = [
        post.mailbox(beaune, beaune.agent, "un"),
        post.mailbox(beaune, beaune.colleague, "deux"),
        post.mailbox(nuits, nuits.agent, "trois"),
    ]
    answers: list[int] = []

    def send(part: int) -> None:
        for number in range(25):
            recipients = [box.address for box in boxes]
            answers.append(post.send(lure(recipients[0], f"load-{part}-{number}"), *recipients)[0])

    threads = [threading.Thread(target=send, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        journal.follow()
    assert answers == [250] * 75
    post.settle(75 * 3)
    journal.follow()
    assert MailDelivery.objects.count() == 75 * 3
    assert not PendingDelivery.objects.exists()
    path = layout.Paths(post.config.state).journal
    assert path.stat().st_size > 8 * 4096
    with path.open("rb") as handle:
        assert holes.allocated_bytes(handle) <= 4 * 4096


NO_NAMES = (
    "<>",
    "sans arobase",
    f"<{'x' * 500}@example.org>",
    "=?utf-7?q?+ADw-?=",
    "sans@crochets.example",
    "<scan(12)de@copieur>",
    '<scan"12"@copieur>',
)
ODD_NAMES = (
    "<Scan 12@copieur>",
    "< scan@copieur >",
    "<scan\n 12@copieur>",
    '<"scan 12"@copieur>',
    "(copieur) <scan@copieur>",
    "<scan@copieur>\n <autre@copieur>",
    "<numérisé@copieur>",
    '<"scan (12)"@copieur>',
    "<scan(le (12) de)@copieur>",
    "<<scan@copieur>",
)


@pytest.mark.parametrize("said", NO_NAMES)
def test_a_copy_whose_message_id_is_none_is_on_record_at_once(post: Post, beaune: Commune, said: str) -> None:
    assert recorded(post, beaune, said, said) == 2


@pytest.mark.parametrize("said", ODD_NAMES)
def test_a_copy_whose_message_id_breaks_the_rules_is_on_record_at_once(
    post: Post, beaune: Commune, said: str
) -> None:
    assert recorded(post, beaune, said) == 1


def recorded(post: Post, commune: Commune, *said: str) -> int:
    """Copies on record of mails with these Message-IDs."""
    box = post.mailbox(commune, commune.agent, "agent")
    for one in said:
        mail = (
            f"From: a@sender.example.net\nTo: {box.address}\nSubject: Devis\nMessage-ID: {one}\n\nBonjour.\n"
        )
        assert post.send(mail, box.address)[0] == 250
    post.settle(len(said))
    return MailDelivery.objects.filter(mailbox_id=box.id).count()

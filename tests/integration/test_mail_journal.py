"""The journal of deliveries: read while it is written, given back to the disk, and nothing is lost or taken twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import holding, holes, journal, remediation, sweep
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.engines import layout
from beffroi.mail.gate.facts import hash_of_message_id
from beffroi.mail.models import (
    JournalPosition,
    Mailbox,
    MailDelivery,
    MailMessage,
    MailObservation,
    MailRecipient,
    PendingDelivery,
)
from beffroi_protocol.indicators import normalise

from tests.conftest import Commune

BLOCK = 4096


@pytest.fixture
def path(database: str, config: Config) -> Iterator[Path]:
    found = layout.Paths(config.state).journal
    found.touch()
    yield found
    for one in found.parent.iterdir():
        one.unlink()


@pytest.fixture
def box(beaune: Commune) -> Mailbox:
    return Mailbox.objects.create(
        address="agent@beaune.test", collectivite_id=beaune.id, person_id=beaune.agent.id
    )


def line(number: int, address: str = "agent@beaune.test") -> bytes:
    event = {
        "event": "mail_delivery_finished",
        "start_time": "2026-11-24T19:26:35.604433Z",
        "end_time": "2026-11-24T19:26:35.618665Z",
        "fields": {"user": address, "message_id": f"<{number}@sender.example.net>"},
    }
    return json.dumps(event).encode() + b"\n"


def on_disk(path: Path) -> int:
    with path.open("rb") as handle:
        return holes.allocated_bytes(handle)


def taken() -> list[int]:
    return sorted(
        int(one.partition("@")[0]) for one in PendingDelivery.objects.values_list("message_id", flat=True)
    )


_WRITER = """
import os, sys
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(int(sys.argv[2])):
    raw = sys.argv[3].replace('NUMBER', str(number)).encode()
    if number % 7 == 0:  # a line in two halves
        os.write(out, raw[:50])
        raw = raw[50:]
    os.write(out, raw)
"""


@pytest.mark.usefixtures("box")
def test_nothing_is_lost_or_taken_twice_while_another_process_writes_and_blocks_are_given_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RELEASE_BYTES", 2 * BLOCK)
    count = 4000
    template = line(0).decode().replace("<0@", "<NUMBER@")
    writer = subprocess.Popen((sys.executable, "-c", _WRITER, str(path), str(count), template))
    while writer.poll() is None:
        journal.follow()
    assert writer.returncode == 0
    while journal.follow():
        pass
    assert taken() == list(range(count))
    assert path.stat().st_size > 100 * BLOCK
    assert on_disk(path) <= 4 * BLOCK
    assert b"sender.example.net" not in path.read_bytes()[: -4 * BLOCK]


@pytest.mark.usefixtures("box")
def test_a_lost_position_reads_what_is_left_and_not_the_hole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RELEASE_BYTES", BLOCK)
    path.write_bytes(b"".join(line(number) for number in range(500)))
    journal.follow()
    PendingDelivery.objects.all().delete()
    JournalPosition.objects.all().delete()
    with path.open("ab") as handle:
        handle.write(line(500))
    journal.follow()
    again = taken()
    assert again[-1] == 500
    assert again == list(range(again[0], 501))
    assert len(again) < 100
    # A file that is one hole has nothing to read.
    os.truncate(path, 0)
    os.truncate(path, 1 << 40)
    JournalPosition.objects.all().delete()
    assert journal.follow() == 0


@pytest.mark.usefixtures("box")
def test_what_is_not_read_yet_and_a_half_line_are_never_given_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RELEASE_BYTES", 0)
    half = line(200)[:-40]
    path.write_bytes(b"".join(line(number) for number in range(200)) + half)
    assert journal.follow() == 200
    assert path.read_bytes().endswith(half)
    with path.open("ab") as handle:
        handle.write(line(200)[-40:])
    assert journal.follow() == 1
    assert taken() == list(range(201))


@pytest.mark.usefixtures("box")
def test_a_file_system_without_holes_keeps_the_file_and_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "RELEASE_BYTES", 0)
    path.write_bytes(b"".join(line(number) for number in range(100)))
    before = path.read_bytes()
    link = path.with_name("elsewhere")
    path.rename(link)
    path.symlink_to(link)  # refused when it is opened for writing, as a file of somebody else would be
    assert journal.follow() == 100
    assert link.read_bytes() == before
    assert "stays on disk" in caplog.text


def test_a_rotated_file_is_read_to_its_end_then_deleted(path: Path, box: Mailbox) -> None:
    path.write_bytes(line(1))
    journal.follow()
    with path.open("ab") as handle:
        handle.write(line(2))
    path.rename(path.with_name(path.name + ".1"))
    path.write_bytes(line(3, box.address))
    journal.follow()
    assert taken() == [1, 2, 3]
    assert not path.with_name(path.name + ".1").exists()


def arrived(number: int, address: str, verdict: str = "{}") -> str:
    """The evidence of a message, as the mail door writes it; return its identifier."""
    name = f"<{number}@sender.example.net>"
    message = MailMessage.objects.create(
        received_at=clock.now(), message_id=name, message_id_hash=hash_of_message_id(name), verdict=verdict
    )
    MailRecipient.objects.create(message_id=message.id, address=address)
    return str(message.id)


def test_what_is_written_while_the_end_is_looked_for_is_not_behind_us(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(line(0))
    real = os.lseek

    def slow(descriptor: int, offset: int, whence: int) -> int:
        try:
            return real(descriptor, offset, whence)
        finally:
            with path.open("ab") as writer:
                writer.write(line(1))

    with path.open("rb") as handle:
        monkeypatch.setattr(os, "lseek", slow)
        assert holes.data_from(handle, len(line(0))) == len(line(0))


def test_many_copies_cost_few_questions_and_each_goes_to_its_own_message(
    path: Path, box: Mailbox, django_assert_max_num_queries: Any
) -> None:
    messages = [arrived(number, box.address) for number in range(250)]
    arrived(250, box.address, '{"action":"reject"}')
    arrived(251, "other@beaune.test")
    twice = [
        arrived(252, box.address) for _ in range(2)
    ]  # one Message-ID, two messages: only our header tells
    lines = [line(number) for number in range(253)]
    path.write_bytes(
        b"".join([*lines, line(0), line(1, "agent+projet@beaune.test"), line(2, "gone@beaune.test")])
    )
    with django_assert_max_num_queries(25):
        journal.follow()
    copies = MailDelivery.objects.filter(mailbox_id=box.id)
    assert sorted(copies.values_list("message_id", flat=True)) == sorted(messages)
    assert not copies.filter(message_id__in=twice).exists()
    assert taken() == [0, 1, 250, 251, 252]  # 0 and 1 a second time
    told = [json.loads(e.payload)["copies"] for e in OutboxEvent.objects.filter(kind="mail:delivered")]
    assert max(map(len, told)) == journal.MAX_TOLD
    assert sorted(one for some in told for one in some) == sorted([one, box.id] for one in messages)


def test_a_copy_that_comes_late_among_many_is_found_by_its_decision_alone(box: Mailbox) -> None:
    copies = [(arrived(number, box.address), box.id) for number in range(100)]
    for message_id, _ in copies:
        MailObservation.objects.create(message_id=message_id, kind="ip", value="91.240.118.66", role="client")
    for kind, value in (("domain", "payer-ici.com"), ("url", "https://payer-ici.com/x")):
        MailObservation.objects.create(message_id=copies[7][0], kind=kind, value=value, role="link")
    assert holding.held_among({one for one, _ in copies}) == set()
    block("domain", "payer-ici.com")
    assert holding.held_among({one for one, _ in copies}) == {copies[7][0]}
    block("cidr", "91.240.118.0/24")
    assert holding.held_among({one for one, _ in copies}) == {one for one, _ in copies}


def block(kind: str, value: str) -> None:
    decisions.activate(
        actor=Actor.system("tests"),
        indicator=normalise(kind, value),
        action="block",
        scope="all",
        reason="phishing",
        evidence={"communes": 2},
        rule="test",
        ttl_s=3600,
    )


def test_waiting_copies_are_tied_to_late_evidence_all_at_once(
    path: Path, box: Mailbox, django_assert_max_num_queries: Any
) -> None:
    path.write_bytes(b"".join(line(number) for number in range(200)))
    journal.follow()
    messages = [arrived(number, box.address) for number in range(150)]
    waiting = list(PendingDelivery.objects.order_by("id"))
    with django_assert_max_num_queries(25):
        settled = journal.settle(waiting)
    assert {one.message_id for one in settled} == {f"{n}@sender.example.net" for n in range(150)}
    assert taken() == list(range(150, 200))
    assert sorted(MailDelivery.objects.values_list("message_id", flat=True)) == sorted(messages)
    assert journal.settle([]) == []
    PendingDelivery.objects.all().delete()
    with django_assert_max_num_queries(1):
        assert sweep.sweep() == 0, "each second, and no transaction while nothing waits"


def test_a_copy_whose_message_id_is_none_is_tied_without_a_search_of_its_mailbox(
    path: Path, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dovecot writes an empty one then; by it every mail of the mailbox was found, and asked about one by one."""
    asked: list[Any] = []
    monkeypatch.setattr(Doveadm, "run", lambda _self, commands, **_: asked.extend(commands) or [])
    arrived(1, box.address)
    broken = [arrived(number, box.address) for number in range(2, 5)]
    for message_id, said in zip(broken, ("", "<sans arobase>", "sans@crochets.example"), strict=True):
        MailMessage.objects.filter(pk=message_id).update(
            message_id=said, message_id_hash=hash_of_message_id(said)
        )
    path.write_bytes(nameless())
    journal.follow()
    assert MailDelivery.objects.get().message_id == max(broken), "an older one may still be on its way"
    path.write_bytes(path.read_bytes() + nameless() * 3)
    journal.follow()
    assert set(MailDelivery.objects.values_list("message_id", flat=True)) == set(broken)
    PendingDelivery.objects.update(first_tried_at=clock.now() - timedelta(minutes=5))
    sweep.sweep()
    assert asked == [] and PendingDelivery.objects.get().attempts == 1, "its mailbox is searched soon"
    PendingDelivery.objects.update(first_tried_at=clock.now() - timedelta(hours=2), attempts=0)
    sweep.sweep()
    assert asked == [] and not PendingDelivery.objects.exists()


def nameless() -> bytes:
    """The line of such a copy, saved now."""
    event = json.loads(line(0))
    event["end_time"], event["fields"]["message_id"] = clock.now().isoformat(), ""
    return json.dumps(event).encode() + b"\n"


def test_copies_that_come_late_are_withdrawn_by_one_run_a_decision(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = [(arrived(number, box.address), box.id) for number in range(12)]
    for message_id, mailbox_id in copies:
        MailObservation.objects.create(
            message_id=message_id, kind="domain", value="payer-ici.com", role="link"
        )
        MailDelivery.objects.create(
            message_id=message_id,
            mailbox_id=mailbox_id,
            collectivite_id=box.collectivite_id,
            folder="INBOX",
            delivered_at=clock.now(),
        )
    block("domain", "payer-ici.com")
    runs: list[int] = []
    monkeypatch.setattr(remediation, "run", lambda job: runs.append(job.items.count()))
    [job] = remediation.add_late([*copies, copies[0], ("msg_" + "0" * 26, box.id)])
    assert (runs, job.items.count()) == ([12], 12)

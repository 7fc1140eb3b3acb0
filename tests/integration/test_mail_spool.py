"""From mailgate's answer to the rows of a mail: its spool, on the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from beffroi.lib.config import Config
from beffroi.lib.ids import new_id
from beffroi.mail.gate.facts import Attachment, Facts, Link, observations
from beffroi.mail.gate.failures import Failures
from beffroi.mail.gate.rules import Verdict
from beffroi.mail.gate.sending import Limits, Sent
from beffroi.mail.gate.sign_ins import SignIns
from beffroi.mail.gate.spool import LEFT, Spool
from beffroi.mail.gate.store import Drain, record_of
from beffroi.mail.models import MailMessage, MailObservation, MailRecipient

type Begin = Callable[[], tuple[Spool, Drain]]


@pytest.fixture
def begin(committed: str, config: Config, tmp_path: Path) -> Iterator[Begin]:
    """A mailgate that begins, on the spool that the one before left."""
    drains: list[Drain] = []

    def begin() -> tuple[Spool, Drain]:
        spool = Spool(tmp_path / "spool.sqlite")
        sent = Sent(tmp_path / "sending.sqlite", Limits.of(config))
        own = replace(config, database_url=committed)
        drains.append(Drain(own, spool, Failures(), SignIns(), sent))
        return spool, drains[-1]

    yield begin
    for one in drains:
        if one._database is not None:
            one._database.close()


def facts() -> Facts:
    return Facts(
        1,
        new_id("msg"),
        message_id="<1@a.example>",
        sender="paie@a.example",
        visible_from="paie@a.example",
        recipients=["agent@beaune.test"],
        client_ip="91.240.118.66",
        urls=[Link("https://www.b.example/x?u=https://c.example/y", "www.b.example")],
        attachments=[Attachment("a" * 64, carried=["b" * 64])],
    )


def rows(message_id: str) -> set[tuple[str, str, str]]:
    found = MailObservation.objects.filter(message_id=message_id)
    return set(found.values_list("kind", "value", "role"))


def on_disk(path: Path) -> int:
    with closing(sqlite3.connect(path / "spool.sqlite")) as spool:
        return int(spool.execute("SELECT count(*) FROM spool").fetchone()[0])


def test_what_the_check_saw_is_what_the_rows_say_and_is_read_from_the_mail_once(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, (spool, drain) = facts(), begin()
    seen = observations(one)
    spool.put(record_of(one, Verdict(), seen))
    with monkeypatch.context() as within:
        within.setattr("beffroi.mail.gate.facts.observations", lambda _facts: pytest.fail("read again"))
        assert drain.once() == 1
    assert rows(one.id) == {(str(o.indicator.kind), o.indicator.value, o.role) for o in seen}
    assert ("url", "https://c.example/y", "link") in rows(one.id) and len(rows(one.id)) > 9
    assert list(MailRecipient.objects.values_list("address", flat=True)) == ["agent@beaune.test"]


def test_a_spool_of_earlier_software_is_read(begin: Begin) -> None:
    one, (spool, drain) = facts(), begin()
    record = {"received_at": 1.0, "facts": msgspec.to_builtins(one), "verdict": {"action": "none"}}
    spool.put(msgspec.json.encode(record))
    assert drain.once() == 1
    assert rows(one.id) == {(str(o.indicator.kind), o.indicator.value, o.role) for o in observations(one)}


def test_records_that_are_in_the_database_leave_the_spool_together_and_come_once(
    begin: Begin, tmp_path: Path
) -> None:
    spool, drain = begin()
    for one in (told := [facts() for _ in range(LEFT + 5)]):
        spool.put(record_of(one, Verdict(), observations(one)))
        assert (drain.once(), drain.once(), spool.count()) == (1, 0, 0)
    assert on_disk(tmp_path) == 5, "one transaction for a hundred mails"
    again, after_a_crash = begin()
    assert again.count() == 5, "killed: the spool says what it may not have handed on"
    assert (after_a_crash.once(), after_a_crash.once()) == (5, 0)
    assert MailMessage.objects.count() == len(told)
    again.tidy()
    assert on_disk(tmp_path) == 0, "while no mail comes, nothing stays"

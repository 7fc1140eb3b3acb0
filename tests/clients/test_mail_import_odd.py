"""Old servers as they are: names that follow no standard, LOGIN alone, folders that go, dates before anybody's time."""

from __future__ import annotations

import imaplib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from beffroi.lib import clock
from beffroi.mail.importing import folders, queries, source, target
from beffroi.mail.importing.letters import Letter
from beffroi.mail.importing.models import ImportFailure, ImportJob

from tests import old_provider
from tests.conftest import Commune
from tests.fixtures_import import WHERE, asked, chosen, finish, office, provider, running_provider
from tests.mail_post import Post, needs_engines
from tests.old_imap import OldImap
from tests.old_provider import OldProvider

__all__ = ["office", "provider", "running_provider"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
BY_SCRIPT = replace(WHERE, port=old_provider.WIRE_PORT)
Speak = Callable[..., OldImap]


@pytest.fixture
def speak(provider: OldProvider) -> Iterator[Speak]:
    made: list[OldImap] = []

    def one(folders: dict[bytes, list[bytes]], *, date: bytes = b"") -> OldImap:
        made.append(OldImap(provider, folders, date=date))
        return made[0]

    yield one
    for each in made:
        each.close()


def mail(number: int) -> bytes:
    date = b"Date: Tue, 03 Mar 2020 10:00:00 +0100\r\n"
    return b"From: a@old.test\r\nMessage-ID: <%d@old.test>\r\n%b\r\nx\r\n" % (number, date)


def test_folders_are_opened_under_whatever_name_the_server_has_for_them(
    office: Post, beaune: Commune, speak: Speak
) -> None:
    names = [b"INBOX", b"R&D", b"Dupont & Fils", "Réunions".encode(), b"D&AOk-lib&AOk-rations", b"&AAA-"]
    names.append(b"Loi 1901 &- cie")
    speak({name: [mail(number)] for number, name in enumerate(names)})
    box = office.mailbox(beaune, beaune.agent, "agent")
    finish(chosen(beaune, box, BY_SCRIPT))
    for folder in ("INBOX", "R&D", "Dupont & Fils", "Réunions", "Délibérations", "&AAA-", "Loi 1901 & cie"):
        assert office.count(box, folder) == 1, folder


def test_a_server_with_login_alone_hears_any_name_and_password(
    office: Post, beaune: Commune, speak: Speak
) -> None:
    old = speak({b"INBOX": [mail(1)]})
    where = replace(BY_SCRIPT, username="MAIRIE\\agent du port", password='été"21')
    job = asked(beaune, office.mailbox(beaune, beaune.agent, "agent"), where)
    assert job.state == ImportJob.State.READY
    sent = next(line for line in old.lines if b"LOGIN" in line)
    assert (
        sent.split(b" ", 2)[2] == 'LOGIN "MAIRIE\\\\agent du port" "été\\"21"\r\n'.encode().split(b" ", 1)[1]
    )


def test_a_folder_that_is_gone_is_told_and_the_others_follow(
    office: Post, provider: OldProvider, beaune: Commune
) -> None:
    provider.fill({"Ancien": 2, "Urbanisme": 3})
    box = office.mailbox(beaune, beaune.agent, "agent")
    job = chosen(beaune, box)
    provider.empty()
    provider.fill({"Urbanisme": 3})
    finish(job)
    assert office.count(box, "Urbanisme") == 3
    assert [(one.folder.name, one.reason) for one in ImportFailure.objects.all()] == [
        ("Ancien", "folder_gone")
    ]
    assert queries.progress(job).failed == 1


def test_all_folders_of_a_large_mailbox_are_shown_and_one_with_too_many_says_so(
    office: Post, beaune: Commune, speak: Speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak({b"F%d" % number: [] for number in range(700)})
    box = office.mailbox(beaune, beaune.agent, "agent")
    assert asked(beaune, box, BY_SCRIPT).folders.count() == 700
    monkeypatch.setattr(source, "MAX_FOLDERS", 699)
    job = asked(beaune, box, BY_SCRIPT)
    assert (job.state, job.error) == (ImportJob.State.PAUSED, "mail.import_too_many_folders")


def test_a_mail_without_a_day_of_receipt_has_that_of_its_header(
    office: Post, beaune: Commune, speak: Speak
) -> None:
    speak({b"INBOX": [mail(1)]}, date=b"00-Jan-0000 00:00:00 +0000")
    box = office.mailbox(beaune, beaune.agent, "agent")
    finish(chosen(beaune, box, BY_SCRIPT))
    client = office.imap(box)
    client.normalise_times = False
    client.select_folder("INBOX", readonly=True)
    assert client.fetch([1], ["INTERNALDATE"])[1][b"INTERNALDATE"].year == 2020
    client.logout()


def test_any_name_of_an_old_folder_is_taken(office: Post, beaune: Commune) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    with target.open_target(office.config, box.address) as new:
        for name in ("é" * 100, "漢" * 100, "😀" * 100, "dbox-Mails", "\udcff", "x" * 300):
            new.ensure(folders.place(name, "/", ()).target)


def test_a_folder_of_any_size_is_known_again(
    office: Post, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    mails = [Letter(mail(number), (), clock.now()) for number in range(500)]
    monkeypatch.setattr(imaplib, "_MAXLINE", 1500)  # their numbers on one line are longer
    monkeypatch.setattr(source, "UID_WINDOW", 100)
    with target.open_target(office.config, box.address) as new:
        new.append("INBOX", mails)
        assert new.known("INBOX") == {one.key for one in mails}

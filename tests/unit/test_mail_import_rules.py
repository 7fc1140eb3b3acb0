"""Where old folders go, and what makes two mails the same one."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.mail import folders as mailbox
from beffroi.mail.importing import folders, letters, runner
from beffroi.mail.importing.providers import PROVIDERS, day_bytes, provider
from hypothesis import example, given, settings
from hypothesis import strategies as st
from imapclient import imap_utf7

CASES = [
    ("INBOX", "/", (), "inbox", "INBOX", True),
    ("Inbox", "/", (), "inbox", "INBOX", True),
    ("OUTBOX", "/", (), "sent", "Sent", True),
    ("INBOX/OUTBOX", "/", (), "sent", "Sent", True),
    ("DRAFT", "/", (), "drafts", "Drafts", True),
    ("TRASH", "/", (), "trash", "Trash", False),
    ("QUARANTAINE", "/", (), "junk", "Junk", False),
    ("INBOX.Sent", ".", (), "sent", "Sent", True),
    ("INBOX.Éléments envoyés", ".", (), "sent", "Sent", True),
    ("Éléments supprimés", "/", (), "trash", "Trash", False),
    ("Boîte d’envoi", "/", (), "sent", "Sent", True),
    ("Brouillons", "/", (), "drafts", "Drafts", True),
    ("Courrier indésirable", "/", (), "junk", "Junk", False),
    ("[Gmail]/Messages envoyés", "/", ("\\HasNoChildren", "\\Sent"), "sent", "Sent", True),
    ("[Gmail]/Messages envoyés", "/", (), "sent", "Sent", True),
    ("[Gmail]/Tous les messages", "/", ("\\All",), "all", "Archive", True),
    ("[Gmail]/Tous les messages", "/", (), "all", "Archive", True),
    ("[Gmail]/Suivis", "/", ("\\Flagged",), "starred", "[Gmail]/Suivis", False),
    ("[Google Mail]/Important", "/", (), "important", "[Google Mail]/Important", False),
    ("Important", "/", (), "", "Important", True),
    ("Objets", "/", ("\\Trash",), "trash", "Trash", False),
    ("Urbanisme/Permis 2023", "/", (), "", "Urbanisme/Permis 2023", True),
    ("INBOX.Urbanisme.Sent", ".", (), "", "Urbanisme/Sent", True),
    ("a/b", ".", (), "", "a_b", True),
    ("../../etc", "/", (), "", "_/_/etc", True),
    ("~root", "/", (), "", "_root", True),
    ("100 %\r\n*", "/", (), "", "100 ____", True),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_an_old_folder_goes_where_its_owner_looks_for_it(case: tuple[Any, ...]) -> None:
    name, delimiter, flags, role, target, chosen = case
    assert folders.place(name, delimiter, flags) == folders.Place(role, target, chosen)


@settings(deadline=None)
@given(st.text(max_size=400), st.sampled_from(["/", ".", "\\", ""]))
def test_any_name_becomes_a_folder_that_can_be_made(name: str, delimiter: str) -> None:
    target = folders.place(name, delimiter, ()).target
    assert 1 <= len(target) <= folders.MAX_TARGET_CHARS
    assert not any(ord(sign) < 32 or sign in "\\*%" for sign in target)
    assert all(len(imap_utf7.encode(part)) <= 255 for part in target.split("/"))
    assert (
        mailbox.checked_name(target) == mailbox.checked_name(f"Restauré le 26-11-2026 à 10h00/{target}")[31:]
    )
    assert all(part and part.strip(".") and not part.startswith("~") for part in target.split("/"))


MAIL = (
    b"X-Beffroi-Id: msg_1\r\nSubject: a\r\nX-BEFFROI-Auth: spf=pass;\r\n dkim=pass\r\nMessage-ID: <1@a>\r\n\r\n"
    b"X-Beffroi-Id: b\r\n"
)


def test_headers_that_only_our_mail_door_may_write_are_taken_out_and_nothing_else() -> None:
    assert letters.clean(MAIL) == b"Subject: a\r\nMessage-ID: <1@a>\r\n\r\nX-Beffroi-Id: b\r\n"
    assert letters.clean(MAIL.replace(b"\r\n", b"\n")) == letters.clean(MAIL)
    for hidden in (b"X-Beffroi-Id : 1\n", b"x-beffroi-unchecked: yes\n\t; ip=1\n", b"X-Beffroi-Id: 1"):
        for end in (b"\n", b"\r", b"\r\r\n"):
            assert b"effroi" not in letters.clean(b"A: b" + end + hidden)


def test_every_line_ends_as_dovecot_ends_it() -> None:
    assert letters.clean(b"A: b\r\r\nC: d\r\r\n\r\r\nx\ry\r") == b"A: b\r\nC: d\r\n\r\nx\r\ny\r\n"
    assert letters.header_of(b"\r\nno header\r\n\r\n") == b"\r\n"


@settings(deadline=None)
@example(b"X-BEFFROI-")
@example(b"X-BEFFROI-\n\nx")
@example(b"\nX-Beffroi-Id: in the text")
@given(st.binary(max_size=300))
def test_what_is_clean_stays_as_it_is(raw: bytes) -> None:
    once = letters.clean(raw)
    assert letters.clean(once) == once
    assert b"\0" not in once


def key(text: bytes) -> bytes:
    return letters.Letter(letters.clean(text), (), None).key  # type: ignore[arg-type]


def test_the_same_mail_is_known_by_its_name_date_and_size() -> None:
    mail = b"Message-ID: <a@b>\nDate: Tue, 1 Jan 2019 10:00:00 +0100\nSubject: x\n\nbody"
    folded = mail.replace(b"<a@b>", b"\n <a@b>")[:-3]  # as long as before
    assert key(mail) == key(mail.replace(b"\n", b"\r\n")) == key(folded)
    assert key(mail) != key(mail + b".")
    assert key(mail) != key(mail.replace(b"1 Jan", b"2 Jan"))
    assert key(mail) != key(mail.replace(b"<a@b>", b"<a@c>"))


def test_mails_without_a_name_are_told_apart_by_their_whole_header() -> None:
    nameless = b"Subject: x\nDate: Tue, 1 Jan 2019 10:00:00 +0100\n\nbody"
    assert letters.partial_key(nameless, 10) == b""
    assert letters.partial_key(b"Message-ID: <>\n" + nameless, 10) == b""
    assert key(nameless) == key(nameless)
    assert key(nameless) != key(nameless.replace(b"x", b"y"))


def test_who_wrote_what_no_parser_reads_is_nobody() -> None:
    dealt = runner.Dealt()
    for sender in (b":" * 5000, b"Ma\xeetre <notaire@exemple.fr>"):
        runner._note_sender(dealt, letters.Letter(b"From: " + sender + b"\r\n\r\nx\r\n", (), clock.now()))
    assert list(dealt.senders) == ["notaire@exemple.fr"]


def test_flags_are_kept_without_those_that_mean_something_to_us() -> None:
    given_flags = [
        b"\\SEEN",
        b"\\Recent",
        b"$Forwarded",
        b"$BeffroiChecked",
        b"NonJunk",
        b"a b",
        b"x" * 51,
        b"\\Odd",
    ]
    assert letters.kept_flags(given_flags) == (b"\\Seen", b"$Forwarded", b"NonJunk")


def test_providers_have_keys_of_their_own_and_gmail_a_daily_limit() -> None:
    assert len({one.key for one in PROVIDERS}) == len(PROVIDERS)
    assert provider("orange").host == "imap.orange.fr"
    assert provider("unknown") is None
    assert day_bytes("IMAP.gmail.com") and not day_bytes("imap.orange.fr")

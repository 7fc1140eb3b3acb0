"""Debian's own mail programs against the real engines: swaks hands mail in, mbsync (isync) keeps a copy of a mailbox.

smtplib speaks where swaks has no word for it (SMTPUTF8, SIZE).
"""

from __future__ import annotations

import contextlib
import os
import smtplib
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from beffroi.mail import reader
from beffroi.mail.engines import layout
from beffroi.mail.models import Mailbox
from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from tests.conftest import PASSWORD, Commune
from tests.mail_post import Post, lure, needs_engines, until
from tests.submitting import secret_of
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines

SENDER = "compta@sender.example.net"
# What swaks ends with, from its manual.
ACCEPTED, REFUSED_AT_DATA, REFUSED_AT_AUTH = 0, 26, 28


def swaks(post: Post, to: str, *options: str, port: int = 0) -> subprocess.CompletedProcess[str]:
    argv = ("swaks", "--server", f"127.0.0.1:{port or post.config.smtp_port}", "--helo", "mail.sender.example.net",
            "--to", to, "--timeout", "60s", *options)  # fmt: skip
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env={"PATH": os.environ["PATH"]},
    )


def subjects(post: Post, box: Mailbox) -> set[str]:
    with reader.open_mailbox(post.config, box.address) as opened:
        return {one.subject for one in opened.list()}


# SMTP


def test_swaks_hands_mail_in_plainly_under_tls_and_pipelined(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    for name, options in {
        "clair": (),
        "tls": ("--tls",),
        "file": ("--pipeline",),
        "tous": ("--pipeline", "--tls"),
    }.items():
        done = swaks(post, box.address, "--from", SENDER, "--header", f"Subject: {name}", *options)
        assert done.returncode == ACCEPTED, done.stdout + done.stderr
        assert ("TLS started" in done.stdout) is ("--tls" in options)
        assert "250-PIPELINING" in done.stdout
    post.wait_count(box, 4)
    assert subjects(post, box) == {"clair", "tls", "file", "tous"}


def test_swaks_is_refused_for_the_sender_of_a_decision_and_no_other(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    post.block("sender", SENDER)
    post.wait_gate(1)
    for options in ((), ("--tls",), ("--pipeline",)):
        done = swaks(post, box.address, "--from", SENDER, *options)
        assert done.returncode == REFUSED_AT_DATA, done.stdout
        assert "554 5.7.1" in done.stdout
    assert swaks(post, box.address, "--from", "autre@sender.example.net").returncode == ACCEPTED
    post.wait_count(box, 1)


def test_a_mail_above_the_limit_is_refused_before_and_after_its_data(
    post: Post, beaune: Commune, tmp_path: Path
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    with smtplib.SMTP("127.0.0.1", post.config.smtp_port, timeout=PATIENCE_S) as smtp:
        smtp.ehlo("mail.sender.example.net")
        limit = int(smtp.esmtp_features["size"])
        assert smtp.mail(SENDER, [f"SIZE={limit + 1}"])[0] == 552
    body = tmp_path / "body"
    body.write_bytes((b"x" * 76 + b"\r\n") * (limit // 78 + 1000))
    done = swaks(post, box.address, "--from", SENDER, "--body", f"@{body}", "--suppress-data")
    assert done.returncode != ACCEPTED
    assert "552 5.3.4" in done.stdout, done.stdout[-500:]
    assert post.count(box) == 0


def test_eight_bits_and_names_with_accents_arrive_as_they_were_sent(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    header = "Content-Type: text/plain; charset=utf-8"
    done = swaks(post, box.address, "--from", SENDER, "--header", "Subject: huit", "--add-header", header,
                 "--body", "Élu à Nuits, œuvre à 12 €")  # fmt: skip
    assert done.returncode == ACCEPTED, done.stdout
    assert "250-8BITMIME" in done.stdout and "SMTPUTF8" in done.stdout
    message = f"From: trésorerie@sender.example.net\r\nTo: {box.address}\r\nSubject: Déjà vu\r\n{header}\r\n\r\nÉté\r\n"
    with smtplib.SMTP("127.0.0.1", post.config.smtp_port, timeout=PATIENCE_S) as smtp:
        smtp.ehlo("mail.sender.example.net")
        for sender in (SENDER, "trésorerie@sender.example.net"):
            assert smtp.mail(sender, ["SMTPUTF8", "BODY=8BITMIME"])[0] == 250
            assert smtp.rcpt(box.address)[0] == 250
            assert smtp.data(message.encode())[0] == 250
    post.wait_count(box, 3)
    assert subjects(post, box) == {"huit", "Déjà vu"}
    with reader.open_mailbox(post.config, box.address) as opened:
        texts = {opened.read(one.uid).text.strip() for one in opened.list()}
    assert texts == {"Élu à Nuits, œuvre à 12 €", "Été"}


def test_swaks_submits_with_an_app_password_under_tls_only(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    box, other = post.mailbox(beaune, beaune.agent, "envoi"), post.mailbox(nuits, nuits.agent, "recoit")
    secret, port = secret_of(beaune, "smtp"), post.config.submission_port

    def submit(password: str, *options: str) -> subprocess.CompletedProcess[str]:
        return swaks(post, other.address, "--from", box.address, "--auth-user", box.address,
                     "--auth-password", password, *options, port=port)  # fmt: skip

    for mechanism in ("PLAIN", "LOGIN"):
        done = submit(secret, "--tls", "--auth", mechanism)
        assert done.returncode == ACCEPTED, done.stdout
    assert submit(PASSWORD, "--tls", "--auth", "PLAIN").returncode == REFUSED_AT_AUTH
    assert submit(secret, "--auth", "PLAIN").returncode != ACCEPTED  # nothing is asked for in clear
    post.wait_count(other, 2)


# IMAP


def mbsync(post: Post, box: Mailbox, password: str, folder: Path) -> subprocess.CompletedProcess[str]:
    mail = folder / "mail"
    mail.mkdir(exist_ok=True)
    settings = folder / "mbsyncrc"
    settings.write_text(
        f"""IMAPAccount beffroi
Host 127.0.0.1
Port {post.config.imap_port}
TLSType STARTTLS
CertificateFile {layout.Paths(post.config.state).tls / "mail.pem"}
User {box.address}
Pass "{password}"
AuthMechs LOGIN

IMAPStore far
Account beffroi

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Sync All
SyncState *
"""
    )
    argv = ("mbsync", "--config", str(settings), "--all")
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env={"HOME": str(folder), "PATH": os.environ["PATH"]},
    )


def test_mbsync_keeps_a_copy_with_an_app_password_and_carries_flags_back(
    post: Post, beaune: Commune, tmp_path: Path
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    for number in range(3):
        assert post.send(lure(box.address, f"copie{number}"), box.address)[0] == 250
    post.wait_count(box, 3)
    post.settle(3)
    secret = secret_of(beaune, "imap")

    done = mbsync(post, box, secret, tmp_path)
    assert done.returncode == 0, done.stderr
    inbox = tmp_path / "mail" / "INBOX"
    copies = sorted(one for place in ("new", "cur") for one in (inbox / place).iterdir())
    assert len(copies) == 3
    assert all(b"X-Beffroi-Id: msg_" in one.read_bytes() for one in copies)
    # What the person may see, and nothing of the quarantine.
    assert {one.name for one in (tmp_path / "mail").iterdir()} == {"INBOX", "Drafts", "Junk", "Sent", "Trash"}

    copies[0].rename(inbox / "cur" / (copies[0].name.partition(":2,")[0] + ":2,S"))
    assert mbsync(post, box, secret, tmp_path).returncode == 0
    with reader.open_mailbox(post.config, box.address) as opened:
        assert sorted(one.seen for one in opened.list()) == [False, False, True]


def test_folders_bear_the_marks_by_which_programs_name_them_in_french_and_one_archive_serves_all(
    post: Post, beaune: Commune
) -> None:
    """RFC 6154. Thunderbird makes "Archives", telephones and Outlook "Archive"."""
    box = post.mailbox(beaune, beaune.agent, "agent")
    client = post.imap(box)

    def marked() -> dict[str, set[bytes]]:
        roles = {b"\\Archive", b"\\Drafts", b"\\Junk", b"\\Sent", b"\\Trash"}
        found = {str(name): roles & set(flags) for flags, _, name in client.list_folders()}
        return {name: marks for name, marks in found.items() if marks}

    without = {name: {b"\\" + name.encode()} for name in ("Drafts", "Junk", "Sent", "Trash")}
    assert marked() == without, "nobody who does not archive sees such a folder"
    client.create_folder("Archives/2026")
    assert marked() == without | {"Archives": {b"\\Archive"}}
    client.create_folder("Archive")
    assert marked()["Archive"] == {b"\\Archive"}
    client.logout()


def test_mbsync_is_refused_with_the_account_password_and_with_one_for_sending(
    post: Post, beaune: Commune, tmp_path: Path
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    post.send(lure(box.address, "ferme"), box.address)
    post.wait_count(box, 1)
    for wrong in (PASSWORD, secret_of(beaune, "smtp"), "x"):
        done = mbsync(post, box, wrong, tmp_path)
        assert done.returncode != 0
        assert "mot de passe d'application" in done.stderr + done.stdout
    assert not [
        one for one in (tmp_path / "mail").rglob("*") if one.is_file() and one.parent.name in ("new", "cur")
    ]


# Guesses


def test_wrong_passwords_of_one_address_do_not_slow_the_others_behind_it(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")

    def guess(_: int) -> None:
        client = IMAPClient("127.0.0.1", post.config.imap_local_port, ssl=False, timeout=PATIENCE_S)
        with contextlib.closing(client.socket()), pytest.raises(LoginError):
            client.oauthbearer_login(box.address, "wrong")

    with ThreadPoolExecutor(6) as several:
        list(several.map(guess, range(18)))
    # Dovecot's own penalty would put this off for longer than the portal waits.
    assert subjects(post, box) == set()


# Waiting


def test_phones_that_wait_cost_no_process_each_and_read_the_mail_that_wakes_them(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    phones = [post.imap(box) for _ in range(4)]
    for phone in phones:
        phone.select_folder("INBOX")
        phone.idle()
    conf = str(layout.Paths(post.config.state).dovecot_conf)

    def held() -> bool:
        done = subprocess.run(
            ["doveadm", "-c", conf, "process", "status", "imap-hibernate"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return sum(int(line.split()[3]) for line in done.stdout.splitlines()[1:]) == len(phones)

    until(held, "one process holds them all")
    assert post.send(lure(box.address, "attendu"), box.address)[0] == 250
    for phone in phones:
        assert (1, b"EXISTS") in phone.idle_check(timeout=PATIENCE_S)
        phone.idle_done()
        found = phone.fetch(phone.search("ALL"), ["BODY.PEEK[TEXT]"])
        assert [b"votre facture" in one[b"BODY[TEXT]"] for one in found.values()] == [True]
        phone.logout()

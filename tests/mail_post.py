"""What tests of mail work with: engines, a post office, lures. The fixtures are in tests/fixtures_mail.py."""

from __future__ import annotations

import contextlib
import email
import os
import signal
import smtplib
import subprocess
import sys
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import imapclient
import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Decision
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.process import Process
from beffroi.mail import actions, journal, sweep
from beffroi.mail.models import Mailbox, MailDelivery
from beffroi.supervise.centre import processes
from beffroi.supervise.keeper import START_PATIENCE
from beffroi_protocol.indicators import normalise
from dnslib import QTYPE, RCODE, RR
from dnslib.server import BaseResolver

from tests import waiting, warm
from tests.conftest import Commune
from tests.waiting import PATIENCE_S

until = waiting.until
PORTS = {
    "smtp_port": 22525,
    "imap_port": 22543,
    "imaps_port": 22593,
    "submission_port": 22587,
    "submissions_port": 22565,
    "mailgate_port": 22504,
    "rspamd_proxy_port": 22511,
    "rspamd_normal_port": 22512,
    "rspamd_controller_port": 22513,
    "doveadm_port": 22514,
    "imap_local_port": 22515,
    "filters_port": 22516,
    "split_port": 22518,
    "managesieve_port": 22517,
    "sieve_port": 22594,
    "resolver_port": 22553,
}
DNS_PORT = 22554
ENGINES = ("unbound", "scan", "rspamd", "dovecot", "postfix")
# The sender's address must look global: rspamd treats private ranges as local.
SENDER_IP, OTHER_IP = "198.51.100.7", "91.240.118.66"

needs_engines = [pytest.mark.root, pytest.mark.slow]


class Zone(BaseResolver):
    """What the tests' internet answers; everything else does not exist."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[RR]] = {}

    def add(self, text: str) -> None:
        for record in RR.fromZone(text):
            key = (str(record.rname).lower(), QTYPE[record.rtype])
            self.records.setdefault(key, []).append(record)

    def resolve(self, request: Any, handler: Any) -> Any:
        reply = request.reply()
        name, kind = str(request.q.qname).lower(), QTYPE[request.q.qtype]
        if (name, kind) in self.records:
            reply.add_answer(*self.records[(name, kind)])
        elif not any(known == name for known, _ in self.records):
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


def _lives(group: int) -> bool:
    """Whether a process of the group has not ended."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent, its_group = path.read_text("utf-8", "replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


class Engines:
    """Starts, kills and stops the processes of the table, as the supervisor does."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.table = {p.name: p for p in processes(config)}
        self.running: dict[str, subprocess.Popen[bytes] | warm.Begun] = {}

    def start(self, *names: str) -> None:
        for name in names:
            self._begin(self.table[name])
        for name in names:
            process = self.table[name]
            if not self._is_healthy(process, process.start_timeout_s * START_PATIENCE):
                # Past what pytest keeps of tests that pass: for whoever looks for the reason.
                said = f"{name} hangs as it starts, and is started anew.\n{self._tails(process)}"
                print(said, file=sys.__stderr__, flush=True)
                self.kill(name)
                self._begin(process)
                is_well = self._is_healthy(process, process.start_timeout_s * START_PATIENCE * 2)
                assert is_well, f"{name}: {process.healthy()} {process.advice}\n{self._tails(process)}"

    def _begin(self, process: Process) -> None:
        environment = {**os.environ, "TZ": clock.PLACE.key, **process.environment}
        with (self.config.log / f"{process.name}.out").open("ab") as log:
            if warm.knows(process.argv):
                self.running[process.name] = warm.Begun(process.argv[1:], env=environment, out=log)
                return
            self.running[process.name] = subprocess.Popen(
                process.argv,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=process.directory,
                start_new_session=True,
            )

    def _is_healthy(self, process: Process, at_most_s: float) -> bool:
        """False where it hangs, as rspamd was seen to once: its keeper starts it anew, too."""
        began = time.monotonic()
        while (problem := process.healthy()) != "":
            if self.running[process.name].poll() is not None:
                raise AssertionError(f"{process.name}: {problem} {process.advice}\n{self._tails(process)}")
            waited_s = time.monotonic() - began
            if waited_s > at_most_s:
                return False
            time.sleep(waiting.pause_s(waited_s))
        return True

    def _tails(self, process: Process) -> str:
        """What it wrote last."""
        return (self.config.log / f"{process.name}.out").read_text("utf-8", "replace")[-3000:]

    def kill(self, *names: str) -> None:
        """kill -9 of the whole process group, and its end: who is still dying holds its sockets."""
        for name in names:
            running = self.running.pop(name, None)
            if running is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
                running.wait()
                until(lambda group=running.pid: not _lives(group), f"{name} has ended")

    def stop(self) -> None:
        for name in reversed(tuple(self.running)):
            self.running[name].send_signal(self.table[name].stop_signal)
        for name in tuple(self.running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.running[name].wait(self.table[name].stop_timeout_s)
            self.kill(name)


@dataclass
class Post:
    """The post office of one test."""

    engines: Engines
    config: Config

    def mailbox(self, commune: Commune, actor: Actor, local: str) -> Mailbox:
        """A mailbox that accepts mail."""
        made = actions.provision_mailbox(
            actor=Actor.system("tests"),
            collectivite=commune.collectivite,
            address=f"{local}@{commune.domain}",
            person_id=actor.id,
        )
        run_pending("main")
        return made

    def send(
        self,
        message: str | bytes,
        *recipients: str,
        sender: str = "billing@sender.example.net",
        client: str = SENDER_IP,
    ) -> tuple[int, str]:
        """Hand a message in as ``client`` would; return the answer to its end."""
        data = message if isinstance(message, bytes) else message.encode()
        with smtplib.SMTP("127.0.0.1", self.config.smtp_port, timeout=PATIENCE_S) as smtp:
            smtp.ehlo("mail.sender.example.net")
            smtp.docmd("XCLIENT", f"ADDR={client} NAME=mail.sender.example.net")
            smtp.ehlo("mail.sender.example.net")
            code, text = smtp.mail(sender)
            if code != 250:
                return code, text.decode()
            for recipient in recipients:
                code, text = smtp.rcpt(recipient)
                if code != 250:
                    return code, text.decode()
            code, text = smtp.data(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
            return code, text.decode()

    def imap(self, mailbox: Mailbox) -> imapclient.IMAPClient:
        """The owner's view, as the portal opens it."""
        from beffroi.mail import tokens

        client = imapclient.IMAPClient(
            "127.0.0.1", self.config.imap_local_port, ssl=False, timeout=PATIENCE_S
        )
        client.oauthbearer_login(mailbox.address, tokens.mailbox_token(self.config, mailbox.address))
        return client

    def mails(self, mailbox: Mailbox) -> list[EmailMessage]:
        """What lies in the inbox, in its order."""
        client = self.imap(mailbox)
        try:
            client.select_folder("INBOX", readonly=True)
            found = client.fetch(client.search("ALL"), ["RFC822"])
            return [email.message_from_bytes(found[one][b"RFC822"], policy=default) for one in sorted(found)]
        finally:
            client.logout()

    def count(self, mailbox: Mailbox, folder: str = "INBOX") -> int:
        """0 for a folder that delivery has not made yet."""
        client = self.imap(mailbox)
        try:
            if not client.folder_exists(folder):
                return 0
            return int(client.folder_status(folder, ["MESSAGES"])[b"MESSAGES"])
        finally:
            client.logout()

    def wait_count(self, mailbox: Mailbox, expected: int, folder: str = "INBOX") -> None:
        until(lambda: self.count(mailbox, folder) == expected, f"{expected} messages in {folder}")

    def settle(self, copies: int) -> None:
        """Wait until so many copies are on record, as the process remediation would see to it."""

        def there() -> bool:
            journal.follow()
            sweep.sweep()
            return MailDelivery.objects.count() >= copies

        until(there, f"{copies} deliveries on record")
        run_pending("remediation")

    def block(self, kind: str, value: str, *, action: str = "block", communes: int = 2) -> Decision:
        """A decision, as watch would make it, and what follows for copies already delivered."""
        return decisions.activate(
            actor=Actor.system("tests"),
            indicator=normalise(kind, value),
            action=action,
            scope="all",
            reason="phishing",
            evidence={"communes": communes},
            rule="test",
            ttl_s=3600,
        )

    def wait_gate(self, entries: int) -> None:
        """Until mailgate enforces so many entries."""

        def there() -> bool:
            path = self.config.state / "doors" / "mailgate" / "mail.state"
            return path.exists() and path.read_bytes().count(b'"id":"dec_') == entries

        until(there, f"{entries} entries in mailgate")


LURE = """\
From: "Service comptable" <billing@sender.example.net>
To: {to}
Subject: Facture {n}
Message-ID: <{n}@sender.example.net>
Date: Tue, 24 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b1

--b1
Content-Type: text/html; charset=utf-8

<p>Bonjour, votre facture : <a href="https://pay.evil.example.com/f?x=1">https://www.impots.gouv.fr/</a></p>
--b1
Content-Type: application/pdf; name=facture.pdf
Content-Disposition: attachment; filename="facture.pdf"
Content-Transfer-Encoding: base64

SGVsbG8gUERG
--b1--
"""


def lure(to: str, n: str) -> str:
    return LURE.format(to=to, n=n)

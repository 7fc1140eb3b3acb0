"""The whole centre as ``./beffroi up`` starts it, on the database of this run: SQLite, then PostgreSQL.

A mail is delivered and leaves its evidence; a decision refuses the next one. The laboratory does the rest, but on
SQLite, and only where there are network namespaces. Ports 22900-22999.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import secrets
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlencode

import psycopg
import pytest
from beffroi.core.planes import db
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests import mail_files, waiting
from tests.mail_files import EXE
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.root, pytest.mark.slow]

USER = "beffroi"
until = waiting.until
PORTS = {
    "portal_port": 22943,
    "console_port": 22944,
    "box_port": 22945,
    "smtp_port": 22925,
    "imap_port": 22946,
    "imaps_port": 22993,
    "submission_port": 22987,
    "submissions_port": 22965,
    "mailgate_port": 22904,
    "rspamd_proxy_port": 22911,
    "rspamd_normal_port": 22912,
    "rspamd_controller_port": 22913,
    "doveadm_port": 22914,
    "imap_local_port": 22915,
    "filters_port": 22916,
    "split_port": 22918,
    "managesieve_port": 22917,
    "sieve_port": 22994,
    "resolver_port": 22953,
    "acme_port": 22980,
}
MAILBOX = "secretariat@saulieu.test"
HOST = "colis-suivi-paiement.example.net"
LURE = """\
From: Livraison <suivi@sender.example.net>
To: {to}
Subject: Colis {n}
Message-ID: <{n}@sender.example.net>
Date: Tue, 24 Nov 2026 10:00:00 +0000
Content-Type: text/plain; charset=utf-8

Votre colis attend : https://{host}/payer
"""
DECIDE = """
import sys
import django
django.setup()
from beffroi.core.audit import queries
from beffroi.core.decisions.actions import activate
from beffroi.core.identity.actor import Actor
from beffroi_protocol.indicators import normalise
made = activate(actor=Actor.system("tests"), indicator=normalise("domain", sys.argv[1]), action="block",
                scope="all", reason="phishing", evidence={"communes": 2}, rule="test", ttl_s=3600)
print(made.id)
"""


@dataclass
class Centre:
    """The running centre, asked from outside: SMTP, commands; its tables are read as a plane reads them."""

    state: Path
    process: subprocess.Popen[bytes]
    plane: db.Database

    def send(self, number: str) -> tuple[int, str]:
        """Hand in one lure; return the answer to its end."""
        text = LURE.format(to=MAILBOX, n=number, host=HOST).replace("\n", "\r\n")
        with smtplib.SMTP("127.0.0.1", PORTS["smtp_port"], timeout=PATIENCE_S) as smtp:
            smtp.ehlo("mail.sender.example.net")
            smtp.mail("suivi@sender.example.net")
            code, answer = smtp.rcpt(MAILBOX)
            if code == 250:
                code, answer = smtp.data(text)
        return code, answer.decode("utf-8", "replace")

    def python(self, script: str, *arguments: str) -> str:
        """What a person would type into a shell of the centre, as its own user."""
        own = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--")
        environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "BEFFROI_STATE": str(self.state),
            "DJANGO_SETTINGS_MODULE": "beffroi.settings.base",
        }
        command = (*own, sys.executable, "-c", script, *arguments)
        ran = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "beffroi.cli", *arguments)
        return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)

    def count(self, query: LiteralString) -> int:
        return int(self.plane.execute(query)[0][0])


@contextmanager
def own_database() -> Iterator[str]:
    """A new PostgreSQL database on the server of this run, or "" for SQLite in the state directory."""
    given = os.environ.get("BEFFROI_TEST_DATABASE", "")
    if not given:
        yield ""
        return
    name = f"up_{secrets.token_hex(4)}"
    parts = {key: str(value) for key, value in conninfo_to_dict(given).items() if value is not None}
    with psycopg.connect(given, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield "postgresql://?" + urlencode(parts | {"dbname": name})
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def centre() -> Iterator[Centre]:
    """One for all tests of this file, in their order: its start is most of what each of them costs."""
    with running() as one:
        yield one


@contextmanager
def running(*settings: str) -> Iterator[Centre]:
    """`up` in a state directory of its own, ready; stopped as Ctrl-C would. ``settings``: further lines."""
    state = Path(tempfile.mkdtemp(prefix="bfu-"))
    state.chmod(0o755)
    with own_database() as url:
        values = [f'user = "{USER}"', *(f"{name} = {port}" for name, port in PORTS.items())]
        if url:
            values.append(f'database_url = "{url}"')
        values += settings
        values.append('acme_directory = "https://localhost:9/dir"')  # nobody answers; nothing asks for it
        (state / "beffroi.toml").write_text("\n".join(values) + "\n")
        ready, log = state / "ready.json", state / "up.log"
        command = (sys.executable, "-m", "beffroi.cli", "up", "--state", str(state), "--no-install")
        with log.open("wb") as out:
            process = subprocess.Popen(
                (*command, "--json-ready", str(ready)),
                cwd="/",
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            until(lambda: ready.exists() or process.poll() is not None, "the centre is ready")
            assert process.poll() is None, log.read_text()[-3000:]
            plane = db.connect(url or f"sqlite:///{state / 'db' / 'beffroi.sqlite'}")
            yield Centre(state, process, plane)
            plane.close()
        finally:
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(PATIENCE_S)
            finally:
                process.kill()
            shutil.rmtree(state, ignore_errors=True)
        assert code == 0


def test_a_mail_leaves_evidence_and_a_decision_refuses_the_next(centre: Centre) -> None:
    found = json.loads(centre.cli("status", "--state", str(centre.state), "--json").stdout)
    assert {one["name"]: one["state"] for one in found["status"]["processes"]} == dict.fromkeys(
        (one["name"] for one in found["status"]["processes"]), "healthy"
    )
    code, answer = centre.send("one")
    assert code == 250, answer
    until(lambda: centre.count("SELECT COUNT(*) FROM mail_message") == 1, "evidence of the message")
    until(lambda: centre.count("SELECT COUNT(*) FROM mail_delivery") == 1, "its final mailbox")
    seen = {row[0] for row in centre.plane.execute("SELECT value FROM mail_observation")}
    assert HOST in seen
    decided = centre.python(DECIDE, HOST)
    assert decided.startswith("dec_")
    mail_state = centre.state / "doors" / "mailgate" / "mail.state"
    until(
        lambda: HOST.encode() in (mail_state.read_bytes() if mail_state.exists() else b""),
        "mailgate enforces",
    )
    code, answer = centre.send("two")
    assert 500 <= code < 600, answer
    assert centre.count("SELECT COUNT(*) FROM mail_delivery") == 1
    moved = "SELECT COUNT(*) FROM mail_remediation_item WHERE state = 'moved'"
    until(lambda: centre.count(moved) == 1, "the first copy is in quarantine")
    until(lambda: centre.count("SELECT COUNT(*) FROM audit_seal") > 0, "the log is sealed")
    worker = centre.state / "log" / "worker.log"
    until(
        lambda: f'"decision:activated","{decided.strip()}"' in worker.read_text(), "the entry is in the log"
    )
    purged = "SELECT COUNT(*) FROM retention_run WHERE state = 'done'"
    until(lambda: centre.count(purged) == 1, "the purge has passed")
    shown = centre.cli("retention", "show", "--state", str(centre.state), "--json")
    assert (shown.returncode, json.loads(shown.stdout)["done"]["state"]) == (0, "done"), shown.stderr
    checked = centre.cli("audit", "verify", "--state", str(centre.state), "--json")
    assert (checked.returncode, json.loads(checked.stdout)["ok"]) == (0, True), checked.stderr


EVERY_PYTHON = {
    "web",
    "console",
    "worker",
    "remediation",
    "webmail",
    "managesieve",
    "sources",
    "import",
    "stream",
    "mailgate",
    "calendars",
    "drive",
    "sentry",
    "drive-keeper",
    "filescan",
}
DJANGO = {"web", "console", "worker", "remediation", "webmail", "managesieve", "sources", "import"}
PAGES = {*DJANGO, "drive", "sentry", "drive-keeper", "filescan"}
READERS = {
    "feed-root.key": set(),
    "demo-accounts.json": set(),
    "policy.key": set(),
    "backup.key": set(),  # root alone
    "bank.key": set(),
    "feed.key": {"stream"},
    **dict.fromkeys(
        (
            "audit.key",
            "django.key",
            "commune-master.key",
            "oauth.key",
            "doveadm.key",
            "managesieve.key",
            "drive-grant.key",
        ),
        PAGES,
    ),
    **dict.fromkeys(("door.token", "live.key", "mailgate.key", "feed-delegation.line"), EVERY_PYTHON),
    **dict.fromkeys(("feed-root.pub", "audit.pub"), EVERY_PYTHON),
}


def groups_of(pid: int) -> tuple[int, set[int]]:
    """Effective user, and all groups, of a running process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {name: found.split() for name, _, found in (line.partition(":") for line in lines)}
    return int(values["Uid"][1]), {int(values["Gid"][1]), *map(int, values["Groups"])}


def may_read(path: Path, uid: int, groups: set[int]) -> bool:
    found = path.stat()
    if found.st_uid == uid:
        return bool(found.st_mode & 0o400)
    return bool(found.st_mode & (0o040 if found.st_gid in groups else 0o004))


def rows(centre: Centre) -> dict[str, dict[str, Any]]:
    found = json.loads(centre.cli("status", "--state", str(centre.state), "--json").stdout)
    return {one["name"]: one for one in found["status"]["processes"]}


def keys_of_certificates_and_of_the_account_are_apart(centre: Centre) -> None:
    acme, keeper = (groups_of(rows(centre)[name]["pid"]) for name in ("acme", "certificates"))
    folder = centre.state / "acme"
    account, keys = folder / "account" / "key.pem", folder / "keys"
    assert (account.stat().st_uid, account.stat().st_mode & 0o777) == (acme[0], 0o600)
    assert (keys.stat().st_uid, keys.stat().st_mode & 0o777) == (0, 0o700)
    assert keeper[0] == 0
    lines = Path(f"/proc/{rows(centre)['certificates']['pid']}/status").read_text().splitlines()
    values = {name: found.split() for name, _, found in (line.partition(":") for line in lines)}
    assert {int(values[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {0}
    with urllib.request.urlopen(
        f"http://127.0.0.1:{PORTS['acme_port']}/.well-known/acme-challenge/token_1234", timeout=PATIENCE_S
    ) as answer:
        assert answer.read().startswith(b"token_1234.")


def test_each_process_reads_only_its_secrets_and_comes_back_after_a_kill(centre: Centre) -> None:
    secrets_folder = centre.state / "secrets"
    assert secrets_folder.stat().st_mode & 0o7777 == 0o710
    assert {path.name for path in secrets_folder.iterdir()} == set(READERS)
    before = rows(centre)
    who = {name: groups_of(before[name]["pid"]) for name in EVERY_PYTHON}
    # Whoever talks to strangers, or opens what they mail, cannot even enter the folder, nor the database's.
    strangers = [
        groups_of(before[name]["pid"])
        for name in ("fetch", "reports", "scan", "previews", "registrar", "acme")
    ]
    assert len({uid for uid, _groups in strangers}) == len(strangers)
    for stranger, its_groups in strangers:
        assert stranger not in {0, *(uid for uid, _groups in who.values())}
        assert its_groups.isdisjoint(group for _uid, groups in who.values() for group in groups)
        assert secrets_folder.stat().st_gid not in its_groups
    assert (centre.state / "db").stat().st_mode & 0o077 == 0
    keys_of_certificates_and_of_the_account_are_apart(centre)
    assert 0 not in {uid for uid, _groups in who.values()}
    for name, readers in READERS.items():
        path = secrets_folder / name
        assert path.stat().st_uid == 0, name
        assert {one for one, (uid, groups) in who.items() if may_read(path, uid, groups)} == readers, name
    # Same user, but another primary group: the kernel keeps them out of each other's memory.
    assert len({tuple(sorted(who[name][1])) for name in ("web", "stream", "mailgate")}) == 3
    for name in EVERY_PYTHON:
        os.kill(before[name]["pid"], signal.SIGKILL)
    until(
        lambda: all(
            one["state"] == "healthy" and (one["pid"] != before[name]["pid"] or name not in EVERY_PYTHON)
            for name, one in rows(centre).items()
        ),
        "every process is healthy again",
    )


def test_the_scanner_has_no_network_and_is_asked_by_rspamd_alone(centre: Centre) -> None:
    row = rows(centre)["scan"]
    lines = Path(f"/proc/{row['pid']}/status").read_text().splitlines()
    values = {name: found.split() for name, _, found in (line.partition(":") for line in lines)}
    assert values["Seccomp"] == ["2"] and values["NoNewPrivs"] == ["1"]
    assert {int(values[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {0}
    assert pwd.getpwuid(int(values["Uid"][1])).pw_name == f"{USER}-scan"
    path = centre.state / "scan" / "scan.sock"
    assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o660, grp.getgrnam("_rspamd").gr_gid)
    assert path.parent.stat().st_mode & 0o7777 == 0o2710
    if subprocess.run(("unshare", "--net", "true"), check=False).returncode == 0:
        theirs = Path(f"/proc/{row['pid']}/ns/net").readlink()
        assert theirs != Path("/proc/self/ns/net").readlink()
    assert centre.cli("scan", sys.executable, "--state", str(centre.state)).returncode == 3
    with smtplib.SMTP("127.0.0.1", PORTS["smtp_port"], timeout=PATIENCE_S) as smtp:
        mail = mail_files.letter(
            "colis.zip", mail_files.packed(a__zip=mail_files.packed(b__exe=EXE)), to=MAILBOX
        )
        assert smtp.sendmail("billing@sender.example.net", [MAILBOX], mail) == {}
    held = "SELECT COUNT(*) FROM mail_held WHERE findings = 'program nested'"
    until(lambda: centre.count(held) == 1, "the mail is held for what is inside")
    os.kill(row["pid"], signal.SIGKILL)
    until(
        lambda: (found := rows(centre)["scan"])["state"] == "healthy" and found["pid"] != row["pid"],
        "the scanner is healthy again",
    )


def test_status_shows_no_password_unless_it_is_asked_for(centre: Centre) -> None:
    kept = json.loads((centre.state / "secrets" / "demo-accounts.json").read_text("utf-8"))["accounts"]
    usual = centre.cli("status", "--state", str(centre.state)).stdout
    asked = centre.cli("status", "--accounts", "--state", str(centre.state)).stdout
    assert [one["password"] in usual for one in kept] == [False] * len(kept)
    assert "status --state" in usual
    assert [one["password"] in asked for one in kept] == [True] * len(kept)


def test_a_rotated_feed_key_is_in_force_without_a_restart_of_the_centre(
    centre: Centre, tmp_path: Path
) -> None:
    state = ("--state", str(centre.state))
    before = rows(centre)
    root = centre.state / "secrets" / "feed-root.key"
    (tmp_path / "feed.pub").write_text(centre.cli("keys", "new", *state).stdout)
    key = ("--public-key", str(tmp_path / "feed.pub"), "--root-key", str(root))
    (tmp_path / "new.line").write_text(centre.cli("keys", "delegate", *key, *state).stdout)
    shown = centre.cli("keys", "install", str(tmp_path / "new.line"), *state).stdout
    assert "stream starts again" in shown
    until(
        lambda: (
            rows(centre)["stream"]["pid"] not in (0, before["stream"]["pid"])
            and rows(centre)["stream"]["state"] == "healthy"
        ),
        "stream runs with the new key",
    )
    assert {name: one["pid"] for name, one in rows(centre).items() if name != "stream"} == {
        name: one["pid"] for name, one in before.items() if name != "stream"
    }
    # The doors take the new key's word: what is decided now is refused.
    assert centre.python(DECIDE, "apres-la-cle.example.net").startswith("dec_")
    mail_state = centre.state / "doors" / "mailgate" / "mail.state"
    until(
        lambda: b"apres-la-cle.example.net" in mail_state.read_bytes(), "mailgate enforces with the new key"
    )

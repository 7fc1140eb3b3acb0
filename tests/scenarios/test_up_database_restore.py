"""A centre as ``./beffroi up`` starts it loses its database, and all that was made from it; the backup brings it
back."""

from __future__ import annotations

import http.cookiejar
import json
import re
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlencode

import pytest
from beffroi.core.planes import db

from tests.scenarios import test_up_centre as whole
from tests.scenarios.test_up_centre import HOST, PORTS, USER, Centre, own_database, until

pytestmark = [pytest.mark.root, pytest.mark.slow]
DERIVED = ("projections", "feed", "doors", "mailgate", "journal")
"""What is made from the database, or waits for it: gone with the disk."""


@contextmanager
def up(state: Path, url: str) -> Iterator[Centre]:
    """Ready; stopped as Ctrl-C would."""
    ready, log = state / "ready.json", state / "up.log"
    ready.unlink(missing_ok=True)
    command = (sys.executable, "-m", "beffroi.cli", "up", "--state", str(state), "--no-install")
    with log.open("wb") as out:
        process = subprocess.Popen(
            (*command, "--json-ready", str(ready)), cwd="/", stdout=out, stderr=out, start_new_session=True
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
            process.wait(whole.PATIENCE_S)
        finally:
            process.kill()


def said(centre: Centre, *words: str) -> str:
    """Once the keeper has time: its own backups may be under way."""
    while True:
        done = centre.cli(*words, "--state", str(centre.state))
        if "is under way" not in done.stderr:
            assert done.returncode == 0, (words, done.stdout, done.stderr)
            return done.stdout
        time.sleep(0.5)


def signs_in(state: Path) -> bool:
    """Whether the portal lets in the first person of the demonstration, by their password."""
    accounts = json.loads((state / "secrets" / "demo-accounts.json").read_bytes())
    person = next(one for one in accounts["accounts"] if not one["console"])
    jar = http.cookiejar.CookieJar()
    trusted = ssl.create_default_context(cafile=str(state / "tls" / "ca.pem"))
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=trusted), urllib.request.HTTPCookieProcessor(jar)
    )
    address = f"https://localhost:{PORTS['portal_port']}"
    with opener.open(f"{address}/") as answer:
        page, login = answer.read().decode(), answer.url
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[:1]
    form = {"csrfmiddlewaretoken": token, "login": person["email"], "password": person["password"]}
    asked = urllib.request.Request(login, urlencode(form).encode(), {"Referer": login})
    with opener.open(asked) as answer:
        return answer.url != login and person["name"] in answer.read().decode()


def restore(state: Path, *words: str) -> None:
    command = (
        sys.executable,
        "-m",
        "beffroi.cli",
        "database",
        "restore",
        "--yes",
        *words,
        "--state",
        str(state),
    )
    done = subprocess.run(command, cwd="/", check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


def asked(state: Path, url: str, query: LiteralString) -> int:
    """Of the database of a centre that stands still."""
    database = db.connect(url or f"sqlite:///{state / 'db' / 'beffroi.sqlite'}")
    try:
        return int(database.execute(query)[0][0])
    finally:
        database.close()


def refuses(centre: Centre, number: str) -> bool:
    return 500 <= centre.send(number)[0] < 600


def delivered(centre: Centre) -> int:
    return centre.count("SELECT COUNT(*) FROM mail_delivery")


@contextmanager
def asking_at_the_door(answers: set[int]) -> Iterator[None]:
    """A server that has mail for the mailbox asks again and again, from before Postfix listens; its answers."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.05):
            with (
                suppress(OSError, smtplib.SMTPException),
                smtplib.SMTP("127.0.0.1", PORTS["smtp_port"]) as smtp,
            ):
                smtp.ehlo("mail.sender.example.net")
                if smtp.mail("maire@sender.example.net")[0] == 250:
                    answers.add(smtp.rcpt(whole.MAILBOX)[0])

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        ended.set()
        asking.join()


def test_all_is_back_after_the_disk_of_the_database_is_gone() -> None:
    state = Path(tempfile.mkdtemp(prefix="bfr-"))
    state.chmod(0o755)
    with own_database() as url, own_database() as empty:
        lines = [f'user = "{USER}"', *(f"{name} = {port}" for name, port in PORTS.items())]
        settings = state / "beffroi.toml"
        settings.write_text("\n".join([*lines, *([f'database_url = "{url}"'] if url else [])]) + "\n")
        try:
            with up(state, url) as centre:
                assert signs_in(state)
                assert centre.send("one")[0] == 250
                until(lambda: delivered(centre) == 1, "it is delivered")
                centre.python(whole.DECIDE, HOST)
                until(lambda: refuses(centre, "two"), "the door enforces the decision")
                said(centre, "database", "backup", "now")
                assert "is whole" in said(centre, "database", "backup", "check")
                refused = centre.cli("database", "restore", "--yes", "--state", str(state))
                assert "runs already" in refused.stderr
                epoch = centre.count("SELECT MAX(epoch) FROM feed_channel")
            for name in DERIVED:
                shutil.rmtree(state / name)
            shutil.rmtree(state / "db")
            if url:
                settings.write_text("\n".join([*lines, f'database_url = "{empty}"']) + "\n")
            check = (sys.executable, "-m", "beffroi.cli", "up", "--state", str(state), "--no-install",
                     "--no-demo", "--check")  # fmt: skip
            subprocess.run(check, cwd="/", check=True, capture_output=True)
            restore(state)
            people = "SELECT COUNT(*) FROM person"
            assert asked(state, empty, people) > 3
            restore(state, "--undo")
            assert asked(state, empty, people) == 0, "as it was installed"
            restore(state, "--undo")
            answers: set[int] = set()
            with asking_at_the_door(answers), up(state, empty) as centre:
                assert signs_in(state)
                assert centre.count("SELECT MAX(epoch) FROM feed_channel") > epoch
                until(lambda: refuses(centre, "three"), "the door enforces the decision")
                before = delivered(centre)
                until(lambda: _takes_mail(centre), "the mailbox takes mail again")
                until(lambda: 250 in answers, "the waiting server's mail is taken")
                assert answers <= {250, 450}, "nobody was told that the mailbox does not exist"
                until(lambda: delivered(centre) > before, "it is delivered, and opens with the mailbox's key")
                done_ = "SELECT COUNT(*) FROM audit_entry WHERE verb = 'database:restored'"
                until(lambda: centre.count(done_) == 1, "the audit log says so")
                said(centre, "database", "backup", "now")
                found = json.loads(centre.cli("status", "--state", str(state), "--json").stdout)
                assert found["database"] == ""
        finally:
            shutil.rmtree(state, ignore_errors=True)


def _takes_mail(centre: Centre) -> bool:
    harmless = whole.LURE.replace("https://{host}/payer", "en mairie")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole, "LURE", harmless)
        return centre.send("four")[0] == 250

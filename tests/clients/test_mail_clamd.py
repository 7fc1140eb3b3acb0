"""A real clamd beside rspamd: a known file is held, a clean one arrives, and mail waits while clamd is away.

Needs ``clamd`` (Debian: clamav-daemon), or BEFFROI_CLAMD; its signatures are one line of ours.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.engines import rspamd
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage

from tests import mail_files
from tests.mail_post import Post, needs_engines, until

CLAMD = os.environ.get("BEFFROI_CLAMD") or shutil.which("clamd")
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = [*needs_engines, pytest.mark.skipif(CLAMD is None, reason="clamd is not installed")]
KNOWN = b"this file is known to the tests' own signatures"


class Clamd:
    """A clamd with one signature, in a directory of its own."""

    def __init__(self, home: Path) -> None:
        self.socket = home / "clamd.sock"
        self._conf = home / "clamd.conf"
        (home / "db").mkdir()
        line = f"{hashlib.md5(KNOWN, usedforsecurity=False).hexdigest()}:{len(KNOWN)}:Beffroi.Test\n"
        (home / "db" / "own.hdb").write_text(line)
        self._conf.write_text(
            f"LocalSocket {self.socket}\nLocalSocketMode 666\nDatabaseDirectory {home / 'db'}\nForeground yes\n"
        )
        for path in (home, *home.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def start(self) -> None:
        assert CLAMD is not None
        self._process = subprocess.Popen(
            [CLAMD, "--config-file", str(self._conf)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(self._answers, "clamd")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as asked:
            try:
                asked.connect(str(self.socket))
                asked.sendall(b"zPING\0")
                return asked.recv(5) == b"PONG\0"
            except OSError:
                return False

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self.socket.unlink(missing_ok=True)


@pytest.fixture
def clamd(post: Post) -> Iterator[Clamd]:
    """rspamd asks this one for as long as the test lasts."""
    home = Path(tempfile.mkdtemp(prefix="bfc-"))
    made = Clamd(home)
    made.start()
    config = post.config
    try:
        post.engines.kill("rspamd")
        rspamd.write(replace(config, clamd=str(made.socket)))
        post.engines.start("rspamd")
        yield made
    finally:
        post.engines.kill("rspamd")
        rspamd.write(config)
        post.engines.start("rspamd")
        made.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_a_known_file_is_held_a_clean_one_arrives_and_mail_waits_without_clamd(
    post: Post, box: Mailbox, clamd: Clamd
) -> None:
    known = mail_files.letter("rapport.pdf", KNOWN, to=box.address)
    clean = mail_files.letter("compte rendu.pdf", mail_files.PDF, to=box.address)
    assert post.send(known, box.address)[0] == 250
    assert post.send(clean, box.address)[0] == 250
    post.settle(2)
    row = HeldMail.objects.get()
    assert (row.findings, row.strict) == ("virus", True)
    assert post.count(box) == 1
    clamd.stop()
    code, text = post.send(clean, box.address)
    assert code == 451, text
    assert MailMessage.objects.count() == 2  # nothing passed, and nothing was said of it
    clamd.start()
    assert post.send(clean, box.address)[0] == 250
    post.settle(3)
    assert post.count(box) == 2 and MailDelivery.objects.count() == 3


@pytest.mark.parametrize("wrong", ["clamd", "../x", '/a"; x = "', "host:99:1", "/a b", ":3310"])
def test_a_setting_that_names_no_clamd_is_refused(mail_engines: object, wrong: str) -> None:
    config: Config = mail_engines.config  # type: ignore[attr-defined]
    with pytest.raises(SettingInvalid):
        rspamd.write(replace(config, clamd=wrong))

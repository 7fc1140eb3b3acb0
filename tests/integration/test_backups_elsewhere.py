"""Copies of the backups on another machine: deploy/backups/pull as it is handed out; real sshd, rrsync and restic."""

from __future__ import annotations

import dataclasses
import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from beffroi.cli import report
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.backup import fetched, staging
from beffroi.mail.backup.store import KEY, Store
from django.test import Client

from tests.fixtures_drive import new_config
from tests.waiting import PATIENCE_S, until_it_listens

pytestmark = pytest.mark.root
PULL = Path(__file__).resolve().parents[2] / "deploy" / "backups" / "pull"
PORT = 2022


@dataclass(frozen=True)
class Machines:
    """``config``: of the centre. ``there``: the copies, on the other machine."""

    config: Config
    there: Path
    ssh: tuple[str, ...]

    def back_up(self, text: str) -> str:
        """A backup of one mailbox; returns its snapshot."""
        mailbox = staging.stage(self.config) / "mbx_1"
        mailbox.mkdir(parents=True, exist_ok=True)
        (mailbox / "mail").write_text(text)
        store = Store(self.config)
        store.prepare()
        return store.save(staging.stage(self.config), keep_days=35).id

    def pull(self, *more: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "RSYNC_RSH": " ".join(self.ssh)}
        command = (str(PULL), "root@127.0.0.1", str(self.there), *more)
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=PATIENCE_S
        )

    def copies(self) -> list[Path]:
        return sorted(one for one in self.there.iterdir() if one.is_dir() and one.name[0].isdigit())

    def read_back(self, copy: Path, into: Path, snapshot: str) -> str:
        """The mailbox of a snapshot in one of the copies, whose files are all read. Errors: CalledProcessError."""
        repository = copy / "backup" / "repository"
        restic = ("restic", "-q", "-r", str(repository), "--no-lock", "-p", str(self.config.secrets / KEY))
        subprocess.run((*restic, "check", "--read-data", "--no-cache"), check=True, capture_output=True)
        subprocess.run((*restic, "restore", snapshot, "--target", str(into), "--no-cache"), check=True)
        return next(into.rglob("mail")).read_text()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    state, ssh = tmp_path / "state", tmp_path / "ssh"
    config = new_config(state)
    (config.secrets / KEY).write_text("of this centre")
    (config.state / "backup-work" / "cache").mkdir(parents=True)
    # Both kinds of backups below one directory, as the runbook says.
    served = tmp_path / "served"
    served.mkdir()
    config = dataclasses.replace(config, backup_path=str(served / "backup"))
    ssh.mkdir(mode=0o700)
    trace = state / "supervisor" / "fetched"
    trace.parent.mkdir(exist_ok=True)
    for name in ("host", "own"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh / name)), check=True)
    public = (ssh / "own.pub").read_text()
    (ssh / "keys").write_text(f'command="/usr/bin/rrsync -ro {served} && touch {trace}",restrict {public}')
    (ssh / "config").write_text(
        f"Port {PORT}\nListenAddress 127.0.0.1\nHostKey {ssh}/host\nAuthorizedKeysFile {ssh}/keys\nUsePAM no\n"
        f"PermitRootLogin forced-commands-only\nStrictModes no\nPidFile none\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)  # of its separation of privileges
    with (ssh / "log").open("ab") as log:
        sshd = subprocess.Popen(("/usr/sbin/sshd", "-D", "-e", "-f", str(ssh / "config")), stderr=log)
    options = ("-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={ssh}/known")
    try:
        until_it_listens(PORT, sshd)
        yield Machines(config, tmp_path / "there", ("ssh", "-p", str(PORT), "-i", str(ssh / "own"), *options))
    finally:
        sshd.terminate()
        sshd.wait()


def test_what_is_encrypted_or_deleted_at_the_centre_is_whole_in_the_copy_of_before(
    machines: Machines, tmp_path: Path
) -> None:
    first = machines.back_up("délibération")
    done = machines.pull()
    assert done.returncode == 0, done.stderr
    (copy,) = machines.copies()
    assert machines.read_back(copy, tmp_path / "back", first) == "délibération"
    store = Path(machines.config.backup_path)
    for file in (one for one in store.rglob("*") if one.is_file()):
        file.chmod(0o600)
        file.write_bytes(os.urandom(file.stat().st_size))
    assert machines.pull().returncode == 0
    assert machines.read_back(copy, tmp_path / "again", first) == "délibération"
    subprocess.run(("rm", "-rf", str(store)), check=True)
    gone = machines.pull()
    assert (gone.returncode, "there is nothing at" in gone.stderr) == (1, True)
    assert machines.read_back(copy, tmp_path / "at last", first) == "délibération"


def test_what_did_not_change_takes_no_room_twice(machines: Machines, tmp_path: Path) -> None:
    machines.back_up("a")
    machines.pull()
    second = machines.back_up("b")
    assert machines.pull().returncode == 0
    before, after = machines.copies()
    same = {one.relative_to(before): one.stat().st_ino for one in before.rglob("*") if one.is_file()}
    kept = [one for one in after.rglob("*") if same.get(one.relative_to(after)) == one.stat().st_ino]
    assert len(kept) == len(same) > 3
    assert machines.read_back(after, tmp_path / "back", second) == "b"


def test_the_key_of_the_copies_writes_nothing_there_and_opens_nothing_else(machines: Machines) -> None:
    machines.back_up("a")
    own = Path(machines.config.secrets / KEY)
    for command in (
        ("rsync", str(PULL), "root@127.0.0.1:/pull"),
        ("rsync", f"root@127.0.0.1:{own}", str(machines.there.parent / "stolen")),
        ("rsync", "root@127.0.0.1:/../state/secrets/", str(machines.there.parent / "stolen")),
        (*machines.ssh, "root@127.0.0.1", "cat", str(own)),
    ):
        environment = {**os.environ, "RSYNC_RSH": " ".join(machines.ssh)}
        asked = subprocess.run(command, capture_output=True, check=False, env=environment, timeout=PATIENCE_S)
        assert asked.returncode != 0, command
    assert not (machines.there.parent / "stolen").exists()
    assert fetched.at(machines.config) == 0, "who is refused leaves no trace of a copy"
    assert not list(Path(machines.config.backup_path).parent.rglob("pull"))


def test_old_copies_go_but_the_newest_stay_whatever_the_clock_says(machines: Machines) -> None:
    machines.back_up("a")
    machines.there.mkdir()
    now = datetime.now(UTC)
    names = [f"{now - timedelta(days=days):%Y%m%dT%H%M%SZ}" for days in range(1, 12)]
    for name in names:
        (machines.there / name).mkdir()
        (machines.there / name / "file").write_text("of then")
    assert machines.pull("4").returncode == 0
    assert {one.name for one in machines.copies()[:-1]} == set(names[:6]), "six, and the one of now"
    assert machines.pull("0").returncode == 2


def test_a_centre_that_was_taken_over_reaches_no_file_of_the_other_machine(machines: Machines) -> None:
    """A symbolic link in one copy, a directory of that name for the next: what lies behind the link became a file of
    that copy, whose mode the centre sets."""
    first = machines.back_up("délibération")
    own = machines.there.parent / "own"
    own.mkdir()
    (own / "shadow").write_text("of the other machine")
    (own / "shadow").chmod(0o600)
    served = Path(machines.config.backup_path).parent
    (served / "folder").symlink_to(own)
    os.mknod(served / "disk", stat.S_IFBLK | 0o666, os.makedev(8, 0))
    (served / "shell").write_text("#!/bin/sh")
    (served / "shell").chmod(0o6755)
    assert machines.pull().returncode == 0
    (served / "folder").unlink()
    (served / "folder").mkdir()
    same = served / "folder" / "shadow"
    same.write_text("of the taken centre.")  # as long, as old, and as open
    same.chmod(0o600)
    times = (own / "shadow").stat()
    os.utime(same, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert machines.pull().returncode == 0
    copies = machines.copies()
    assert (own / "shadow").stat().st_nlink == 1
    assert (copies[-1] / "folder" / "shadow").read_text() == "of the taken centre."
    for one in (one for copy in copies for one in copy.rglob("*")):
        mode = one.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), one
        assert not mode & (stat.S_ISUID | stat.S_ISGID), one
    assert machines.read_back(copies[-1], machines.there.parent / "back", first) == "délibération"


def test_a_connection_that_breaks_leaves_no_copy_that_looks_whole(machines: Machines) -> None:
    machines.back_up("a")
    broken = subprocess.run(
        (str(PULL), "root@127.0.0.1", str(machines.there)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RSYNC_RSH": "ssh -o BatchMode=yes -p 1"},
        timeout=PATIENCE_S,
    )
    assert broken.returncode == 1
    assert machines.copies() == []


def test_the_centre_says_when_it_was_fetched_last_and_warns_after_two_days(
    machines: Machines, console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(machines.config, backup_path="")
    monkeypatch.setattr("django.conf.settings.BEFFROI", config)
    machines.back_up("a")
    asked = {"problem": report._WRONG["fetched"], "note": partial(fetched.sentence, now=clock.epoch_s())}
    assert {name: ask(config) for name, ask in asked.items()} == {"problem": "", "note": ""}
    assert "Aucune autre machine n’est encore venue" in console.get("/sauvegardes/").content.decode()

    assert machines.pull().returncode == 0
    assert (
        fetched.sentence(config, now=clock.epoch_s())
        == "Another machine fetched the backups within the hour."
    )
    assert asked["problem"](config) == ""
    page = console.get("/sauvegardes/").content.decode()
    assert "Une autre machine est venue les chercher" in page and "aucune autre machine" not in page
    trace = config.state / "supervisor" / "fetched"
    for age_s in (3 * 86400, -86400):  # two days too old; of a clock that ran ahead
        os.utime(trace, (clock.epoch() - age_s,) * 2)
        assert "No other machine has fetched the backups" in asked["problem"](config)
        assert fetched.sentence(config, now=clock.epoch_s()) == ""
        said = "aucune autre machine n’est venue chercher les sauvegardes depuis deux jours"
        assert said in console.get("/").content.decode().replace("Aucune", "aucune")
    trace.unlink()
    assert asked["problem"](config) == ""

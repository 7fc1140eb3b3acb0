"""Logs on another machine: deploy/rsyslog/beffroi.conf as it is handed out, between two real rsyslogd, by TLS."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from beffroi.cli import report
from beffroi.lib import clock, logs_taken
from beffroi.supervise import logs
from django.conf import settings
from django.test import Client

from tests import certificates
from tests.waiting import until, until_it_listens

pytestmark = pytest.mark.root
ROOT = Path(__file__).resolve().parents[2]
HANDED_OUT = ROOT / "deploy" / "rsyslog" / "beffroi.conf"
RUNBOOK = ROOT / "docs" / "runbooks" / "logs-elsewhere.md"
NAME, PORT = "logs.example.fr", 2514


@dataclass(frozen=True)
class Machines:
    """``log``: our directory of logs. ``arrived``: what the other machine wrote down."""

    place: Path
    log: Path
    arrived: Path

    def came(self) -> list[str]:
        """Lines without priority and time: which process of which machine, and what it said."""
        text = self.arrived.read_text("utf-8") if self.arrived.exists() else ""
        return [" ".join(line.split()[3:]) for line in text.splitlines()]

    def files(self) -> list[str]:
        """What the other machine keeps, as the runbook says, and whatever was written beside it."""
        return sorted(
            str(one.relative_to(self.place)) for one in self.place.rglob("*.log") if one.parent != self.log
        )

    @contextlib.contextmanager
    def other(self, name: str = NAME) -> Iterator[None]:
        """The machine that takes the lines; ``name``: of its certificate."""
        own, sender = self._certified(name), self._certified("centre.example.fr")
        self._trusted.write_bytes(own.read_bytes())
        text = f"""
            global(workDirectory="{self.place}/other")
            module(load="imrelp" ruleset="taken")
            input(type="imrelp" port="{PORT}" address="127.0.0.1" tls="on" tls.authMode="name"
                  tls.permittedPeer=["centre.example.fr"] tls.caCert="{sender}"
                  tls.myCert="{own}" tls.myPrivKey="{own.with_suffix(".key")}")
            template(name="line" type="string" string="%rawmsg%\\n")
            {_template_of_the_runbook(self.place / "a" / "kept")}
            ruleset(name="taken") {{
              action(type="omfile" file="{self.arrived}" template="line")
              action(type="omfile" dynaFile="file")
            }}
        """
        with self._running("other", text) as process:
            until_it_listens(PORT, process)
            yield

    @contextlib.contextmanager
    def ours(self, hostname: str = "") -> Iterator[Path]:
        """The sender; yields the file of what it says itself. ``hostname``: that it claims to be."""
        text, own = HANDED_OUT.read_text("utf-8"), self._certified("centre.example.fr")
        for before, after in (
            ("/etc/rsyslog.d/authority.pem", str(self._trusted)),
            ("/etc/rsyslog.d/centre.pem", str(own)),
            ("/etc/rsyslog.d/centre.key", str(own.with_suffix(".key"))),
            ("/var/lib/beffroi/log", str(self.log)),
            ("/var/lib/beffroi/supervisor/logs-taken", str(self.taken)),
            ('interval="60"', 'interval="1"'),
            (f'target="{NAME}"', 'target="127.0.0.1"'),  # no resolver of a test knows the name
            ('resumeInterval="10"', 'resumeInterval="1"'),
        ):
            assert before in text
            text = text.replace(before, after)
        if hostname:
            text = text.replace('property(name="$myhostname")', f'constant(value="{hostname}")')
        with self._running("ours", f'global(workDirectory="{self.place}/ours")\n{text}'):
            yield self.place / "ours.said"

    @property
    def taken(self) -> Path:
        """Of which the time says when the other machine took all that there was."""
        return self.place / "logs-taken"

    def taken_at_ns(self) -> int:
        return self.taken.stat().st_mtime_ns if self.taken.exists() else 0

    @property
    def _trusted(self) -> Path:
        """The authority of the other machine, as we know it."""
        return self.place / "trusted.pem"

    def _certified(self, name: str) -> Path:
        """Its certificate; the key lies beside it."""
        found = self.place / f"{name}.pem"
        if not found.exists():
            certificates.self_signed(found, found.with_suffix(".key"), name)
        return found

    @contextlib.contextmanager
    def _running(self, name: str, text: str) -> Iterator[subprocess.Popen[bytes]]:
        (self.place / name).mkdir(exist_ok=True)
        config = self.place / f"{name}.conf"
        config.write_text(text)
        with (self.place / f"{name}.said").open("ab") as said:
            process = subprocess.Popen(
                ("rsyslogd", "-n", "-iNONE", "-f", str(config)), stdout=said, stderr=said
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def _template_of_the_runbook(kept: Path) -> str:
    (line,) = (one for one in RUNBOOK.read_text("utf-8").splitlines() if 'template(name="file"' in one)
    assert "/var/log/centre/" in line
    return line.replace("/var/log/centre/", f"{kept}/")


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    (tmp_path / "log").mkdir()
    return Machines(tmp_path, tmp_path / "log", tmp_path / "arrived")


def _say(log: Path, line: str) -> None:
    with log.open("a", encoding="utf-8") as out:
        out.write(f"{line}\n")


def test_lines_arrive_also_those_of_the_time_without_the_other_machine(machines: Machines) -> None:
    worker, web = machines.log / "worker.log", machines.log / "web.log"
    _say(worker, "sealed: a mairie à Saulieu")
    with contextlib.ExitStack() as stack:
        with machines.other():
            stack.enter_context(machines.ours())
            until(
                lambda: "beffroi-worker - - - sealed: a mairie à Saulieu" in machines.came(), "the first line"
            )
        _say(worker, "said while it was away")
        with machines.other():
            _say(web, "said after")
            wanted = {"beffroi-worker - - - said while it was away", "beffroi-web - - - said after"}
            until(lambda: wanted <= set(machines.came()), "the lines of before and after")


def test_it_is_known_here_whether_the_other_machine_takes_them(machines: Machines) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(machines.ours())
        _say(machines.log / "worker.log", "said while it is away")
        time.sleep(3.0)
        assert not machines.taken_at_ns(), "nobody took anything"
        with machines.other():
            until(machines.taken_at_ns, "it is not noted")
            assert "beffroi-worker - - - said while it is away" in machines.came()
            until(
                lambda: any(one.startswith("beffroi-mark ") for one in machines.came()), "the line a minute"
            )
        time.sleep(3.0)  # one that was under way
        before = machines.taken_at_ns()
        time.sleep(3.0)
        assert machines.taken_at_ns() == before, "it is away again"
        with machines.other():
            until(lambda: machines.taken_at_ns() > before, "it is not noted again")


def test_lines_arrive_after_a_log_was_set_aside(machines: Machines) -> None:
    log = machines.log / "worker.log"
    _say(log, "one of many lines of a week")
    logs.trim(log, keep_days=183)  # begins it
    with machines.other(), machines.ours():
        until(
            lambda: "beffroi-worker - - - one of many lines of a week" in machines.came(),
            "the line of before",
        )
        _age(log.with_suffix(".begun"))
        logs.trim(log, keep_days=183)
        assert log.stat().st_size == 0, "it was set aside"
        _say(log, "next")
        until(lambda: "beffroi-worker - - - next" in machines.came(), "the line of after")


@pytest.mark.parametrize("claimed", ["../../elsewhere", "..", "another"])
def test_a_centre_that_was_taken_over_writes_into_its_own_files_alone(
    machines: Machines, claimed: str
) -> None:
    """The name of a machine stands in each line, and is the sender's to choose."""
    _say(machines.log / "auth.log", "a line")
    with machines.other(), machines.ours(claimed):
        until(lambda: "beffroi-auth - - - a line" in machines.came(), "the line")
        until(machines.files, "its file")
    assert machines.files() == ["a/kept/127.0.0.1/beffroi-auth.log"]


def _age(mark: Path) -> None:
    then = mark.stat().st_mtime - logs.WEEK_S - 1
    os.utime(mark, (then, then))


def test_nothing_goes_to_a_machine_of_another_name(machines: Machines) -> None:
    _say(machines.log / "worker.log", "not for everybody")
    with machines.other("someone.example.fr"), machines.ours() as said:
        until(lambda: "peer is 'DNSname: someone.example.fr" in said.read_text("utf-8"), "its refusal")
    assert machines.came() == []


@pytest.mark.django_db
def test_the_centre_says_since_when_nobody_takes_the_logs(
    tmp_path: Path, console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(settings.BEFFROI, state=tmp_path)
    monkeypatch.setattr("django.conf.settings.BEFFROI", config)
    taken = tmp_path / "supervisor" / "logs-taken"
    taken.parent.mkdir()
    said = "aucune autre machine ne prend les journaux depuis"

    def asked() -> tuple[str, str]:
        return report._WRONG["logs"](config), logs_taken.sentence(config, now=clock.epoch_s())

    assert asked() == ("", ""), "they are not sent on"
    assert "machine" not in console.get("/journal/").content.decode().partition("<main")[2]
    taken.touch()
    assert asked() == ("", "Another machine takes the logs.")
    assert "Une autre machine prend les journaux" in console.get("/journal/").content.decode()
    assert said not in console.get("/").content.decode().lower()
    for age_s in (2 * 3600, -86400):  # too old; of a clock that ran ahead
        os.utime(taken, (clock.epoch() - age_s,) * 2)
        problem, sentence = asked()
        assert f"for {max(0, age_s) // 3600} hours" in problem and not sentence
        assert said in console.get("/journal/").content.decode().lower()
        assert said in console.get("/").content.decode().lower()

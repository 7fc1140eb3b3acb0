"""The supervisor on real processes: deaths, stubborn children, two starts, a killed supervisor."""

from __future__ import annotations

import contextlib
import gzip
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.process import Process
from beffroi.supervise import children, keeper, logs, status
from beffroi.supervise import supervisor as supervising
from beffroi.supervise.supervisor import StartFailed, Supervisor, stop_running

from tests.waiting import PATIENCE_S, until

STUBBORN = """
import os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
open(sys.argv[1], "w").close()
time.sleep(600)
"""


@pytest.fixture
def place(tmp_path: Path) -> Config:
    (tmp_path / "supervisor").mkdir()
    return Config(state=tmp_path)


def sleeper(place: Config, name: str, script: str = STUBBORN, **more: object) -> Process:
    """A process that is healthy once its file exists."""
    mark = place.state / f"{name}.mark"
    return Process(
        name=name,
        argv=(sys.executable, "-c", script, str(mark)),
        healthy=lambda: "" if mark.exists() else f"{name} is not there yet.",
        stop_timeout_s=0.5,
        advice=f"Look at the log of {name}.",
        **more,  # type: ignore[arg-type]
    )


ALONE = """
import pathlib, sys, time
names = [line.split(":")[0].strip() for line in pathlib.Path("/proc/self/net/dev").read_text().splitlines()[2:]]
pathlib.Path(sys.argv[1]).write_text(" ".join(sorted(names)))
time.sleep(600)
"""


ZONE = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(time.strftime("%Z %z"))
time.sleep(600)
"""


@pytest.fixture
def run(place: Config) -> Iterator[Callable[..., Supervisor]]:
    started: list[Supervisor] = []

    def start(*processes: Process) -> Supervisor:
        supervisor = Supervisor(place, processes, say=said.append)
        started.append(supervisor)
        supervisor.start()
        return supervisor

    said: list[str] = []
    yield start
    for supervisor in started:
        supervisor.stop()


def test_a_dead_process_is_started_again_and_the_others_live_on(
    place: Config, run: Callable[..., Supervisor]
) -> None:
    supervisor = run(sleeper(place, "one"), sleeper(place, "two"))
    assert supervisor.wait_ready()
    first, second = supervisor.keepers
    dead, untouched = first.status.pid, second.status.pid
    os.kill(dead, signal.SIGKILL)
    until(lambda: first.status.restarts == 1 and first.status.state == "healthy", "started again")
    assert first.status.pid != dead
    assert second.status.pid == untouched
    assert not children.family(dead), "the worker of the dead process was left behind"


def test_the_end_leaves_nobody_behind_not_even_who_ignores_the_signal(
    place: Config, run: Callable[..., Supervisor]
) -> None:
    supervisor = run(sleeper(place, "one"))
    assert supervisor.wait_ready()
    session = supervisor.keepers[0].status.pid
    assert len(children.family(session)) == 2
    supervisor.stop()
    assert not children.family(session)
    assert not status.ready_path(place).exists()


def test_files_that_cannot_be_removed_keep_nobody_from_being_stopped(
    place: Config, run: Callable[..., Supervisor]
) -> None:
    supervisor = run(sleeper(place, "one"))
    assert supervisor.wait_ready()
    session = supervisor.keepers[0].status.pid
    status.ready_path(place).unlink()
    status.ready_path(place).mkdir()
    supervisor.stop()
    assert not children.family(session)


def test_a_process_that_will_not_start_ends_the_start_with_its_last_words(
    place: Config, run: Callable[..., Supervisor]
) -> None:
    broken = Process(
        "broken", (sys.executable, "-c", "raise SystemExit('no such resolver')"), lambda: "not yet"
    )
    supervisor = run(sleeper(place, "one"), broken)
    with pytest.raises(StartFailed) as caught:
        supervisor.wait_ready()
    assert "broken" in str(caught.value)
    assert "no such resolver" in str(caught.value)


def test_a_program_that_is_not_installed_is_named(place: Config, run: Callable[..., Supervisor]) -> None:
    supervisor = run(Process("absent", ("/usr/sbin/no-such-engine",), lambda: "not yet"))
    with pytest.raises(StartFailed) as caught:
        supervisor.wait_ready()
    assert "/usr/sbin/no-such-engine" in str(caught.value)


def test_a_health_question_that_raises_does_not_end_the_watch(
    place: Config, run: Callable[..., Supervisor]
) -> None:
    answers: Iterator[ValueError | str] = iter([ValueError("bad answer"), ""])

    def ask() -> str:
        answer = next(answers, "")
        if isinstance(answer, Exception):
            raise answer
        return answer

    supervisor = run(
        Process("odd", (sys.executable, "-c", "import time; time.sleep(600)"), ask, stop_timeout_s=1)
    )
    assert supervisor.wait_ready()
    assert supervisor.keepers[0].status.restarts == 0


def test_who_cannot_bear_a_clock_that_goes_back_is_started_again(
    place: Config, run: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "POLL_HEALTHY_S", 0.1)
    supervisor = run(sleeper(place, "one"), sleeper(place, "two", restart_when_set_back=True))
    assert supervisor.wait_ready()
    first, second = supervisor.keepers
    untouched = first.status.pid
    with clock.shifted(-86400):
        until(lambda: second.status.restarts == 1 and second.status.state == "healthy", "started again")
        time.sleep(0.5)
        assert second.status.restarts == 1
    time.sleep(0.5)  # forward again: nobody minds
    assert (first.status.pid, first.status.restarts, second.status.restarts) == (untouched, 0, 1)


def is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def test_a_clock_that_is_ahead_for_a_moment_alone_is_seen(
    place: Config, run: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's word that the clock was set comes from here: the machine's own clock is nobody's to set."""
    monkeypatch.setattr(keeper, "POLL_HEALTHY_S", 600.0)
    told = list[int]()

    class Told(keeper._ClockSet):
        def __init__(self) -> None:
            super().__init__()
            os.close(self._descriptor)
            self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            told.append(self._descriptor)

        def arm(self) -> None:
            with contextlib.suppress(BlockingIOError, AttributeError, OSError):
                os.eventfd_read(self._descriptor)

    monkeypatch.setattr(keeper, "_ClockSet", Told)
    supervisor = run(sleeper(place, "one", restart_when_set_back=True))
    assert supervisor.wait_ready()
    (one,) = supervisor.keepers
    with clock.jumped(86400):
        os.eventfd_write(told[-1], 1)
        until(lambda: not is_readable(told[-1]), "the step forward was seen")
        time.sleep(0.2)
        assert one.status.restarts == 0
    os.eventfd_write(told[-1], 1)
    until(lambda: one.status.restarts == 1 and one.status.state == "healthy", "started again")


def test_a_long_log_is_set_aside_while_its_process_writes_on(
    place: Config, run: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 20_000)
    monkeypatch.setattr(keeper, "POLL_HEALTHY_S", 0.1)
    talker = """
import sys, time
open(sys.argv[1], "w").close()
for number in range(100000):
    print(f"{number:08}", flush=True)
    time.sleep(0.0001)
"""
    supervisor = run(sleeper(place, "talker", talker))
    assert supervisor.wait_ready()
    log = supervisor.keepers[0].log
    until(lambda: list(log.parent.glob("talker.log.*Z.gz")), "the log is set aside")
    until(lambda: log.stat().st_size > 100, "the log goes on")
    aside = min(log.parent.glob("talker.log.*Z.gz"))
    assert gzip.decompress(aside.read_bytes()).startswith(b"00000000\n")
    assert log.read_bytes()[:1].isdigit(), "no hole: the process appends"
    assert aside.stat().st_mode & 0o777 == 0o640
    assert supervisor.keepers[0].status.restarts == 0


def test_the_status_on_disk_says_what_runs(place: Config, run: Callable[..., Supervisor]) -> None:
    supervisor = run(sleeper(place, "one"))
    assert supervisor.wait_ready()
    found = status.read(place)
    assert found is not None
    assert found.ready
    assert [(one.name, one.state) for one in found.processes] == [("one", "healthy")]
    assert status.ready_path(place).exists()


def test_programs_write_their_logs_in_the_time_of_the_place_whatever_the_machine_s(
    place: Config, run: Callable[..., Supervisor]
) -> None:
    told = run(sleeper(place, "one", ZONE))
    assert told.wait_ready()
    assert (place.state / "one.mark").read_text() == f"{clock.now().astimezone(clock.PLACE):%Z %z}"


def test_two_supervisors_of_one_state_do_not_meet(place: Config) -> None:
    first = status.Lock(place)
    with pytest.raises(status.AlreadyRunning) as caught:
        status.Lock(place)
    assert str(os.getpid()) in str(caught.value)
    assert status.running_pid(place) == os.getpid()
    first.release()
    assert status.running_pid(place) == 0
    status.Lock(place).release()


SUPERVISOR = """
import sys
from pathlib import Path
from beffroi.lib.config import Config
from beffroi.lib.process import Process
from beffroi.supervise import status
from beffroi.supervise.supervisor import Supervisor

place = Config(state=Path(sys.argv[1]))
lock = status.Lock(place)
mark = place.state / "child.mark"
child = Process("child", (sys.executable, "-c", sys.argv[2], str(mark)), lambda: "" if mark.exists() else "wait",
                stop_timeout_s=0.5)
supervisor = Supervisor(place, [child], say=lambda text: None)
with supervisor.signals():
    supervisor.start()
    supervisor.wait_ready()
    supervisor.wait(list)
    supervisor.stop()
"""


def test_what_ends_by_a_date_is_looked_at_while_the_centre_runs_and_a_failure_ends_nothing(
    place: Config, run: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "STATUS_EVERY_S", 0.01)
    monkeypatch.setattr(supervising, "KEEP_UP_EVERY_S", 0.0)
    supervisor = run(sleeper(place, "one"))
    assert supervisor.wait_ready()
    answers: Iterator[list[str] | OSError] = iter([["44 more days"], OSError("disk full"), ["43 more days"]])

    def keep_up() -> list[str]:
        answer = next(answers, None)
        if answer is None:
            os.kill(os.getpid(), signal.SIGTERM)
            return supervisor.status.notices
        if isinstance(answer, OSError):
            raise answer
        return answer

    with supervisor.signals():
        supervisor.wait(keep_up)
    found = status.read(place)
    assert found is not None and found.notices == ["43 more days"]


@pytest.fixture
def other(place: Config) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own, ready."""
    started = subprocess.Popen(
        (sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(place.state), STUBBORN)
    )
    until(status.ready_path(place).exists, "the centre is ready")
    yield started
    started.kill()
    started.wait()
    children.end_leftovers(status.directory(place) / "children.json", timeout_s=0.5)


def test_what_a_killed_supervisor_left_is_recognised_and_ended(
    place: Config, other: subprocess.Popen[bytes]
) -> None:
    found = status.read(place)
    assert found is not None
    session = found.processes[0].pid
    other.kill()
    other.wait()
    assert len(children.family(session)) == 2, "mail must go on when the supervisor dies"
    assert status.running_pid(place) == 0
    assert children.end_leftovers(status.directory(place) / "children.json", timeout_s=0.5) == ["child"]
    assert not children.family(session)


def test_workers_are_ended_even_when_their_parent_died_too(
    place: Config, other: subprocess.Popen[bytes]
) -> None:
    found = status.read(place)
    assert found is not None
    session = found.processes[0].pid
    other.kill()
    other.wait()
    os.kill(session, signal.SIGKILL)
    until(lambda: len(children.family(session)) == 1, "only its child is left")
    assert children.end_leftovers(status.directory(place) / "children.json", timeout_s=0.5) == ["child"]
    assert not children.family(session)


def test_a_number_that_another_process_has_now_is_left_alone(place: Config) -> None:
    innocent = subprocess.Popen(
        (sys.executable, "-c", "import time; time.sleep(600)"), start_new_session=True
    )
    try:
        path = status.directory(place) / "children.json"
        old = children.start_ticks(innocent.pid) - 1
        children.write_records(path, [children.Record("gone", innocent.pid, old, clock.boot())])
        assert children.end_leftovers(path, timeout_s=0.1) == []
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_a_termination_signal_stops_everything_in_order(
    place: Config, other: subprocess.Popen[bytes]
) -> None:
    found = status.read(place)
    assert found is not None
    assert stop_running(place, timeout_s=PATIENCE_S)
    assert other.wait() == 0
    assert not children.family(found.processes[0].pid)


@pytest.mark.skipif(
    subprocess.run(("unshare", "--net", "true"), check=False, stderr=subprocess.DEVNULL).returncode != 0,
    reason="this machine allows no network namespace",
)
def test_a_process_without_network_sees_none_and_is_ended_as_any_other(
    place: Config, run: Callable[..., Supervisor]
) -> None:
    supervisor = run(sleeper(place, "alone", ALONE, network=False), sleeper(place, "usual", ALONE))
    assert supervisor.wait_ready()
    assert (place.state / "alone.mark").read_text() == "lo"
    here = sorted(
        line.split(":")[0].strip() for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]
    )
    assert (place.state / "usual.mark").read_text() == " ".join(here)
    pid = next(one.pid for one in supervisor.status.processes if one.name == "alone")
    supervisor.stop()
    assert not Path(f"/proc/{pid}").exists()

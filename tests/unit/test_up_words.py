"""What `./beffroi` says and answers: while a centre is prepared or cannot write, of refused files, and to `remove`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from beffroi.cli import __main__ as cli
from beffroi.cli import mail, remove, report, up
from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.engines import patterns
from beffroi.mail.engines.layout import Owner
from beffroi.mail.importing.turns import turn
from beffroi.supervise import accounts, children, status

from tests.waiting import until


@pytest.fixture
def place() -> Iterator[Config]:
    with tempfile.TemporaryDirectory(prefix="bf-") as name:  # short enough for the sockets beneath it
        (Path(name) / "beffroi.toml").touch()
        yield Config(state=Path(name))


@pytest.fixture
def running(place: Config) -> Iterator[status.Lock]:
    lock = status.Lock(place)
    yield lock
    lock.release()


def written(place: Config, *, pid: int, age_s: int = 0) -> None:
    one = status.ProcessStatus("web", "healthy")
    found = status.CentreStatus(pid, str(place.state), 0, ready=True, written_at=clock.epoch_s() - age_s)
    found.processes.append(one)
    status.write(status.status_path(place), found, draft_directory=status.directory(place))


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("before", [True, False])
def test_while_a_centre_is_prepared_nothing_of_an_earlier_run_is_shown(
    place: Config, capsys: pytest.CaptureFixture[str], before: bool
) -> None:
    if before:
        written(place, pid=os.getpid() + 1)
    assert report.main(["--state", str(place.state)]) == 1
    said = capsys.readouterr().out
    assert "is being prepared" in said and "healthy" not in said
    assert report.main(["--state", str(place.state), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["running"], found["status"]) == (True, None)


@pytest.mark.usefixtures("running")
def test_a_status_that_is_not_written_any_more_is_no_good_news(
    place: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    written(place, pid=os.getpid())
    assert report.main(["--state", str(place.state)]) == 0
    capsys.readouterr()
    written(place, pid=os.getpid(), age_s=300)
    assert report.main(["--state", str(place.state)]) == 1
    assert re.search(r" 3\d\d s ago", capsys.readouterr().out)


LOCKS = """
import fcntl, os, sys
from pathlib import Path
from beffroi.lib.config import Config
from beffroi.supervise import status

os.setuid(65534)
place = Config(state=Path(sys.argv[1]))
for path in status.directory(place).iterdir():
    try:
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass
print(status.running_pid(place), flush=True)
sys.stdin.read()
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_any_user_sees_that_a_centre_runs_and_none_keeps_it_from_starting(place: Config) -> None:
    place.state.chmod(0o755)
    first = status.Lock(place)
    argv = (sys.executable, "-c", LOCKS, str(place.state))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None and other.stdout is not None
        assert int(other.stdout.readline()) == os.getpid()
        first.release()
        assert status.running_pid(place) == 0
    status.Lock(place).release()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None and other.stdout is not None
        assert int(other.stdout.readline()) == 0
        status.Lock(place).release()


@pytest.mark.skipif(shutil.which("rspamd") is None, reason="rspamd is not installed")
def test_what_is_there_to_be_locked_is_open_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(state=tmp_path)
    config.run.mkdir()
    monkeypatch.setattr(patterns, "CACHE", tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(patterns, "_compile", lambda *_of: None)
    locks = (tmp_path / "cache" / "lock", config.run / "import-mbx_1.lock")
    for path in locks:
        path.touch(0o644)  # of an earlier version
    patterns._compiled(tmp_path, Owner(os.getuid(), os.getgid()))
    with turn(config, "mbx_1", wait=False) as mine, turn(config, "mbx_1", wait=False) as other:
        assert (mine, other) == (True, False)
    assert [path.stat().st_mode & 0o777 for path in locks] == [0o600, 0o600]


def test_a_number_that_another_process_has_now_is_no_centre(place: Config) -> None:
    held = status.Lock(place)
    before = children.recorded("supervisor", os.getpid())
    children.write_records(status.running_path(place), [replace(before, start_ticks=before.start_ticks - 1)])
    assert status.running_pid(place) == 0
    held.release()


@pytest.mark.parametrize("text", ["", 'listen = "*"\n', 'user = "root"\n'])
def test_settings_that_would_run_the_pages_as_root_are_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    with tempfile.TemporaryDirectory(prefix="bfp-") as state:
        Path(state).chmod(0o755)
        Path(state, "beffroi.toml").write_text(text)
        with pytest.raises(SettingInvalid, match=r"Setting user .* as root"):
            up.main(["--state", state])


@pytest.mark.parametrize("target", ["987", "9" * 40, "/nonexistent/ready.json"])
def test_a_place_for_the_status_that_is_not_there_is_refused_before_the_start(
    capsys: pytest.CaptureFixture[str], target: str
) -> None:
    with pytest.raises(SystemExit):
        up.main(["--json-ready", target])
    assert "argument --json-ready" in capsys.readouterr().err


def test_the_status_on_the_standard_output_leaves_it_open(place: Config) -> None:
    script = (
        "import argparse, sys; from pathlib import Path; from beffroi.cli import up;"
        "from beffroi.lib.config import Config; from beffroi.supervise.supervisor import Supervisor;"
        "config = Config(state=Path(sys.argv[1])); (config.state / 'secrets').mkdir();"
        "up._ready(config, Supervisor(config, [], say=print), argparse.Namespace(json_ready='1', check=False), False)"
    )
    done = subprocess.run(
        (sys.executable, "-c", script, str(place.state)), check=False, capture_output=True, text=True
    )
    first, *others = done.stdout.splitlines()
    assert json.loads(first)["processes"] == [] and others[-1] == "Ctrl-C stops everything.", done.stderr


def test_accounts_that_somebody_emptied_are_none_and_end_nothing(
    place: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    place.secrets.mkdir()
    for text in ("", "{}", "null", '{"accounts": [{}]}'):
        accounts.path(place).write_text(text)
        assert report.main(["--state", str(place.state)]) == 1
    assert "does not run" in capsys.readouterr().out
    assert cli.main(["status", "--accounts", "--state", str(place.state)]) == 1
    assert "No demonstration accounts" in capsys.readouterr().err


def test_a_file_that_the_system_refuses_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "beffroi.toml").touch()
    assert cli.main(["keys", "new", "--state", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"beffroi: {tmp_path}/secrets/") and said.count("\n") == 1


@pytest.mark.parametrize(
    "place", [*cli.VERBS.values(), *(place for place, _told in mail._ELSEWHERE.values())]
)
def test_every_verb_leads_to_a_function(place: str) -> None:
    module, _, function = place.partition(".")
    assert callable(getattr(import_module(f"beffroi.cli.{module}"), function))


def test_what_is_typed_in_another_encoding_is_named_as_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("beffroi.cli.lists.main", lambda words: len(words[0].encode()))
    assert cli.main(["lists", "march\udce9"]) == 1
    assert "not in UTF-8" in capsys.readouterr().err


GIVES_UP_ROOT = """
import os, signal, sys
from pathlib import Path
from beffroi.cli.entering import new_file

with new_file(Path(sys.argv[1])) as out:
    if os.getuid() == 0:
        os.setuid(65534)
    out.write("half")
    out.flush()
    exec(sys.argv[2])
"""


@pytest.mark.parametrize(
    ("ends", "left"),
    [
        ("pass", "half"),
        ("sys.exit(1)", None),
        ("raise OSError(28, os.strerror(28))", None),
        ("os.kill(os.getpid(), signal.SIGKILL)", None),
    ],
)
def test_a_file_for_a_person_is_there_whole_or_not_at_all(
    tmp_path: Path, ends: str, left: str | None
) -> None:
    path = tmp_path / "-f of 'one'.json"
    done = subprocess.run(
        (sys.executable, "-c", GIVES_UP_ROOT, str(path), ends), check=False, capture_output=True, text=True
    )
    assert (done.returncode == 0) is (left is not None), done.stderr
    until(lambda: path.exists() is (left is not None), "who asked took back what was not finished")
    assert left is None or path.read_text() == left


def test_a_software_key_for_which_there_is_no_room_is_told_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "software.key"
    argv = (sys.executable, "-m", "beffroi.cli", "releases", "key", str(path))
    full = ("bash", "-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "bash", *argv)
    done = subprocess.run(full, check=False, capture_output=True, text=True)
    assert done.returncode == 1 and "cannot be used" in done.stderr and not done.stdout, done.stderr
    assert not path.exists()
    assert (
        subprocess.run(argv, check=True, capture_output=True, text=True).stdout and path.stat().st_size > 40
    )


def test_a_centre_is_removed_with_its_settings_last_and_what_links_lead_to_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, disk = tmp_path / "state", tmp_path / "disk"
    for folder in (state, disk, state / "zone"):
        folder.mkdir()
    (disk / "mail").touch()
    for name in ("beffroi.toml", "zone/one"):
        (state / name).touch()
    (state / "maildir").symlink_to(disk)
    with monkeypatch.context() as cut:
        cut.setattr("shutil.rmtree", lambda *_args, **_more: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            remove.delete(state)
    assert (state / "beffroi.toml").exists()
    (state / "maildir").symlink_to(disk)
    assert remove.delete(state) == [("maildir", disk)]
    assert not state.exists() and (disk / "mail").exists()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_disk_of_its_own_is_left_empty(tmp_path: Path) -> None:
    subprocess.run(("mount", "-t", "tmpfs", "none", tmp_path), check=True)
    try:
        (tmp_path / "beffroi.toml").touch()
        (tmp_path / "mail").mkdir()
        assert remove.delete(tmp_path) == []
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(("umount", tmp_path), check=True)


def test_a_second_centre_is_not_removed_from_under_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "beffroi.toml").touch()
    monkeypatch.setattr(remove, "DEFAULT_STATE", first)
    with pytest.raises(remove.OtherCentre):
        remove.main(["--yes", "--state", str(second)])
    assert (second / "beffroi.toml").exists()

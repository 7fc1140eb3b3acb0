"""New software of a box with real packages and the real dpkg in a root of its own: installed, proved, taken back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from beffroi_box import update
from beffroi_box.kernel import Kernel
from beffroi_box.software import Plan, Shelf, UpdateFailed
from beffroi_box.status import Report
from beffroi_box.update import Installer, agent_healthy

from tests.fixtures_box_software import installed, installer, package, planned, root, state

__all__ = ["root", "state"]
pytestmark = pytest.mark.root


def write_status(state: Path, *, clock_off_s: int, run: str = "former") -> None:
    """What a sound agent writes each second, by the machine's clock."""
    report = Report(written_at=int(time.time()) + clock_off_s, run=run, connected=True)
    draft = state / "status.json.new"
    draft.write_bytes(msgspec.json.encode(report))
    draft.replace(state / "status.json")


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kernel, "has_rules", lambda kernel: True)


@pytest.mark.usefixtures("rules")
def test_a_clock_that_is_set_back_meanwhile_keeps_no_software_that_does_not_start(
    state: Path, root: Path, tmp_path: Path
) -> None:
    planned(state, package(tmp_path, "2.0"), 5, "2.0")
    write_status(state, clock_off_s=3600)
    Installer(state, root=root, healthy=agent_healthy(state), health_s=0.3).run()
    assert installed(root) == "1.0"


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize("is_started", [True, False], ids=["started", "not started"])
def test_what_proves_software_is_its_own_agent_whatever_the_clock_and_not_the_former_one_that_goes_on(
    state: Path, root: Path, tmp_path: Path, *, is_started: bool
) -> None:
    planned(state, package(tmp_path, "2.0"), 5, "2.0")
    write_status(state, clock_off_s=0)
    ended, version = threading.Event(), root / "usr/lib/beffroi-box/version"

    def agent() -> None:
        while not ended.wait(0.02):
            is_new = is_started and version.exists() and version.read_text() == "2.0"
            write_status(state, clock_off_s=-3600 if is_new else 0, run="new" if is_new else "former")

    thread = threading.Thread(target=agent)
    thread.start()
    try:
        health_s = 60 if is_started else 1
        plan = Installer(state, root=root, healthy=agent_healthy(state), health_s=health_s).run()
    finally:
        ended.set()
        thread.join()
    assert (plan.outcome, installed(root)) == (("installed", "2.0") if is_started else ("again", "1.0"))


def test_healthy_software_stays_and_its_number_is_the_floor(state: Path, root: Path, tmp_path: Path) -> None:
    (root / "etc/beffroi-box.conf").write_text("changed here\n")
    shelf = planned(state, package(tmp_path, "2.0"), 5, "2.0")
    plan = installer(state, root, lambda: installed(root) == "2.0").run()
    assert (plan.outcome, installed(root), shelf.floor()) == ("installed", "2.0", 5)
    assert (root / "etc/beffroi-box.conf").read_text() == "changed here\n"
    with pytest.raises(UpdateFailed):
        installer(state, root, lambda: True).run()  # it is decided


def test_software_that_is_not_healthy_is_replaced_by_what_ran_before_without_a_network(
    state: Path, root: Path, tmp_path: Path
) -> None:
    (root / "etc/beffroi-box.conf").write_text("changed here\n")
    shelf = planned(state, package(tmp_path, "2.0"), 5, "2.0")
    plan = installer(state, root, lambda: installed(root) == "1.0").run()
    assert (plan.outcome, plan.reason, installed(root)) == ("rolled_back", "not healthy", "1.0")
    assert shelf.floor() == 5  # it is not tried again
    assert (root / "usr/lib/beffroi-box/only-1.0").exists()
    assert not (root / "usr/lib/beffroi-box/only-2.0").exists()
    assert (root / "usr/lib/beffroi-box/link").is_symlink()
    assert (root / "etc/beffroi-box.conf").read_text() == "changed here\n"


def test_a_package_that_dpkg_refuses_leaves_the_former_one(state: Path, root: Path, tmp_path: Path) -> None:
    planned(state, package(tmp_path, "2.0", broken=True), 5, "2.0")
    plan = installer(state, root, lambda: True).run()
    assert (plan.outcome, installed(root)) == ("rolled_back", "1.0")


def test_while_another_program_changes_packages_an_update_waits_and_is_not_called_refused_by_dpkg(
    state: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = planned(state, package(tmp_path, "2.0"), 5, "2.0")
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    command = [sys.executable, "-c", hold, str(root / "var/lib/dpkg/lock-frontend")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as apt:
        assert apt.stdout is not None and apt.stdout.readline()
        monkeypatch.setattr(update, "BUSY_S", 0.0)
        with pytest.raises(UpdateFailed, match="packages"):
            installer(state, root, lambda: True).run()
        assert shelf.plan() == Plan(5, "2.0") and not shelf.floor(), "it is tried again"
        monkeypatch.setattr(update, "BUSY_S", 60.0)
        threading.Timer(1.0, apt.kill).start()
        assert installer(state, root, lambda: True).run().outcome == "installed"
    assert installed(root) == "2.0"


@pytest.mark.parametrize("content", [b"no package", b""])
def test_what_is_no_package_of_this_name_changes_nothing(
    state: Path, root: Path, tmp_path: Path, content: bytes
) -> None:
    for number, wrong in enumerate((content, package(tmp_path, "9.0", name="another")), start=1):
        shelf = planned(state, wrong, number, "9.0")
        plan = installer(state, root, lambda: True).run()
        assert (plan.outcome, installed(root)) == ("refused", "1.0")
        shelf.clear()
    assert not (root / "usr/lib/beffroi-box/only-9.0").exists()


def test_an_older_number_is_refused(state: Path, root: Path, tmp_path: Path) -> None:
    Shelf(state).raise_floor(5)
    planned(state, package(tmp_path, "0.9"), 4, "0.9")
    assert installer(state, root, lambda: True).run().outcome == "refused"
    assert installed(root) == "1.0"


def test_the_way_back_is_on_the_disk_before_anything_is_installed(
    state: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = planned(state, package(tmp_path, "2.0"), 5, "2.0")
    fsync, synced = os.fsync, set[int]()

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    one = installer(state, root, lambda: True)
    install = one._dpkg

    def checked(*arguments: str) -> None:
        assert {shelf.former.stat().st_ino, shelf.place.stat().st_ino} <= synced
        install(*arguments)

    monkeypatch.setattr(one, "_dpkg", checked)
    assert one.run().outcome == "installed"


def test_a_number_counts_as_tried_wherever_the_attempt_was_cut_off(
    state: Path, root: Path, tmp_path: Path
) -> None:
    shelf = planned(state, package(tmp_path, "2.0"), 5, "2.0")
    installer(state, root, lambda: False)._pack_present()  # the power goes here
    plan = installer(state, root, lambda: installed(root) == "1.0").run()
    assert (plan.outcome, installed(root), shelf.floor()) == ("rolled_back", "1.0", 5)


def test_an_update_cut_off_after_dpkg_is_ended_at_the_next_start(
    state: Path, root: Path, tmp_path: Path
) -> None:
    shelf = planned(state, package(tmp_path, "2.0"), 5, "2.0")
    cut = installer(state, root, lambda: False)
    cut._check()
    cut._pack_present()
    shelf.raise_floor(5)
    cut._dpkg("--install", str(shelf.next))  # the power goes here
    assert installed(root) == "2.0"
    plan = installer(state, root, lambda: installed(root) == "1.0").run()
    assert (plan.outcome, installed(root)) == ("rolled_back", "1.0")


def test_a_damaged_floor_falls_back_to_its_copy(state: Path) -> None:
    shelf = Shelf(state)
    shelf.raise_floor(5)
    shelf.raise_floor(6)
    (shelf.place / "floor").write_bytes(b"damaged")
    assert shelf.floor() == 5
    shutil.rmtree(shelf.place)
    assert shelf.floor() == 0

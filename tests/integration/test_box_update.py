"""New software of a box with real packages and the real dpkg in a root of its own: installed, proved, taken back."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import shutil
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from beffroi_box.errors import CentreUnreachable
from beffroi_box.facts import FactSpool
from beffroi_box.kernel import Kernel
from beffroi_box.software import Plan, Shelf, UpdateFailed
from beffroi_box.status import Report
from beffroi_box.update import Installer, agent_healthy
from beffroi_box.updater import Updater
from beffroi_protocol.facts import FactBatch, SoftwareUpdated
from beffroi_protocol.messages import Release, decode

NOW = 1_800_000_000
pytestmark = pytest.mark.root


def package(place: Path, version: str, *, name: str = "beffroi-box", broken: bool = False) -> bytes:
    tree = place / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/lib/beffroi-box").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "usr/lib/beffroi-box/version").write_text(version)
    (tree / "usr/lib/beffroi-box/link").symlink_to("version")
    (tree / f"usr/lib/beffroi-box/only-{version}").write_text("x")
    (tree / "etc/beffroi-box.conf").write_text(f"from {version}\n")
    (tree / "DEBIAN/conffiles").write_text("/etc/beffroi-box.conf\n")
    depends = "Depends: a-package-that-is-not-there\n" if broken else ""
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Tests <t@example.org>\n"
        f"{depends}Description: the software of a box\n of the tests\n"
    )
    out = place / f"{name}-{version}.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", str(tree), str(out)], check=True, capture_output=True
    )
    return out.read_bytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dpkg database of its own with version 1.0 installed."""
    made = tmp_path / "root"
    for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"):
        (made / name).mkdir(parents=True)
    (made / "var/lib/dpkg/status").touch()
    (made / "var/lib/dpkg/available").touch()
    (tmp_path / "1.0.deb").write_bytes(package(tmp_path, "1.0"))
    subprocess.run(
        ["dpkg", f"--root={made}", "--install", str(tmp_path / "1.0.deb")], check=True, capture_output=True
    )
    assert installed(made) == "1.0"
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    (made / "software").mkdir(parents=True)
    (made / "spool").mkdir()
    return made


def installed(root: Path) -> str:
    listed = subprocess.run(
        ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Version} ${db:Status-Status}", "beffroi-box"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    on_disk = (root / "usr/lib/beffroi-box/version").read_text()
    assert listed == [on_disk, "installed"]
    return on_disk


def planned(state: Path, content: bytes, number: int, version: str) -> Shelf:
    shelf = Shelf(state)
    shelf.next.write_bytes(content)
    shelf.save_plan(Plan(number, version))
    return shelf


def installer(state: Path, root: Path, healthy: Callable[[], bool]) -> Installer:
    return Installer(state, root=root, healthy=lambda _: healthy(), health_s=0.3)


def write_status(state: Path, *, clock_off_s: int, run: str = "former") -> None:
    """What a sound agent writes each second, by the machine's clock."""
    report = Report(written_at=int(time.time()) + clock_off_s, run=run, connected=True)
    (state / "status.json").write_bytes(msgspec.json.encode(report))


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


def test_an_outage_during_the_proof_does_not_burn_the_number(
    updater: Updater, launched: list[Path], state: Path, root: Path, tmp_path: Path
) -> None:
    content = package(tmp_path, "2.0")
    planned(state, content, 5, "2.0")
    plan = installer(
        state, root, lambda: False
    ).run()  # the centre is away: the former one reaches nobody either
    assert (plan.outcome, plan.tries, installed(root)) == ("again", 1, "1.0")
    updater._tell()
    updater.step()
    assert (told(updater), launched) == ([], []), "it waits for the centre"
    updater.offer(release(content))
    updater.step()
    assert launched == [state]
    assert installer(state, root, lambda: True).run().outcome == "installed"
    assert installed(root) == "2.0"
    updater._tell()
    assert told(updater) == [("installed", "")]


def test_such_attempts_are_bounded_and_a_later_release_takes_their_place(  # noqa: PLR0917 - fixtures
    updater: Updater, centre: Centre, launched: list[Path], state: Path, root: Path, tmp_path: Path
) -> None:
    content = package(tmp_path, "2.0")
    planned(state, content, 5, "2.0")
    for outcome in ("again", "again", "rolled_back"):
        assert installer(state, root, lambda: False).run().outcome == outcome
        assert installed(root) == "1.0"
        if outcome == "again":
            updater.offer(release(content))
            updater.step()
    updater._tell()
    assert told(updater) == [("rolled_back", "not healthy")]
    later = package(tmp_path, "3.0")
    planned(state, content, 6, "2.0").save_plan(Plan(6, "2.0", "again", tries=1))
    centre.served[hashlib.sha256(later).hexdigest()] = later
    updater.offer(release(later, 7))
    updater.step()
    assert Shelf(state).plan() == Plan(7, "2.0")


# -- the agent's side --------------------------------------------------------------------------------------


class Centre:
    """Serves files as the centre does: zlib, by digest of the content."""

    def __init__(self) -> None:
        self.served: dict[str, bytes] = {}
        self.asked = 0

    def get_file(self, sha256: str, *, start: int) -> http.client.HTTPResponse:
        self.asked += 1
        if sha256 not in self.served:
            raise CentreUnreachable("tests")
        body = zlib.compress(self.served[sha256])
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()

        class Socket:
            def makefile(self, mode: str) -> io.BytesIO:
                return io.BytesIO(head + body)

        response = http.client.HTTPResponse(Socket())  # type: ignore[arg-type]
        response.begin()
        return response

    def close(self) -> None:
        pass


def release(content: bytes, number: int = 5, **changes: int | str) -> Release:
    values: dict[str, int | str] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "not_before": NOW - 10,
        "expires_at": NOW + 10,
    }
    return Release(1, number, "2.0", issued_at=NOW, **{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def centre() -> Centre:
    return Centre()


@pytest.fixture
def launched() -> list[Path]:
    return []


@pytest.fixture
def updater(state: Path, centre: Centre, launched: list[Path]) -> Updater:
    return Updater(state, centre, FactSpool(state / "spool", "box_1"), lambda: NOW, launched.append)


def told(updater: Updater) -> list[tuple[str, str]]:
    body = updater._spool.take()
    facts = decode(body, FactBatch).facts if body else ()
    return [(f.outcome, f.reason) for f in facts if isinstance(f, SoftwareUpdated)]


def test_a_release_is_fetched_checked_installed_and_told(  # noqa: PLR0917 - fixtures
    updater: Updater, centre: Centre, launched: list[Path], state: Path, root: Path, tmp_path: Path
) -> None:
    content = package(tmp_path, "2.0")
    updater.offer(release(content))
    updater.step()
    assert launched == []  # the centre did not answer: it waits
    centre.served[hashlib.sha256(content).hexdigest()] = content
    updater.step()
    assert launched == [state]
    installer(state, root, lambda: True).run()
    updater._tell()
    assert told(updater) == [("installed", "")]
    assert installed(root) == "2.0"
    asked = centre.asked
    updater.offer(release(content))
    updater.step()
    assert centre.asked == asked  # the same number again is nothing new


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"expires_at": NOW - 1, "not_before": NOW - 5}, "expired"), ({"size_bytes": 100}, "digest")],
)
def test_what_does_not_fit_is_refused_and_told_once(  # noqa: PLR0917 - fixtures
    updater: Updater, centre: Centre, launched: list[Path], state: Path, changes: dict[str, int], reason: str
) -> None:
    content = b"x" * 5000
    centre.served[hashlib.sha256(content).hexdigest()] = content
    updater.offer(release(content, **changes))
    updater.step()
    updater.step()
    assert launched == []
    assert told(updater) == [("refused", reason)]
    assert not Shelf(state).next.exists()


def test_bytes_of_another_digest_are_never_written(
    updater: Updater, centre: Centre, launched: list[Path], state: Path
) -> None:
    wanted = release(b"good" * 100)
    centre.served[wanted.sha256] = b"evil" * 100
    updater.offer(wanted)
    updater.step()
    assert launched == []
    assert told(updater) == [("refused", "digest")]
    assert not Shelf(state).next.exists()


def test_a_lower_number_than_ever_tried_and_one_too_early_are_left(
    updater: Updater, centre: Centre, launched: list[Path], state: Path
) -> None:
    content = b"x" * 100
    centre.served[hashlib.sha256(content).hexdigest()] = content
    Shelf(state).raise_floor(5)
    for one in (release(content, 5), release(content, 4), release(content, 6, not_before=NOW + 5)):
        updater.offer(one)
        updater.step()
    assert (launched, centre.asked) == ([], 0)


def test_a_full_disk_is_told_once_and_the_release_is_taken_when_there_is_room(
    updater: Updater, centre: Centre, launched: list[Path], state: Path
) -> None:
    content = bytes(range(256)) * 400
    centre.served[hashlib.sha256(content).hexdigest()] = content
    place = str(state / "software")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place], check=True)
    try:
        updater.offer(release(content))
        updater.step()
        updater.step()
        assert launched == []
        assert told(updater) == [("refused", "it cannot be written here: ENOSPC")]
    finally:
        subprocess.run(["umount", place], check=True)
    updater.step()
    assert launched == [state]


def test_without_room_for_the_way_back_the_number_stays_free_and_is_taken_when_there_is_some(  # noqa: PLR0917 - fixtures
    updater: Updater, centre: Centre, launched: list[Path], state: Path, root: Path, tmp_path: Path
) -> None:
    content = package(tmp_path, "2.0")
    centre.served[hashlib.sha256(content).hexdigest()] = content
    (root / "usr/lib/beffroi-box/version").write_bytes(b"1.0".ljust(300_000))
    place = str(state / "software")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], check=True)
    try:
        updater.offer(release(content))
        updater.step()
        assert launched == [state]
        plan = installer(state, root, lambda: True).run()
        assert (plan.outcome, plan.reason) == ("again", "it cannot be written here: ENOSPC")
        shelf = Shelf(state)
        assert shelf.floor() == 0 and {one.name for one in shelf.place.iterdir()} <= {
            "next.deb", "plan", "plan.previous",
        }  # fmt: skip
        for _ in range(2):
            updater._tell()
            updater.step()
        assert told(updater) == [("refused", plan.reason)] and launched == [state]
        subprocess.run(["mount", "-o", "remount,size=4m", place], check=True)
        updater._launched_at = float("-inf")
        updater.step()
        assert launched == [state, state]
        (root / "usr/lib/beffroi-box/version").write_text("1.0")
        assert installer(state, root, lambda: True).run().outcome == "installed"
        assert installed(root) == "2.0" and shelf.floor() == 5
        updater._tell()
        assert shelf.plan() is None, "it is told"
    finally:
        subprocess.run(["umount", place], check=True)


def test_an_attempt_that_waits_for_room_ends_with_its_release(
    updater: Updater, launched: list[Path], state: Path
) -> None:
    planned(state, b"x", 5, "2.0").save_plan(Plan(5, "2.0", "again", "it cannot be written here: ENOSPC"))
    updater.offer(release(b"x", expires_at=NOW))
    updater.step()
    assert launched == [] and Shelf(state).plan() is None
    assert told(updater)[-1] == ("refused", "expired")


def test_a_number_that_was_tried_and_whose_plan_is_lost_is_told(
    updater: Updater, launched: list[Path], state: Path
) -> None:
    Shelf(state).raise_floor(5)
    for _ in range(2):
        updater.offer(release(b"x", 5))
        updater.step()
    assert (launched, told(updater)) == ([], [("refused", "it was tried here before")])


def test_a_damaged_floor_falls_back_to_its_copy(state: Path) -> None:
    shelf = Shelf(state)
    shelf.raise_floor(5)
    shelf.raise_floor(6)
    (shelf.place / "floor").write_bytes(b"damaged")
    assert shelf.floor() == 5
    shutil.rmtree(shelf.place)
    assert shelf.floor() == 0

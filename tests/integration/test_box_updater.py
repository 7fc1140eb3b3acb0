"""How an agent takes new software: fetched, checked, handed to the installer with the real dpkg, told; or refused."""

from __future__ import annotations

import hashlib
import http.client
import io
import subprocess
import threading
import zlib
from pathlib import Path

import pytest
from beffroi_box.errors import CentreUnreachable
from beffroi_box.facts import FactSpool
from beffroi_box.software import Plan, Shelf
from beffroi_box.updater import Updater
from beffroi_protocol.facts import FactBatch, SoftwareUpdated
from beffroi_protocol.messages import Release, decode

from tests.fixtures_box_software import installed, installer, package, planned, root, state

__all__ = ["root", "state"]
NOW = 1_800_000_000
pytestmark = pytest.mark.root


class Centre:
    """Serves files as the centre does: zlib, by digest of the content."""

    def __init__(self) -> None:
        self.served: dict[str, bytes] = {}
        self.asked = 0

    def serve(self, content: bytes) -> None:
        self.served[hashlib.sha256(content).hexdigest()] = content

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


def test_an_outage_during_the_proof_does_not_burn_the_number(
    updater: Updater, launched: list[Path], state: Path, root: Path, tmp_path: Path
) -> None:
    content = package(tmp_path, "2.0")
    planned(state, content, 5, "2.0")
    # The centre is away: the former one reaches nobody either.
    plan = installer(state, root, lambda: False).run()
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
    centre.serve(later)
    updater.offer(release(later, 7))
    updater.step()
    assert Shelf(state).plan() == Plan(7, "2.0")


def test_a_release_is_fetched_checked_installed_and_told(  # noqa: PLR0917 - fixtures
    updater: Updater, centre: Centre, launched: list[Path], state: Path, root: Path, tmp_path: Path
) -> None:
    content = package(tmp_path, "2.0")
    updater.offer(release(content))
    updater.step()
    assert launched == []  # the centre did not answer: it waits
    centre.serve(content)
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
    centre.serve(content)
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
    centre.serve(content)
    Shelf(state).raise_floor(5)
    for one in (release(content, 5), release(content, 4), release(content, 6, not_before=NOW + 5)):
        updater.offer(one)
        updater.step()
    assert (launched, centre.asked) == ([], 0)


def test_a_full_disk_is_told_once_and_the_release_is_taken_when_there_is_room(
    updater: Updater, centre: Centre, launched: list[Path], state: Path
) -> None:
    content = bytes(range(256)) * 400
    centre.serve(content)
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


def test_on_a_disk_that_takes_nothing_any_more_an_outcome_is_told_once(updater: Updater, state: Path) -> None:
    place = str(state / "software")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    try:
        planned(state, b"x", 5, "2.0").save_plan(Plan(5, "2.0", "installed"))
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        for _ in range(3):
            with pytest.raises(OSError, match="Read-only"):
                updater._tell()
        assert told(updater) == [("installed", "")]
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_release_that_does_not_fit_is_told_once_by_a_box_whose_disk_can_only_be_read(
    centre: Centre, tmp_path: Path
) -> None:
    disk, stopping = tmp_path / "disk", threading.Event()
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", disk], check=True)
    try:
        one = Updater(disk, centre, FactSpool(tmp_path / "spool", "box_1"), lambda: NOW)
        for _ in range(2):  # the centre offers it with each connection until it hears of it
            one.offer(release(b"x" * 100, expires_at=NOW - 1, not_before=NOW - 5))
            with pytest.raises(OSError, match="Read-only"):
                one.run(stopping)
        assert told(one) == [("refused", "expired")]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_without_room_for_the_way_back_the_number_stays_free_and_is_taken_when_there_is_some(  # noqa: PLR0917 - fixtures
    updater: Updater, centre: Centre, launched: list[Path], state: Path, root: Path, tmp_path: Path
) -> None:
    content = package(tmp_path, "2.0")
    centre.serve(content)
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

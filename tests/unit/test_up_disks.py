"""What `status` says of each disk that a centre writes to: full, out of files, read-only."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from beffroi.lib.config import Config
from beffroi.supervise import checks

Mount = Callable[[Path, str], None]


@pytest.fixture
def place(tmp_path: Path) -> Config:
    (tmp_path / "state" / "drive" / "objects").mkdir(parents=True)
    return Config(state=tmp_path / "state", backup_path=str(tmp_path / "copies"))


@pytest.fixture
def mount() -> Iterator[Mount]:
    made: list[Path] = []

    def mounted(folder: Path, options: str) -> None:
        folder.mkdir(exist_ok=True)
        subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        made.append(folder)

    yield mounted
    for folder in made:
        subprocess.run(["/bin/umount", folder], check=True)


def test_of_a_disk_with_room_nothing_is_said(place: Config) -> None:
    assert checks.low_disk(place) == ""


@pytest.mark.root
@pytest.mark.parametrize("where", ["state/mailboxes", "state/drive/objects", "copies"])
def test_a_full_disk_beside_that_of_the_state_directory_is_named(
    place: Config, mount: Mount, tmp_path: Path, where: str
) -> None:
    mount(tmp_path / where, "size=8m")
    said = checks.low_disk(place)
    assert f"The disk of {tmp_path / where} has 8 MB free" in said
    assert str(place.state) + " has" not in said
    assert "Next: " in said


@pytest.mark.root
def test_a_disk_that_a_link_leads_to_is_named_once(place: Config, mount: Mount, tmp_path: Path) -> None:
    mount(tmp_path / "elsewhere", "size=8m")
    for name in ("one", "two"):
        (tmp_path / "elsewhere" / name).mkdir()
        (place.state / name).symlink_to(tmp_path / "elsewhere" / name)
    assert checks.low_disk(place).count("MB free") == 1


@pytest.mark.root
def test_a_disk_without_files_left_is_named_although_it_has_room(
    place: Config, mount: Mount, tmp_path: Path
) -> None:
    mount(tmp_path / "state" / "mailboxes", "size=512m,nr_inodes=50")
    said = checks.low_disk(place)
    assert f"{place.state / 'mailboxes'} has room for" in said
    assert "df -i" in said


@pytest.mark.root
def test_a_disk_that_was_mounted_read_only_is_named(place: Config, mount: Mount, tmp_path: Path) -> None:
    mount(tmp_path / "state" / "db", "size=512m,ro")
    said = checks.low_disk(place)
    assert f"{place.state / 'db'} cannot be written" in said
    assert "dmesg" in said

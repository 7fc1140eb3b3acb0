"""What `up` refuses before it starts anything, and what it does not refuse."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from beffroi.lib import spare
from beffroi.lib.config import Config, SettingInvalid, load
from beffroi.supervise import checks


@pytest.mark.root
def test_a_centre_that_is_there_starts_again_on_a_disk_that_files_may_fill_no_further(tmp_path: Path) -> None:
    """Else the next start of the machine would take people's mail from them, too."""
    options = f"size={spare.SPARE_BYTES}"
    subprocess.run(("mount", "-t", "tmpfs", "-o", options, "none", tmp_path), check=True)
    try:
        here = Config(state=tmp_path / "state")
        with pytest.raises(checks.DiskFull, match="100 MB free and 300 MB are needed"):
            checks.check_disk(here)
        here.secrets.mkdir(parents=True)
        checks.check_disk(here)
    finally:
        subprocess.run(("umount", tmp_path), check=True)


@pytest.mark.parametrize("value", ["", "/srv/sauvegardes"])
def test_a_place_of_backups_is_taken(tmp_path: Path, value: str) -> None:
    checks.check_backups(Config(state=tmp_path, backup_path=value, drive_backup_path=value))
    checks.check_backups(Config(state=tmp_path, drive_backup_path="s3://bucket.example/x"))


@pytest.mark.parametrize("setting", ["backup_path", "drive_backup_path"])
def test_a_place_of_backups_that_is_none_is_refused(tmp_path: Path, setting: str) -> None:
    (tmp_path / "beffroi.toml").write_text(f'{setting} = "sauvegardes"\n')
    with pytest.raises(SettingInvalid, match=f"Setting {setting} .* absolute path"):
        checks.check_backups(load(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "scan = true\nlog_days = ?\n",
            r"beffroi.toml cannot be read: Invalid value \(at line 2.*Next: mend it",
        ),
        ('smtp_port = "25"', "Setting smtp_port .* must be a whole number"),
        ("mail_name = 25", "Setting mail_name .* must be a text in quotes"),
        ("scan = 0", "Setting scan .* must be true or false"),
    ],
)
def test_a_settings_file_with_a_fault_says_where_and_what_it_takes(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "beffroi.toml").write_text(text)
    with pytest.raises(SettingInvalid, match=said):
        load(tmp_path)

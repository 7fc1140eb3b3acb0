"""The centre's certificate authority on the box's disk: damaged, it neither stops a start nor becomes the system's."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi_box.authority import authority, keep_authority
from beffroi_box.client import Centre
from beffroi_box.config import BoxConfig
from beffroi_box.errors import CentreUnreachable

from tests.certificates import self_signed


@pytest.fixture
def config(tmp_path: Path) -> BoxConfig:
    self_signed(tmp_path / "ca.pem", tmp_path / "key.pem", "centre.example")
    return BoxConfig(state=tmp_path, centre="https://centre.example:8445", resolver=False)


def damaged(config: BoxConfig, how: str) -> None:
    path = config.state / "ca.pem"
    data = path.read_bytes()
    path.write_bytes({"zeros": bytes(len(data)), "half": data[: len(data) // 2], "empty": b""}[how])


@pytest.mark.parametrize("how", ["zeros", "half", "empty"])
def test_of_a_damaged_file_its_copy_counts_and_it_is_written_again(config: BoxConfig, how: str) -> None:
    whole = authority(config)
    keep_authority(config)
    damaged(config, how)
    assert authority(config) == whole
    keep_authority(config)
    assert (config.state / "ca.pem").read_text() == whole


@pytest.mark.parametrize("how", ["zeros", "half", "empty"])
def test_without_a_copy_the_box_starts_and_trusts_nobody_instead(config: BoxConfig, how: str) -> None:
    damaged(config, how)
    centre = Centre(config, ("127.0.0.1",))
    assert not centre.reached() and "127.0.0.1" in centre.addresses()
    with pytest.raises(CentreUnreachable):
        centre.open()


def test_a_new_authority_replaces_the_copy(config: BoxConfig) -> None:
    keep_authority(config)
    self_signed(config.state / "ca.pem", config.state / "key.pem", "centre.example")
    new = authority(config)
    keep_authority(config)
    damaged(config, "zeros")
    assert authority(config) == new


def test_who_has_no_file_of_its_own_trusts_the_system_s(tmp_path: Path) -> None:
    assert authority(BoxConfig(state=tmp_path)) == ""

"""A box whose network.toml is damaged comes up all the same, says so, and writes it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi_box import __main__ as command
from beffroi_box.config import load
from beffroi_box.errors import ConfigInvalid
from beffroi_box.found import Found
from beffroi_box.modes import Plan
from beffroi_box.network import Network

PLAN = Plan("router", "enp1s0", "enp2s0", "192.168.213.1/24")
DAMAGED = (b"", b"\xff\xfe", b"wan = ", b'wan = "eth9"\nmode = "rooter"\n', b'cable = "blue"\n', b"wan = 7\n")


@pytest.fixture(autouse=True)
def no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beffroi_box.network._ip", lambda *_words: None)
    monkeypatch.setattr("beffroi_box.network._json", lambda *_words, **_more: [])


def networked(state: Path) -> Network:
    (state / "box.toml").write_text('centre = "https://boitiers.example"\nports = ["lo"]\n')
    network = Network(state, directory=state / "networkd", restart=lambda before: before())
    network._apply(PLAN)
    return network


def test_a_network_that_is_whole_is_no_trouble(tmp_path: Path) -> None:
    networked(tmp_path)
    found = load(tmp_path)
    assert (found.network_trouble, found.mode, found.wan, found.masquerade) == ("", "router", "enp1s0", True)


@pytest.mark.parametrize("text", DAMAGED[1:])
def test_a_damaged_network_is_the_one_that_was_in_force(
    tmp_path: Path, text: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    networked(tmp_path)
    before = load(tmp_path)
    (tmp_path / "network.toml").write_bytes(text)
    found = load(tmp_path)
    assert found.network_trouble and PLAN.wan == found.wan
    assert (found.mode, found.lan, found.masquerade, found.centre) == (
        before.mode, before.lan, before.masquerade, before.centre,
    )  # fmt: skip
    monkeypatch.setattr(command, "guard", lambda _config: None)  # needs the kernel
    monkeypatch.setattr("sys.argv", ["beffroi-box", "--state", str(tmp_path), "boot"])
    assert command.main() == 0
    assert "the box starts as router, internet at enp1s0" in caplog.text


def test_without_any_trace_of_it_the_box_has_its_own_settings(tmp_path: Path) -> None:
    networked(tmp_path)
    (tmp_path / "network.toml").write_bytes(b"\0")
    (tmp_path / "network.json").write_bytes(b"{")
    found = load(tmp_path)
    assert found.network_trouble and (found.mode, found.wan, found.ports) == ("", "wan", ("lo",))


@pytest.mark.parametrize("text", DAMAGED)
def test_network_writes_it_again(tmp_path: Path, text: bytes) -> None:
    network = networked(tmp_path)
    assert network._is_real(PLAN)
    whole = (tmp_path / "network.toml").read_bytes()
    (tmp_path / "network.toml").write_bytes(text)
    assert not network._is_real(PLAN)
    again = Network(tmp_path, directory=tmp_path / "networkd", restart=lambda before: before())
    assert again.found == Found(plan=PLAN)
    again._apply(PLAN)
    assert (tmp_path / "network.toml").read_bytes() == whole and load(tmp_path).network_trouble == ""


def test_the_box_s_own_settings_are_refused_by_name_as_before(tmp_path: Path) -> None:
    networked(tmp_path)
    (tmp_path / "box.toml").write_text("cable = 1\n")
    with pytest.raises(ConfigInvalid, match=r"cable in .*box\.toml"):
        load(tmp_path)
    (tmp_path / "box.toml").write_text("")
    (tmp_path / "network.toml").write_text('network_trouble = "x"\n')
    assert "no such setting" in load(tmp_path).network_trouble

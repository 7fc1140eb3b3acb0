"""A box whose box.toml or network.toml is damaged comes up all the same, and says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi_box import __main__ as command
from beffroi_box.config import BoxConfig, load
from beffroi_box.enforce import site_of
from beffroi_box.errors import CentreUnreachable
from beffroi_box.firstboot import FirstBoot
from beffroi_box.found import Found
from beffroi_box.local import AskEnrol, AskState, Block, State
from beffroi_box.modes import Plan
from beffroi_box.network import Network
from beffroi_box.pagehtml import first_boot_page, state_page, weather
from beffroi_box.pagewords import words
from beffroi_box.ruleset import ruleset
from beffroi_box.store import Identity, Store
from beffroi_protocol.enrolment_code import new_code
from beffroi_protocol.messages import Policy

from tests.waiting import until

UNITS = Path(__file__).parents[2] / "deploy" / "deb" / "units"
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


def boot(state: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(command, "guard", lambda _config: None)  # needs the kernel
    monkeypatch.setattr("sys.argv", ["beffroi-box", "--state", str(state), "boot"])
    return command.main()


@pytest.mark.parametrize("text", (*DAMAGED, b"\0" * 80, b"told_days = 3\n", b"told_days = 300\n"))
def test_damaged_settings_are_the_last_good_ones(
    tmp_path: Path, text: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    networked(tmp_path)
    before = load(tmp_path)
    assert boot(tmp_path, monkeypatch) == 0 and not before.settings_trouble
    (tmp_path / "box.toml").write_bytes(text)
    for _ in range(2):  # what is damaged is no good copy
        assert boot(tmp_path, monkeypatch) == 0
        found = load(tmp_path)
        assert "box.toml" in found.settings_trouble in caplog.text
        assert replace(found, settings_trouble="") == before
    assert (tmp_path / "box.toml").read_bytes() == text
    sentence, good = weather("fr", State("BF-1", "x", "1", settings_trouble=found.settings_trouble))
    assert "réglages" in sentence and not good
    monkeypatch.setattr("sys.argv", ["beffroi-box", "--state", str(tmp_path), "enrol", "0" * 24])
    assert command.main() == 2  # who is there can write the file again


@pytest.mark.parametrize(
    "line",
    ('wan = "eth 0"', 'lan = ""', 'management = "br0;"', 'centre_addresses = ["boitiers.example"]',
     'resolver_forward = ["192.0.2"]', 'resolver_forward = ["192.0.2.1@x"]', 'resolver_forward = ["192.0.2.1@70000"]',
     'lan_probe = "192.0.2.1"', 'lan_probe = "name:80"', "page_port = 0", "resolver_port = 70000", "nflog_group = -1",
     "heartbeat_s = 0", "probe_grace_s = -1"),
)  # fmt: skip
def test_what_no_rules_could_be_made_of_is_refused_before_it_leaves_the_box_without_any(
    tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    networked(tmp_path)
    boot(tmp_path, monkeypatch)
    before = load(tmp_path)
    (tmp_path / "box.toml").write_text(f'centre = "https://boitiers.example"\n{line}\n')
    found = load(tmp_path)
    assert found.settings_trouble.startswith(f"Setting {line.split(maxsplit=1)[0]} in ")
    assert replace(found, settings_trouble="") == before


@pytest.mark.parametrize(
    "line",
    ('resolver_forward = ["192.0.2.1@5353", "2001:db8::1"]', 'centre_addresses = ["2001:db8::7", "192.0.2.7"]',
     'lan_probe = "[2001:db8::7]:443"', 'lan_probe = ""', 'wan = "enp1s0.835"'),
)  # fmt: skip
def test_what_rules_can_be_made_of_is_taken(tmp_path: Path, line: str) -> None:
    (tmp_path / "box.toml").write_text(line + "\n")
    found = load(tmp_path)
    assert found.settings_trouble == ""
    assert ruleset(Policy(), site_of(found, found.centre_addresses))


def test_damaged_settings_without_a_copy_leave_a_box_its_centre(tmp_path: Path) -> None:
    networked(tmp_path)
    (tmp_path / "box.toml").write_bytes(b"\0")
    assert load(tmp_path).centre == ""
    store = Store(tmp_path)
    store.save_identity(Identity(1, "box_1", "col_1", "Beaune", "root", "https://boitiers.example"))
    found = load(tmp_path)
    assert found.settings_trouble and (found.centre, found.wan) == ("https://boitiers.example", PLAN.wan)


def test_a_box_without_its_settings_goes_to_no_centre_that_the_lan_names(tmp_path: Path) -> None:
    (tmp_path / "box.toml").write_bytes(b"\0")
    first = FirstBoot(tmp_path)
    assert first.answer(AskEnrol("0" * 24, "https://elsewhere.example")).error == "settings"
    state = first.answer(AskState()).state
    assert state is not None and words("fr", "settings") in first_boot_page("fr", state)
    assert (tmp_path / "box.toml").read_bytes() == b"\0"


@pytest.mark.parametrize("centre", ("https://boitiers.example:84444", "https://[::1", "https://x:8444x"))
def test_an_address_of_a_centre_that_is_none_is_refused_on_the_page(tmp_path: Path, centre: str) -> None:
    first = FirstBoot(tmp_path)
    code = new_code(b"r" * 32).text()
    assert first.answer(AskEnrol(code, centre)).error == "box.config_invalid"
    assert load(tmp_path).centre == ""


def test_an_appliance_has_its_sockets_where_its_units_look_for_them_whatever_its_settings_are() -> None:
    """An empty file is what a power cut leaves of one that was just written."""
    for name in ("clock.path", "refusals.socket", "relay.path"):
        assert f"={BoxConfig().run_directory}/" in (UNITS / f"beffroi-box-{name}").read_text()
    assert BoxConfig(state=Path("/srv/box")).run_directory == Path("/srv/box/names")


def test_an_address_of_a_centre_is_kept_once_a_centre_knows_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a mistake in it nobody could give the right one any more."""
    monkeypatch.setattr("beffroi_box.firstboot.TRY_EVERY_S", 0.0)
    first, asked = FirstBoot(tmp_path), list[str]()

    def enrol(config: BoxConfig, *_more: object, say: Callable[[str], None], **_: object) -> None:
        asked.append(config.centre)
        if "wrong" in config.centre:
            raise CentreUnreachable("no such name")
        say("Waiting: ...")

    monkeypatch.setattr("beffroi_box.firstboot.enrol", enrol)
    code = new_code(b"r" * 32).text()

    def offer(centre: str, outcome: str) -> None:
        assert first.answer(AskEnrol(code, centre)).error == ""
        until(lambda: (first.answer(AskState()).state or State("", "", "")).enrolment == outcome, outcome)

    offer("https://wrong.example", "box.centre_unreachable")
    assert load(tmp_path).centre == ""
    offer("https://right.example", "done")
    assert asked == ["https://wrong.example", "https://right.example"]
    assert load(tmp_path).centre == "https://right.example"


def test_the_box_s_own_settings_are_refused_by_name_as_before(tmp_path: Path) -> None:
    networked(tmp_path)
    (tmp_path / "box.toml").write_text("cable = 1\n")
    assert re.search(r"cable in .*box\.toml", load(tmp_path).settings_trouble)
    (tmp_path / "box.toml").write_text("")
    (tmp_path / "network.toml").write_text('network_trouble = "x"\n')
    assert "no such setting" in load(tmp_path).network_trouble


def test_the_page_writes_numbers_in_groups_and_versions_as_they_are() -> None:
    block = Block("domain", "a.example", "phishing", "dec_1", 12345, 0, 0)
    state = State(
        "BF-1", "x", "1", enrolled=True, connected=True, entries=1048576, policy_version=1234, blocks=[block]
    )
    french, english = state_page("fr", state), state_page("en", state)
    assert "1\xa0048\xa0576 et 0 listes" in french and "12\xa0345 × " in french and "version 1234" in french
    assert "1,048,576 and 0 lists" in english and "refused 12,345 times" in english

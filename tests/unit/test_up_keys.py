"""Keys of the feed from the command line: state, the next key, a delegation signed elsewhere, its installation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from beffroi.cli.__main__ import main
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.supervise import secret_files
from beffroi_protocol.messages import Delegation
from beffroi_protocol.signing import TrustStore, b64, delegate, public_bytes, unb64
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@pytest.fixture
def new(tmp_path: Path) -> Config:
    """A new centre with its keys; the root is then taken away, to ``tmp_path``/root.key."""
    config = Config(state=tmp_path / "state")
    secret_files.generate(config)
    (config.state / "beffroi.toml").touch()
    secret_files.renew_delegation(config)
    (config.secrets / secret_files.ROOT_KEY).rename(tmp_path / "root.key")
    return config


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["keys", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out.strip(), shown.err.strip()


def signed(capsys: pytest.CaptureFixture[str], new: Config, *more: object) -> Path:
    """Make the next key, carry its public half away, bring the delegation back."""
    place = new.state.parent
    code, public, _ = run(capsys, "new", "--state", new.state)
    assert code == 0
    (place / "next.pub").write_text(public)
    previous = ("--previous", new.secrets / secret_files.DELEGATION)
    command = ("delegate", "--public-key", place / "next.pub", "--root-key", place / "root.key")
    code, line, errors = run(capsys, *command, *(more or previous))
    assert code == 0, errors
    (place / "next.line").write_text(line + "\n")
    return place / "next.line"


def delegation(new: Config, line: bytes) -> Delegation:
    return TrustStore(unb64(new.secret(secret_files.ROOT_PUBLIC).decode())).add_delegation(line)


def test_status_tells_the_term_and_shows_no_private_key(
    new: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown, _ = run(capsys, "status", "--state", new.state)
    assert code == 0
    assert "serial 1" in shown
    assert "kept elsewhere" in shown
    code, text, _ = run(capsys, "status", "--state", new.state, "--json")
    found = json.loads(text)
    assert (code, found["problem"], found["root_key_here"]) == (0, "", False)
    assert found["days_left"] in (89, 90), "whole ones, and some seconds went by"
    secret = new.secret(secret_files.FEED_KEY).decode()
    assert secret not in shown + text


def test_status_names_a_key_that_its_delegation_does_not_cover(
    new: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    other = b64(Ed25519PrivateKey.generate().private_bytes_raw())
    (new.secrets / secret_files.FEED_KEY).write_text(other)
    code, shown, _ = run(capsys, "status", "--state", new.state)
    assert code == 1
    assert "for another key" in shown


def test_a_rotation_with_the_root_elsewhere_ends_with_the_new_key_in_force(
    new: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    before = new.secret(secret_files.FEED_KEY)
    line = signed(capsys, new)
    assert new.secret(secret_files.FEED_KEY) == before
    code, shown, errors = run(capsys, "install", line, "--state", new.state)
    assert (code, errors) == (0, "")
    assert "new feed key" in shown
    assert new.secret(secret_files.FEED_KEY) != before
    assert delegation(new, new.secret(secret_files.DELEGATION)).serial == 2
    code, shown, _ = run(capsys, "status", "--state", new.state)
    assert code == 0
    assert "Next key" not in shown
    for name in (secret_files.FEED_KEY, secret_files.DELEGATION):
        assert (new.secrets / name).stat().st_mode & 0o777 == 0o600
    # The next start finds nothing to do, although the root is not there.
    assert secret_files.renew_delegation(new) == ""


def test_the_next_key_is_made_once(new: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "new", "--state", new.state) == run(capsys, "new", "--state", new.state)


def test_a_stolen_key_is_retired_at_once_by_a_serial_two_higher(
    new: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    first = new.secret(secret_files.DELEGATION)
    old = delegation(new, first)
    line = signed(capsys, new, "--previous", new.secrets / secret_files.DELEGATION, "--retire-all")
    trust = TrustStore(unb64(new.secret(secret_files.ROOT_PUBLIC).decode()))
    trust.add_delegation(first)
    assert trust.add_delegation(line.read_bytes().strip()).serial == old.serial + 2
    assert list(trust.lines) == [delegation(new, line.read_bytes().strip()).kid]


def test_the_root_signs_without_any_state_when_told_the_serial(
    new: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    line = signed(capsys, new, "--serial", 7, "--days", 10)
    found = delegation(new, line.read_bytes().strip())
    assert found.serial == 7
    assert found.not_after - clock.epoch_s() <= 10 * 86400


def test_without_a_serial_nothing_is_signed(new: Config, capsys: pytest.CaptureFixture[str]) -> None:
    place = new.state.parent
    (place / "next.pub").write_text(run(capsys, "new", "--state", new.state)[1])
    command = ("delegate", "--public-key", place / "next.pub", "--root-key", place / "root.key")
    code, line, errors = run(capsys, *command, "--state", place / "nowhere")
    assert (code, line) == (1, "")
    assert "--previous" in errors


@pytest.mark.parametrize("what", ["another root", "another key", "a former serial", "the past", "no line"])
def test_a_delegation_that_does_not_fit_replaces_nothing(
    new: Config, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    place = new.state.parent
    root = Ed25519PrivateKey.from_private_bytes(unb64((place / "root.key").read_text().strip()))
    ours = unb64(run(capsys, "new", "--state", new.state)[1])
    other, now = Ed25519PrivateKey.generate(), clock.epoch_s()

    def made(by: Ed25519PrivateKey, public: bytes, *, serial: int = 2, until: int = now + 86400) -> bytes:
        return delegate(by, public, serial=serial, not_before=now - 7200, not_after=until)

    lines = {
        "another root": made(other, ours),
        "another key": made(root, public_bytes(other)),
        "a former serial": made(root, ours, serial=1),
        "the past": made(root, ours, until=now - 3600),
        "no line": b"Bonjour",
    }
    (place / "back.line").write_bytes(lines[what])
    before = {path.name: path.read_bytes() for path in new.secrets.iterdir()}
    code, _, errors = run(capsys, "install", place / "back.line", "--state", new.state)
    assert code == 1
    assert errors.startswith("beffroi: This delegation is not installed:")
    assert {path.name: path.read_bytes() for path in new.secrets.iterdir()} == before

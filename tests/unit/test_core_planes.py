"""Wake-ups and grants of the planes."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from beffroi.core.planes import tokens, wake
from beffroi.lib import clock
from beffroi.lib.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.waiting import PATIENCE_S

KEY = b"k" * 32


def grant(**changes: object) -> str:
    values: dict[str, object] = {
        "subject_id": "per_1",
        "collectivite_id": "col_1",
        "paths": ("/live",),
        "ttl_s": 300,
    }
    return tokens.make_grant(KEY, **(values | changes))  # type: ignore[arg-type]


def test_grant_says_whose_it_is() -> None:
    found = tokens.read_grant(KEY, grant(), path="/live")
    assert (found.subject_id, found.collectivite_id) == ("per_1", "col_1")
    assert tokens.read_grant(KEY, grant(collectivite_id=None), path="/live").collectivite_id is None


def test_grant_of_another_key_another_path_or_another_time_is_refused() -> None:
    text = grant()
    with pytest.raises(tokens.GrantRefused):
        tokens.read_grant(b"other", text, path="/live")
    with pytest.raises(tokens.GrantRefused):
        tokens.read_grant(KEY, text, path="/v1/feed")
    with clock.shifted(301), pytest.raises(tokens.GrantRefused):
        tokens.read_grant(KEY, text, path="/live")


def test_grant_of_a_clock_that_ran_ahead_ends_with_it() -> None:
    """Nobody can take one back: who left would read files for as long as the clock had been ahead."""
    with clock.jumped(3650 * 86400):
        text = grant()
        tokens.read_grant(KEY, text, path="/live")
    with pytest.raises(tokens.GrantRefused):
        tokens.read_grant(KEY, text, path="/live")
    with clock.jumped(5):
        text = grant()
    assert tokens.read_grant(KEY, text, path="/live").subject_id == "per_1", "another process's clock"


@settings(deadline=None)
@given(st.data())
def test_changed_grant_is_refused(data: st.DataObject) -> None:
    text = grant()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FF).filter(lambda c: c != text[at]))
    with pytest.raises(tokens.GrantRefused):
        tokens.read_grant(KEY, text[:at] + other + text[at + 1 :], path="/live")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_refused_without_another_error(text: str) -> None:
    with pytest.raises(tokens.GrantRefused):
        tokens.read_grant(KEY, text, path="/live")
    with pytest.raises(tokens.GrantRefused):
        tokens.read_grant(KEY, f"{text}.{tokens._mac(KEY, text)}", path="/live")


def test_door_token_is_compared_with_the_secret_file(config: Config) -> None:
    right = (config.secrets / "door.token").read_text()
    assert tokens.door_token_fits(config, right)
    for wrong in ("", right[:-1], right + "0", "é"):
        assert not tokens.door_token_fits(config, wrong)


def test_every_consumer_wakes_and_several_wake_ups_count_as_one(tmp_path: Path) -> None:
    with wake.Waker(tmp_path, "a") as first, wake.Waker(tmp_path, "b") as second:
        assert not first.wait(0)
        assert wake.send_all(tmp_path) == 2
        assert wake.send_all(tmp_path) == 2
        assert first.wait(PATIENCE_S)
        assert second.wait(PATIENCE_S)
        assert not first.wait(0)


def test_socket_of_a_dead_consumer_harms_nobody(tmp_path: Path) -> None:
    wake.directory(tmp_path).mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(wake.directory(tmp_path) / "dead.sock"))
    with wake.Waker(tmp_path, "live") as waker:
        assert wake.send_all(tmp_path) == 1
        assert waker.wait(PATIENCE_S)
    assert wake.send_all(tmp_path / "absent") == 0


def test_consumer_that_sleeps_long_never_blocks_the_sender(tmp_path: Path) -> None:
    with wake.Waker(tmp_path, "busy") as waker:
        for _ in range(2000):
            wake.send_all(tmp_path)
        assert waker.wait(PATIENCE_S)


def test_asyncio_consumer_wakes(tmp_path: Path) -> None:
    async def run() -> list[bool]:
        with wake.Waker(tmp_path, "loop") as waker:
            idle = await waker.wait_async(0.01)
            asyncio.get_running_loop().call_later(0.01, wake.send_all, tmp_path)
            return [idle, await waker.wait_async(PATIENCE_S), await waker.wait_async(0.01)]

    assert asyncio.run(run()) == [False, True, False]

"""Who follows the journal hears of every change, also when it was slow, away, or failed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from beffroi.drive import following
from beffroi.drive.following import Follower, Teller
from beffroi.drive.store.keys import KeysErased
from beffroi.lib.errors import Unavailable

from tests.fixtures_stream import eventually
from tests.waiting import PATIENCE_S

A, B = "col_" + "0" * 25 + "a", "col_" + "0" * 25 + "b"


@contextmanager
def running(
    run: Path, step: Callable[[str], float | None], first: tuple[str, ...] = ()
) -> Iterator[Follower]:
    follower = Follower(run, "here", step)
    thread = threading.Thread(target=follower.run, args=(first,))
    thread.start()
    try:
        yield follower
    finally:
        follower.stop()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.fixture
def teller(tmp_path: Path) -> Iterator[Teller]:
    one = Teller(tmp_path)
    one.start()
    yield one
    one.stop()


def test_it_looks_at_all_when_it_begins_and_then_at_what_it_is_told(tmp_path: Path, teller: Teller) -> None:
    seen: list[str] = []
    with running(tmp_path, seen.append, (A,)):
        eventually(lambda: seen == [A], "the first")
        teller.told(B)
        eventually(lambda: seen == [A, B], "what it was told")
    teller.told(A)  # nobody is there: nothing fails, and nobody waits
    teller.stop()
    assert seen == [A, B]
    assert list(following.directory(tmp_path).iterdir()) == []


def test_what_finds_no_room_is_said_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE_S", 0.05)
    following.directory(tmp_path).mkdir()
    communes = ["col_" + f"{number:026}" for number in range(100)]
    teller = Teller(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
        slow.bind(str(following.directory(tmp_path) / "slow.sock"))
        for one in communes:
            teller.told(one)
        teller.start()
        heard: set[str] = set()
        slow.settimeout(PATIENCE_S)
        while len(heard) < len(communes):
            heard.add(slow.recv(64).decode())
    teller.stop()
    assert heard == set(communes)


def test_one_that_hangs_keeps_no_other_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    following.directory(tmp_path).mkdir()
    communes = ["col_" + f"{number:026}" for number in range(2000)]
    teller = Teller(tmp_path)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hung,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as well,
    ):
        hung.bind(str(following.directory(tmp_path) / "a.sock"))
        hung.settimeout(5)
        teller.start()
        for one in communes:  # more than any queue holds
            teller.told(one)
        eventually(lambda: not teller._changed.qsize(), "the queue of the one that hangs is full")
        well.bind(str(following.directory(tmp_path) / "b.sock"))
        well.settimeout(0.5)
        for one in (A, B):
            teller.told(one)
            assert well.recv(64).decode() == one
        monkeypatch.setattr(following, "PATIENCE_S", 0.01)  # it hears again, few words each time
        heard: set[str] = set()
        while len(heard) < len(communes) + 2:
            heard.add(hung.recv(64).decode())
    teller.stop()
    assert heard == {*communes, A, B}


def test_one_that_fails_is_tried_again_and_keeps_no_other_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RETRY_S", 0.05)
    seen: list[str] = []

    def step(one: str) -> float | None:
        seen.append(one)
        if one == A and seen.count(A) == 1:
            raise Unavailable("The drive's database")
        if one == A and seen.count(A) == 2:
            raise RuntimeError
        return 0.0 if one == B and seen.count(B) < 3 else None

    with running(tmp_path, step, (A, B)):
        eventually(lambda: (seen.count(A), seen.count(B)) == (3, 3), "each as often as it asked for")


def test_a_collectivite_whose_keys_are_erased_is_tried_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RETRY_S", 0.0)
    seen: list[str] = []

    def step(one: str) -> float | None:
        seen.append(one)
        if one == A:
            raise KeysErased(A)
        return 0.0 if seen.count(B) < 5 else None

    with running(tmp_path, step, (A, B)):
        eventually(lambda: seen.count(B) == 5, "the other one")
    assert seen.count(A) == 1


def test_words_that_name_no_collectivite_are_nothing(tmp_path: Path) -> None:
    seen: list[str] = []
    with running(tmp_path, seen.append):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for word in (b"", b"../col", b"\xff" * 64, b"x" * 1000, A.encode()):
                sender.sendto(word, str(following.directory(tmp_path) / "here.sock"))
        eventually(lambda: seen == [A], "the one")

"""A door in the datacenter trusts signatures, not the socket: forged, replayed and torn lines change nothing."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from beffroi.core.planes.follower import Follower
from beffroi.lib import clock
from beffroi_protocol.indicators import normalise
from beffroi_protocol.messages import Action, Batch, Entry, Snapshot
from beffroi_protocol.signing import Signer, delegate, payload_hash, public_bytes, split_line
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import waiting

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n\r\n"
until = waiting.until
ROOT, FEED, STRANGER = (Ed25519PrivateKey.generate() for _ in range(3))
NOW = clock.epoch_s()
ENDS = NOW + 12 * 3600
"""After the end of the longest run: this file is read at its beginning."""
DELEGATION = delegate(ROOT, public_bytes(FEED), serial=1, not_before=NOW - 60, not_after=NOW + 86400)


def entry(number: int) -> Entry:
    return Entry(f"dec_{number}", normalise("ip", f"185.203.116.{number}"), Action.BLOCK, ENDS, "")


def snapshot(version: int, *numbers: int) -> Snapshot:
    entries = tuple(entry(number) for number in numbers)
    return Snapshot(1, "login", 1, version, NOW, ENDS, f"{version:064x}", entries)


def batch(version: int, prev: str, number: int) -> Batch:
    return Batch(1, "login", 1, version - 1, version, NOW, ENDS, prev, added=(entry(number),))


class Liar:
    """Whoever took over the stream's socket: each connection is answered by the next script, then closed."""

    def __init__(self, path: Path, scripts: list[bytes]) -> None:
        self.asked: list[bytes] = []
        self._scripts = list(scripts)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(65536).split(b"\r\n")[0])
                connection.sendall(HEAD + (self._scripts.pop(0) if self._scripts else b""))

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def place() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="bfl-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def follow(place: Path, *scripts: bytes) -> tuple[Follower, Liar]:
    liar = Liar(place / "stream.sock", list(scripts))
    door = Follower(
        socket_path=place / "stream.sock",
        directory=place / "login",
        root_public_key=public_bytes(ROOT),
        door="login",
        token=lambda: "t",
        channels=["login"],
    )
    door.start()
    return door, liar


def lines(*parts: bytes) -> bytes:
    return b"".join(part + b"\n" for part in parts)


def changed(line: bytes) -> bytes:
    """The same signature over other bytes."""
    return line.replace(b"185.203.116.2", b"185.203.116.9")


def test_forged_lines_change_nothing_and_the_true_one_after_them_counts(place: Path) -> None:
    true, forger = Signer(FEED), Signer(STRANGER)
    first = true.line(snapshot(1, 1))
    prev = snapshot(1, 1).head
    second = true.line(batch(2, prev, 2))
    own = delegate(STRANGER, public_bytes(STRANGER), serial=9, not_before=NOW - 60, not_after=NOW + 86400)
    as_feed = Signer(STRANGER, kid=true.kid)
    forged = lines(
        own,
        forger.line(batch(2, prev, 7)),
        as_feed.line(batch(2, prev, 8)),
        as_feed.line(snapshot(99)),  # an empty list would open the door
        changed(second),
        b"bonjour",
        b"bf1 root AAAA {}",
        b"\xff" * 200,
    )
    door, liar = follow(place, lines(DELEGATION, first) + forged + lines(second))
    try:
        until(lambda: door.versions()["login"] == (1, 2), "the true batch")
        assert door.match_address("185.203.116.1")
        assert door.match_address("185.203.116.2")
        assert [n for n in (7, 8, 9) if door.match_address(f"185.203.116.{n}")] == []
    finally:
        door.stop()
        liar.close()


def test_replayed_snapshot_and_torn_line_open_nothing_and_a_restart_keeps_the_list(place: Path) -> None:
    true = Signer(FEED)
    old, new = true.line(snapshot(1)), true.line(snapshot(5, 1, 2))
    torn = true.line(batch(6, snapshot(5, 1, 2).head, 3))[:-10]
    door, liar = follow(place, lines(DELEGATION, new, old) + torn, lines(DELEGATION, old))
    try:
        until(lambda: len(liar.asked) >= 3, "two answers were read")
        assert door.versions()["login"] == (1, 5)
        assert door.match_address("185.203.116.2")
        assert f"since=login:1:5:{5:064x}".encode() in liar.asked[1]
    finally:
        door.stop()
        liar.close()
    again = Follower(
        socket_path=place / "nobody.sock",
        directory=place / "login",
        root_public_key=public_bytes(ROOT),
        door="login",
        token=lambda: "t",
        channels=["login"],
    )
    assert again.match_address("185.203.116.1")


def test_true_batch_of_another_channel_is_not_taken(place: Path) -> None:
    true = Signer(FEED)
    stray = msgspec.structs.replace(snapshot(3, 4), channel="mail")
    door, liar = follow(place, lines(DELEGATION, true.line(stray), true.line(snapshot(1, 1))))
    try:
        until(lambda: door.versions()["login"] == (1, 1), "its own channel")
        assert door.match_address("185.203.116.4") is None
    finally:
        door.stop()
        liar.close()


def test_what_the_disk_did_not_take_is_saved_once_it_does(place: Path) -> None:
    signer, state = Signer(FEED), place / "login" / "login.state"
    state.mkdir(parents=True)  # as a full disk: it cannot be replaced
    door, liar = follow(place, lines(DELEGATION, signer.line(snapshot(5, 1))))
    try:
        until(lambda: door.match_address("185.203.116.1") is not None, "it is enforced all the same")
        until(lambda: len(liar.asked) >= 2, "the answer was read to its end")
        state.rmdir()
        beat = Batch(1, "login", 1, 5, 5, NOW, ENDS, f"{5:064x}")
        liar._scripts.append(lines(DELEGATION, signer.line(beat)))
        until(state.is_file, "saved by a line that changes nothing")
    finally:
        door.stop()
        liar.close()


def test_head_of_the_chain_is_the_hash_of_the_exact_bytes() -> None:
    line = Signer(FEED).line(batch(2, "0" * 64, 2))
    assert payload_hash(split_line(line)[2]) != payload_hash(split_line(changed(line))[2])


def test_an_overlay_that_the_centre_does_not_know_any_more_is_forgotten_on_disk_too(place: Path) -> None:
    """The centre was restored from a backup of before it."""
    overlay = msgspec.structs.replace(snapshot(1, 7), channel="login@col_1")
    base = snapshot(1)
    beat = Batch(1, "login", 1, 1, 1, NOW, ENDS, base.head)
    signer = Signer(FEED)
    first = lines(DELEGATION, signer.line(base), signer.line(overlay), signer.line(beat))
    liar = Liar(place / "stream.sock", [first])
    door = Follower(
        socket_path=place / "stream.sock", directory=place / "login", root_public_key=public_bytes(ROOT),
        door="login", token=lambda: "t", channels=["login", "login@*"],
    )  # fmt: skip
    door.start()
    until(lambda: door.match_address("185.203.116.7", ["col_1"]) is not None, "the overlay is followed")
    until((place / "login" / "login@col_1.state").exists, "saved")
    liar._scripts.append(lines(DELEGATION, signer.line(beat)))
    until(lambda: door.match_address("185.203.116.7", ["col_1"]) is None, "forgotten")
    until(lambda: not (place / "login" / "login@col_1.state").exists(), "on disk too")
    door.stop()
    liar.close()

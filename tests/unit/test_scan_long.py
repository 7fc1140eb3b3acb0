"""A long content on its way to the child that looks at it: answers are read whole, and few questions are asked."""

from __future__ import annotations

import random
import signal
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from beffroi.scan import bodies, pdf, wire
from beffroi.scan.archives import OutOfTime
from beffroi.scan.bodies import Long
from beffroi.scan.worker import Handed

from tests import scan_samples as samples
from tests.waiting import PATIENCE_S

MIB = 1024 * 1024
CONTENT = random.Random(1).randbytes(3 * MIB)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Of the child, of the owner."""
    child, owner = socket.socketpair()
    with child, owner:
        child.settimeout(10)
        owner.settimeout(10)
        yield child, owner


def question(owner: socket.socket) -> bytes:
    """What the next question asks for."""
    asked = struct.Struct(">cQI")
    _, offset, length = asked.unpack(owner.recv(asked.size, socket.MSG_WAITALL))
    return CONTENT[offset : offset + length]


@pytest.mark.parametrize("number", [signal.SIGXCPU, signal.SIGVTALRM])
def test_what_ends_a_look_in_the_middle_of_an_answer_waits_for_its_end(
    ends: tuple[socket.socket, socket.socket], number: signal.Signals
) -> None:
    """The share of the processor is used up there as anywhere: nobody is gone, and the next answer is in step."""

    def out_of_time(*_: object) -> None:
        raise OutOfTime

    def hand_on() -> None:
        data = question(ends[1])
        ends[1].sendall(data[:1000])
        signal.pthread_kill(threading.main_thread().ident or 0, number)
        ends[1].sendall(data[1000:])
        ends[1].sendall(question(ends[1]))

    before = signal.signal(number, out_of_time)
    owner = threading.Thread(target=hand_on)
    owner.start()
    handed = Handed(ends[0])
    try:
        with pytest.raises(OutOfTime):
            handed(0, MIB)
        assert not handed.is_gone
        assert handed(MIB, 5000) == CONTENT[MIB : MIB + 5000]
    finally:
        signal.signal(number, before)
        owner.join(PATIENCE_S)


def test_an_owner_that_goes_away_is_gone_whoever_swallows_it(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    handed = Handed(ends[0])
    ends[1].sendall(b"short")
    ends[1].close()
    with pytest.raises((wire.Ended, OSError)):
        handed(0, 1000)
    assert handed.is_gone


def test_no_memory_for_an_answer_is_no_memory_for_the_next(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the first one is still to come: what was read then would be of another place."""

    def full(connection: socket.socket, offset: int, length: int) -> bytes:
        raise MemoryError

    handed = Handed(ends[0])
    monkeypatch.setattr(wire, "ask_for", full)
    with pytest.raises(MemoryError):
        handed(0, 1000)
    monkeypatch.undo()
    with pytest.raises(MemoryError):
        handed(0, 1000)
    assert not handed.is_gone


def test_a_stream_has_the_bytes_of_every_place() -> None:
    stream = bodies.stream(Long(len(CONTENT), lambda offset, length: CONTENT[offset : offset + length]))
    assert stream.read() == CONTENT and stream.read(1) == b""
    for at in (
        0,
        1,
        256 * 1024 - 1,
        256 * 1024,
        2 * MIB + 3,
        len(CONTENT) - 1,
        len(CONTENT),
        len(CONTENT) + 5,
    ):
        stream.seek(at)
        assert stream.read(300 * 1024) == CONTENT[at : at + 300 * 1024]


def test_a_pdf_that_is_read_from_its_end_asks_for_each_block_a_few_times() -> None:
    """In steps of 8 KiB backwards, each of which asked for 256 KiB before blocks were kept."""
    padding = random.Random(8).randbytes(4 * MIB).replace(b"\n", b" ").replace(b"\r", b" ")
    data = samples.pdf("Bonjour") + b"%" + padding
    asked: list[int] = []

    def ask(offset: int, length: int) -> bytes:
        asked.append(length)
        return data[offset : offset + length]

    assert pdf.look(Long(len(data), ask), most_text=100).text.strip() == "Bonjour"
    assert sum(asked) < 5 * len(data)

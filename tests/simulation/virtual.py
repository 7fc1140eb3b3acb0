"""Virtual time, and the seams by which the real code runs in it.

Purpose: one run is one thread; every clock, every random number and every pause of the code under test comes from
         here, so that a seed says everything.
Seams:   the modules' ``time`` and ``secrets``, the loop of asyncio (only its clock is used), and, in most runs, the
         signature: see ``signatures``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from unittest.mock import patch

import beffroi_box.agent
import beffroi_box.enforce
import beffroi_box.facts
import beffroi_box.lists
import beffroi_box.retelling
import beffroi_box.sender
import beffroi_box.store
from beffroi.core.planes import door_lists, door_state, follower
from beffroi.lib import clock, durable
from beffroi.stream import batches, publisher
from beffroi_box.ruleset import ruleset
from beffroi_protocol import session, signing, table
from beffroi_protocol.errors import SignatureInvalid
from beffroi_protocol.messages import decode_feed
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.simulation import cheap
from tests.simulation.disk import DiskMmap, DiskOs

START = 1_800_000_000.0


class VirtualTime:
    """Stands for the module ``time``. ``true``: UTC; each node has its own wall clock and its own start."""

    def __init__(self) -> None:
        self.true = START
        self.skew_s = 0.0
        self.booted_at = START - 1000.0
        self._slept_s = 0.0

    def time(self) -> float:
        return self.true + self.skew_s

    CLOCK_BOOTTIME = 7

    def clock_gettime(self, _which: int) -> float:
        """Only the centre's code asks for it, also while a door of its machine runs: one start for both."""
        return self.true - START + 1000.0

    def monotonic(self) -> float:
        return self.true - self.booted_at + self._slept_s

    def sleep(self, seconds: float) -> None:
        """Pauses only pass within one call: the world goes on afterwards."""
        self._slept_s += seconds

    def at(self, *, skew_s: float, booted_at: float) -> _At:
        """Run as a node with these clocks."""
        return _At(self, (skew_s, booted_at, 0.0))

    @property
    def clocks(self) -> tuple[float, float, float]:
        return self.skew_s, self.booted_at, self._slept_s

    @clocks.setter
    def clocks(self, clocks: tuple[float, float, float]) -> None:
        self.skew_s, self.booted_at, self._slept_s = clocks


class _At:
    """A context manager; written out, because it is entered a thousand times a seed."""

    __slots__ = ("_before", "_clocks", "_time")

    def __init__(self, time: VirtualTime, clocks: tuple[float, float, float]) -> None:
        self._time = time
        self._clocks = clocks

    def __enter__(self) -> None:
        self._before = self._time.clocks
        self._time.clocks = self._clocks

    def __exit__(self, *_: object) -> None:
        self._time.clocks = self._before


class Chance:
    """Stands for the module ``secrets``."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def token_hex(self, size: int) -> str:
        return self._rng.randbytes(size).hex()

    def token_bytes(self, size: int) -> bytes:
        return self._rng.randbytes(size)


class _Loop:
    """All that the publisher and the posts ask of a loop."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    def time(self) -> float:
        return self._time.true

    def run_in_executor[R](self, _: object, function: Callable[..., R], *arguments: Any) -> _Done[R]:
        return _Done(function(*arguments))

    def create_task(self, coroutine: Coroutine[Any, Any, Any], **_: object) -> _Done[Any]:
        return _Done(drive(coroutine))


class _Done[R]:
    """An awaitable that is done."""

    def __init__(self, result: R) -> None:
        self._result = result

    def __await__(self) -> Generator[Any, Any, R]:
        return self._result
        yield

    def done(self) -> bool:
        return True

    def add_done_callback(self, call: Callable[[Any], object], **_: object) -> None:
        call(self)


def drive[R](coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that waits for nothing to its end."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        result: R = end.value
        return result


def _remembered() -> list[tuple[Any, str, object]]:
    """Pure functions of bytes whose answer does not change: each line is read by every box of its channel."""
    split, decode = lru_cache(512)(signing.split_line), lru_cache(512)(decode_feed)
    digest = lru_cache(512)(signing.payload_hash)
    rules = lru_cache(64)(ruleset)
    return [
        (signing, "split_line", split),
        (session, "split_line", split),
        (publisher, "split_line", split),
        (signing, "decode_feed", decode),
        (table, "payload_hash", digest),
        (batches, "payload_hash", digest),
        (beffroi_box.enforce, "ruleset", rules),
    ]


@contextmanager
def virtual(seed: int) -> Iterator[VirtualTime]:
    """Put the code under test into virtual time while the block runs."""
    time = VirtualTime()
    chance = Chance(random.Random(f"secrets/{seed}"))
    seams: list[tuple[Any, str, object]] = [
        (clock, "time", time),
        (clock, "_pace", clock.Pace()),
        (follower, "time", time),
        (door_state, "time", time),
        (beffroi_box.agent, "time", time),
        (beffroi_box.enforce, "time", time),
        (beffroi_box.sender, "time", time),
        (beffroi_box.lists, "time", time),
        (beffroi_box.lists, "random", random.Random(f"pauses/{seed}")),
        (beffroi_box.retelling, "random", random.Random(f"told again/{seed}")),
        (door_lists, "time", time),
        (door_lists, "secrets", chance),
        (door_lists, "mmap", DiskMmap()),
        (beffroi_box.facts, "secrets", chance),
        (publisher, "secrets", chance),
        (beffroi_box.store, "os", DiskOs()),
        (durable, "os", DiskOs()),
        (durable, "secrets", chance),
        *_remembered(),
    ]
    patches = [patch.object(where, name, value) for where, name, value in seams]
    for one in patches:
        one.start()
    logging.disable(logging.CRITICAL)
    asyncio.events._set_running_loop(_Loop(time))  # type: ignore[arg-type]
    try:
        yield time
    finally:
        asyncio.events._set_running_loop(None)
        logging.disable(logging.NOTSET)
        for one in patches:
            one.stop()


@contextmanager
def signatures(*, real: bool) -> Iterator[Callable[[bytes], Any]]:
    """Yield what makes a private key of 32 bytes: real Ed25519, or the cheap stand-in.

    The stand-in replaces the primitive alone: lines, roles, key names, delegations and terms stay the real code.
    """
    if real:
        yield Ed25519PrivateKey.from_private_bytes
        return

    def verify(key: cheap.PublicKey, kid: str, signature: bytes, data: bytes) -> None:
        if not key.fits(signature, data):
            raise SignatureInvalid(kid)

    with (
        patch.object(signing, "Ed25519PublicKey", cheap.PublicKey),
        patch.object(signing, "Ed25519PrivateKey", cheap.PrivateKey),
        patch.object(signing, "_verify", verify),
    ):
        yield cheap.PrivateKey

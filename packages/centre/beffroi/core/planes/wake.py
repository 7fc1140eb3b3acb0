"""Wake-ups after a commit: one empty datagram to every socket in STATE/run/wake.

Purpose: a consumer of the outbox starts within a millisecond instead of at its next poll.
Process: every Python process of the centre. The datagram carries nothing: whoever receives it reads the outbox.
Fails:   open; a lost datagram costs one polling interval, nothing else.
See:     ``listen`` for processes on another machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from beffroi.lib.ready import readable

POLL_S = 1.0


def directory(run: Path) -> Path:
    """Where the sockets of all consumers are, given ``Config.run``."""
    return run / "wake"


def send_all(run: Path) -> int:
    """Wake every consumer; return how many took the datagram. Never blocks, never fails."""
    return sum(send(path) for path in directory(run).glob("*.sock"))


def send(path: Path) -> bool:
    """Wake one consumer; True if it took the datagram. Never blocks, never fails."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        # Full: the consumer is awake anyway. Refused: it died, and polls first when it starts again.
        with contextlib.suppress(OSError):
            sender.sendto(b"", str(path))
            return True
    return False


class Waker:
    """The socket on which one consumer is woken. Use as a context manager; the name is unique to the process."""

    def __init__(self, run: Path, name: str) -> None:
        self.path = directory(run) / f"{name}.sock"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self._event: asyncio.Event | None = None

    def fileno(self) -> int:
        return self._socket.fileno()

    def wait(self, timeout_s: float = POLL_S) -> bool:
        """Block until woken or ``timeout_s`` passed; True if woken. Several wake-ups count as one."""
        woken = readable(self._socket, timeout_s)
        if woken:
            self._drain()
        return woken

    async def wait_async(self, timeout_s: float = POLL_S) -> bool:
        """The same for asyncio; always awaited from one loop."""
        if self._event is None:
            self._event = asyncio.Event()
            asyncio.get_running_loop().add_reader(self._socket, self._readable)
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def close(self) -> None:
        if self._event is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def _readable(self) -> None:
        self._drain()
        if self._event is not None:
            self._event.set()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(64)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

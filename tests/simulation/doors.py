"""The mail and the login door of the datacenter: the real ``Follower`` with its files, without thread and socket."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

from beffroi.core.planes.files import decompressed
from beffroi.core.planes.follower import Follower
from beffroi.stream.auth import Caller
from beffroi_protocol.errors import FileMismatch
from beffroi_protocol.table import every_overlay, overlay

from tests.simulation.box import Connection, Pause
from tests.simulation.centre import Centre, Down
from tests.simulation.disk import Disk, DiskPath
from tests.simulation.virtual import VirtualTime


class _Door(Follower):
    centre: Centre
    caller: Caller
    door: Door

    def _fetch(self, sha256: str, size_bytes: int) -> Iterator[bytes]:
        path = self.centre.publisher.file(sha256, self.caller.may_follow) if self.centre.up else None
        if path is None:
            raise OSError("no such file")
        packed, cut = path.read_bytes(), False
        if sha256 in self.centre.lists.versions:
            packed, cut = self.door.on_file(packed)
        try:
            yield from decompressed([packed], limit_bytes=size_bytes)
        except zlib.error:
            raise FileMismatch("size or compression") from None
        if cut:
            raise OSError("cut")


class Door:
    def __init__(self, name: str, centre: Centre, time: VirtualTime, commune: str) -> None:
        self.name = name
        self.place: Any = DiskPath(Disk())
        self.centre = centre
        self.time = time
        self.channels = (name, every_overlay(name) if name == "mail" else overlay(name, commune))
        self.connection: Connection | None = None
        self.on_file: Callable[[bytes], tuple[bytes, bool]] = lambda packed: (packed, False)
        self.caller = Caller(f"door:{name}", name, None, 4)
        self.start()

    def start(self) -> None:
        """The process begins; what it had not saved is gone."""
        self.drop()
        with self.time.at(skew_s=0.0, booted_at=0.0):
            self.follower = _Door(
                socket_path=self.place, directory=self.place, root_public_key=self.centre.root_public,
                door=self.name, token=lambda: "", channels=self.channels,
            )  # fmt: skip
        self.follower.centre, self.follower.caller = self.centre, self.caller
        self.follower.door = self

    def load_lists(self) -> bool:
        """As one turn of ``DoorLists._run``; False when something is still to be fetched."""
        lists = self.follower._lists
        lists._wake.clear()
        with self.time.at(skew_s=0.0, booted_at=0.0):
            due, _ = lists._due(self.time.monotonic())
            for key, one in due:
                lists._take(key, one, fetch=True)
            if due:
                lists._sweep()
        return not lists.missing()

    def drop(self) -> None:
        if self.connection is not None:
            self.centre.hub.remove(self.connection.subscriber)
            self.connection = None

    def connect(self) -> bool:
        try:
            since = self.follower._session.since()
            self.connection = Connection(self.centre.follow(self.caller, since))
        except Down:
            return False
        return True

    def read(self) -> bool:
        """Read what arrived; False when the connection ended."""
        connection = self.connection
        assert connection is not None
        with self.time.at(skew_s=0.0, booted_at=0.0):
            try:
                while (line := connection.readline(0)).endswith(b"\n"):
                    if not self.follower._receive(line.rstrip(b"\n")):
                        break
            except Pause:
                return True
            except OSError:
                pass
        self.drop()
        return False

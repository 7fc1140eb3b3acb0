"""What of the agent's surroundings is replaced: the centre's link, the loader's child, engines, disks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import beffroi_box.agent
import beffroi_box.bulk
import beffroi_box.download
import beffroi_box.enforce
import beffroi_box.listed
import beffroi_box.resolver
from beffroi_box import load
from beffroi_box.errors import CentreUnreachable
from beffroi_protocol.protected import Floor

from tests.simulation import bulk, bulksets
from tests.simulation.box import CENTRE_ADDRESS, Box, Connection
from tests.simulation.disk import DiskMmap, DiskOs, DiskPath


class _Session:
    """Stands for ``SignedSession``."""

    peer = CENTRE_ADDRESS

    def __init__(self, *_: object) -> None:
        self._box = Box.now_running

    def open_feed(self, path: str, *, read_timeout_s: float) -> Connection:
        return self._box.held(path.replace("%40", "@"))

    def say(self, line: bytes) -> None:
        self._box.say(line)

    def post(self, path: str, body: bytes) -> bytes:
        return self._box.post(path, body)

    def get_file(self, sha256: str, *, start: int) -> bulk.Response:
        box = self._box
        path = (
            box.centre.publisher.file(sha256, box.caller.may_follow) if box.centre.up and box.link else None
        )
        if path is None:
            raise CentreUnreachable("no file")
        packed, cut = box.on_file(path.read_bytes())
        return bulk.answer(packed, start, cut=cut)

    def close(self) -> None:
        """The reader's end of a turn is no end of the connection: see ``Box.read``."""


class _Link:
    """Stands for ``Centre`` (the box's client)."""

    def __init__(self, *_: object) -> None:
        self._box = Box.now_running

    def addresses(self) -> tuple[str, ...]:
        return (CENTRE_ADDRESS,)

    proved = addresses

    def reached(self) -> bool:
        box = self._box
        return box.link and box.centre.up and "203.0.113.66" not in box.engines.rules


_FLOORS = lru_cache(maxsize=256)(Floor)


def _write_names(path: Path, names: Iterable[bytes]) -> int:
    return Box.now_running.engines.write_names(path, names)


def _child(job: load.Job) -> load.Result:
    if isinstance(job, load.Meet):
        return Box.now_running.meet(job)
    return load.sound(load._do(job))


def _nft() -> bulksets.Nft:
    engines = Box.now_running.engines
    return bulksets.Nft(engines.bulk_table, has_rules=engines.has_rules())


def seams() -> list[tuple[Any, str, object]]:
    """What of the agent's surroundings is replaced."""
    return [
        (beffroi_box.agent, "SignedSession", _Session),
        (beffroi_box.agent, "Centre", _Link),
        (beffroi_box.agent, "Kernel", lambda: Box.now_running.engines),
        (beffroi_box.enforce, "Floor", _FLOORS),  # the real floor; 7 ms to build, asked for at every boot
        (beffroi_box.download.MemoryDownload, "fetch", lambda _, wanted: Box.now_running.snapshot(wanted)),
        (beffroi_box.resolver, "write_names", _write_names),
        (load, "write_names", _write_names),
        (load, "run", _child),
        (load, "Path", lambda text: DiskPath(Box.now_running.disk, text)),
        (load, "os", DiskOs()),
        (load, "Floor", _FLOORS),
        (beffroi_box.bulk, "Nft", _nft),
        (beffroi_box.bulk, "SetWriter", lambda _: bulksets.Writer(Box.now_running.engines.bulk_table)),
        (beffroi_box.bulk, "time", SimpleNamespace(sleep=lambda _: None, monotonic=lambda: 0.0)),
        (beffroi_box.download, "os", DiskOs()),
        (beffroi_box.listed, "mmap", DiskMmap()),
        (beffroi_box.resolver.Resolver, "_read", lambda _: Box.now_running.engines.restart_resolver()),
        (beffroi_box.enforce, "own_networks", lambda *_: (Box.now_running.lan,)),
        (beffroi_box.enforce, "gateways", lambda _: ()),
        (beffroi_box.enforce, "translations", lambda _: ()),
        # A child in interfaces of its own; what cuts the box off cuts the LAN off.
        (beffroi_box.enforce, "lan_reaches", lambda *_: True),
    ]

"""What the centre has taken, kept for some days: one that is restored from a backup lacks it, and is told again.

Purpose: each post that the centre took has a number, one higher than the one before. The centre keeps the number up to
         which it has all of a box in the transaction of the facts, so whatever brings its database back brings back
         the number that belongs to it; a box that hears a lower one than its own tells again what lies between.
Once:    a fact keeps its identifier, here as in the spool, so nothing counts twice, however often it is told.
Bounds:  ``keep_s``, a day more at most; MAX_BYTES, and LOOSE posts beside. When there is no room, counts go first,
         oldest first; evidence goes last.
Format:  ``FIRST-LAST-AT.KIND``: numbers, the second in which the last was taken; ``one`` is a post as it was sent,
         ``packed`` several (zlib), ``thin`` their evidence alone (zlib), ``none`` a number alone.
Privacy: what the centre was told, nothing else: no address of the LAN, no name that is not on a list.
Fails:   a full disk keeps nothing more, and is logged; what was told stays told. A damaged file is left out.
Source:  docs/internals/box.md, decision 0050.
"""

from __future__ import annotations

import contextlib
import logging
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.facts import Fact, FactBatch
from beffroi_protocol.messages import VERSION, encode

from beffroi_box.folding import counted
from beffroi_box.store import sync_directory, write_atomic

log = logging.getLogger("beffroi_box.told")

LOOSE = 64
"""Posts in files of their own; more are packed into one."""
MAX_BYTES = 8 * 1024 * 1024
MAX_UNPACKED_BYTES = 16 * 1024 * 1024
DAY_S = 86400
AGAIN_A_POST = 100
ONE, PACKED, THIN, NONE = "one", "packed", "thin", "none"
_BEST = (ONE, PACKED, THIN, NONE)
"""Of two files about the same posts the later one here counts: a crash left the other."""
_NAME = re.compile(r"(\d{1,16})-(\d{1,16})-(\d{1,12})\.(one|packed|thin|none)", re.ASCII)


class _Post(msgspec.Struct):
    """A file of the box's own, as ``FactBatch``: no limit of size."""

    facts: list[msgspec.Raw]


_POST, _FACT = msgspec.json.Decoder(_Post), msgspec.json.Decoder(Fact)


@dataclass(frozen=True)
class Kept:
    """A file: posts ``first`` to ``last``. ``at``: trusted epoch seconds."""

    first: int
    last: int
    at: int
    kind: str

    @property
    def name(self) -> str:
        return f"{self.first}-{self.last}-{self.at}.{self.kind}"


class Told:
    """For one thread at a time: whoever has the spool's lock. ``now`` returns trusted epoch seconds."""

    def __init__(self, directory: Path, *, keep_s: int, now: Callable[[], int]) -> None:
        self._directory = directory
        self._keep_s = keep_s
        self._now = now
        self._files: list[Kept] = []
        self._sizes: dict[Kept, int] = {}
        self.last = 0
        """The number of the newest post that the centre took."""
        self._load()

    def keep(self, number: int, facts: Sequence[Fact], written: Path | None = None) -> None:
        """The centre took post ``number``. ``written``: the spool's own file of these very facts, taken over."""
        self.last = number
        if not self._keep_s:
            return
        one = Kept(number, number, self._now(), ONE)
        path = self._directory / one.name
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Without a second copy on the flash; on a full disk too.
            if written is not None and written.exists():
                written.replace(path)
                sync_directory(self._directory)
            else:
                write_atomic(path, encode(FactBatch(VERSION, tuple(facts))))
            self._sizes[one] = path.stat().st_size
        except OSError as error:
            log.warning("what was told is not kept: %s", error.strerror)
            return
        self._files.append(one)
        self.tidy()

    def tidy(self) -> None:
        """Delete what is too old, pack what is loose, make room."""
        old = [one for one in self._files if self._now() - one.at > self._keep_s]
        for one in old:
            if one is not self._files[-1]:
                self._delete(one)
            elif one.kind != NONE:  # the newest number stays
                self._replace([one], Kept(one.first, one.last, one.at, NONE), ())
        loose = self._loose()
        if loose and (len(loose) >= LOOSE or self._now() - loose[0].at > DAY_S):
            self._pack(loose)
        while (
            sum(size for one, size in self._sizes.items() if one.kind != ONE) > MAX_BYTES
            and self._made_room()
        ):
            pass

    def lacks(self, has: int) -> bool:
        """Whether a centre that has the posts up to ``has`` lacks any that are kept."""
        return has < self.last and any(one.last > has for one in self._files)

    def lacking(self, has: int) -> Iterator[tuple[Kept, FactBatch]]:
        """Yield the posts that bring such a centre what it lacks, evidence of all files first; each belongs to a file.

        Only the last post of a file has a number: it says that all up to there was told. Ends early when a file went
        meanwhile, since its posts may lie in another one now; then the centre still lacks them.
        """
        self._pack([one for one in self._loose() if one.last > has])
        owed = [one for one in self._files if one.last > has]
        after = has
        try:
            for one in owed:
                evidence = [fact for fact in self._read(one) if not counted(fact)]
                for part in batched(evidence, AGAIN_A_POST, strict=False):
                    yield one, FactBatch(VERSION, part)
            for one in owed:
                counts = [fact for fact in self._read(one) if counted(fact)]
                *parts, last = list(batched(counts, AGAIN_A_POST, strict=False)) or [()]
                for part in parts:
                    yield one, FactBatch(VERSION, part)
                yield one, FactBatch(VERSION, last, after, one.last)
                after = one.last
        except FileNotFoundError:
            return

    def drop(self, one: Kept) -> None:
        """The centre will never take it again."""
        if one in self._files:
            self._replace([one], Kept(one.first, one.last, one.at, NONE), ())

    def _loose(self) -> list[Kept]:
        return [one for one in self._files if one.kind == ONE]

    def _pack(self, loose: list[Kept]) -> None:
        """A day's posts into one file: it is deleted when the last of them is too old."""
        while loose:
            day = [one for one in loose if one.at - loose[0].at <= DAY_S]
            loose = loose[len(day) :]
            if len(day) > 1:
                try:
                    facts = [fact for one in day for fact in self._read(one)]
                except FileNotFoundError:
                    self._files = [one for one in self._files if (self._directory / one.name).exists()]
                    return
                self._replace(day, Kept(day[0].first, day[-1].last, day[-1].at, PACKED), facts)

    def _made_room(self) -> bool:
        """Counts first, oldest first."""
        for one in self._files:
            if one.kind == PACKED:
                thin = Kept(one.first, one.last, one.at, THIN)
                return self._replace([one], thin, [fact for fact in self._read(one) if not counted(fact)])
        if not self._files or self._files[0].kind != THIN:
            return False
        log.warning("there is no room to keep all evidence that was told")
        self._delete(self._files[0])
        return True

    def _replace(self, former: list[Kept], new: Kept, facts: Sequence[Fact]) -> bool:
        path = self._directory / new.name
        try:
            write_atomic(path, zlib.compress(encode(FactBatch(VERSION, tuple(facts)))))
            self._sizes[new] = path.stat().st_size
        except OSError as error:
            log.warning("what was told is not packed: %s", error.strerror)
            return False
        at = self._files.index(former[0])
        for one in former:
            self._delete(one)
        self._files.insert(at, new)
        return True

    def _delete(self, one: Kept) -> None:
        with contextlib.suppress(OSError):
            (self._directory / one.name).unlink(missing_ok=True)
        self._files.remove(one)
        self._sizes.pop(one, None)

    def _read(self, one: Kept) -> tuple[Fact, ...]:
        """Errors: FileNotFoundError."""
        try:
            data = (self._directory / one.name).read_bytes()
            if one.kind != ONE:
                data = zlib.decompressobj().decompress(data, MAX_UNPACKED_BYTES)
            return kept_facts(data)
        except FileNotFoundError:
            raise
        except (OSError, zlib.error, *UNDECODABLE) as error:
            log.warning("%s of what was told is unusable (%s)", one.name, type(error).__name__)
            return ()

    def _load(self) -> None:
        if not self._directory.exists():
            return
        found: list[Kept] = []
        for path in list(self._directory.iterdir()):
            if (match := _NAME.fullmatch(path.name)) is None:
                path.unlink(missing_ok=True)  # half written when the power went
                continue
            one = Kept(int(match[1]), int(match[2]), int(match[3]), match[4])
            found.append(one)
            self._sizes[one] = path.stat().st_size
        self._files = sorted(found, key=lambda one: (one.last, one.first))
        for one in found:
            if any(_stands_for(other, one) for other in found):
                self._delete(one)
        self.last = max((one.last for one in self._files), default=0)


def kept_facts(data: bytes) -> tuple[Fact, ...]:
    """The facts of a file of this box; one that only later software knows, which was taken back, is left out.

    Errors: UNDECODABLE's."""
    found: list[Fact] = []
    for raw in _POST.decode(data).facts:
        try:
            found.append(_FACT.decode(raw))
        except UNDECODABLE:
            log.warning("a fact that this software does not know is left out")
    return tuple(found)


def _stands_for(other: Kept, one: Kept) -> bool:
    covers = other.first <= one.first and one.last <= other.last
    return covers and _BEST.index(other.kind) > _BEST.index(one.kind)

"""Scores of devices in sliding windows: when many signs of one device become an alarm.

Purpose: one ``Commune`` a collectivité, one ``Window`` a device (id of its app password). A file alone never alarms;
         what counts is what one device did within an hour or a day, and what several devices did together within an
         hour.
Process: pure state, changed by ``add`` alone; no clock (times are given), no I/O. One change costs a look-up where it
         carries no sign, which is nearly all of them. Memory: EVIDENCE_KEPT and PAIRS_KEPT entries a device at most.
Hostile: order and times of changes: late and early ones are put in their place, so that any order ends in the same
         alarm; a time after ``now_s`` counts as now. Floods push out the weakest and oldest entries first.
Fails:   towards quiet: what is not understood adds no points.
Wiring:  ``drive.sentry``. What is saved stands beside the number of the last change that was added: after a crash those
         after it are added again (the same change twice counts once).
Source:  docs/internals/ransomware.md; docs/decisions/0069-structure-against-the-version-before.md.
"""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import dataclass

import msgspec

from beffroi.drive.guard import signs
from beffroi.drive.guard.kinds import by_name, extension
from beffroi.drive.guard.pairs import Half, Pair, Pairs, hashed
from beffroi.drive.guard.signs import Change, Sign

EVIDENCE_KEPT = 512


@dataclass(frozen=True)
class Thresholds:
    """Points of a sign (a field of its name), and how many of them within a window are an alarm. Chosen by the
    tables of docs/internals/ransomware.md.

    ``one_group_factor``: evidence that is all of one kind of file needs so many times more: a faulty program of one
    trade writes one kind, ransomware takes what is there. ``several_*``: devices together, each with ``several_least``.
    ``many_folders``: from so many folders on, sealing, renaming and notes count in full.
    """

    hour_s: float = 3600.0
    hour_points: float = 30.0
    day_s: float = 86400.0
    day_points: float = 50.0
    one_group_factor: float = 2.0
    several_points: float = 40.0
    several_least: float = 10.0
    many_folders: int = 3
    lost: float = 10.0
    replaced: float = 10.0
    known: float = 8.0
    container: float = 6.0
    note: float = 5.0
    holes: float = 5.0
    noise: float = 4.0
    kind: float = 3.0
    no_overlap: float = 1.0
    suffix: float = 1.0
    scrambled: float = 1.0
    torn: float = 0.5
    replaced_sealed: float = 3.0
    replaced_sealed_few_folders: float = 0.5
    packed: float = 5.0
    sealed: float = 0.3
    sealed_few_folders: float = 0.1


RULES = Thresholds()
_SPOILED = frozenset(
    (Sign.LOST, Sign.REPLACED, Sign.KNOWN, Sign.CONTAINER, Sign.HOLES, Sign.NOISE, Sign.PACKED)
)
"""Signs of what cannot be read any more, each by itself."""


class Evidence(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One sign. ``group``: kind of the file it was, or what else this is evidence of. ``folder``, ``mark``: hashes.
    ``number``: of the change that gave it, 0 in what was saved before changes said theirs."""

    at_s: float
    node: str
    sign: Sign
    group: str
    folder: str
    mark: str = ""
    number: int = 0


class Alarm(msgspec.Struct, frozen=True):
    """One device, or one of several that act together.

    ``since_s``: when the first sign was given; ``since``: by which change, the first of them: what the device did from
    it on is to be taken back, whatever the clock said meanwhile. 0: not known. ``files``: different files with signs.
    ``signs``: how often each.
    """

    device: str
    since_s: float
    files: int
    signs: dict[Sign, int]
    since: int = 0


class Window(msgspec.Struct):
    """What is remembered of one device. ``evidence`` in order of time. ``alarmed_s``: event time of its alarm, 0
    before one."""

    evidence: list[Evidence] = msgspec.field(default_factory=list)
    alarmed_s: float = 0.0
    forgotten_s: float = 0.0

    def add(self, found: list[Evidence], now_s: float, device: str = "") -> Alarm | None:
        """Return the alarm that this evidence makes; None, too, after one that stands.

        Units: ``now_s`` in epoch seconds, not before the newest change by more than clocks differ.
        """
        found = [one for one in found if one.at_s >= self.forgotten_s and self._remember(one)]
        self._forget(now_s - RULES.day_s)
        if not found or self.alarmed_s:
            return None
        first = min(one.at_s for one in found)
        for at_s in sorted({one.at_s for one in self.evidence if first <= one.at_s <= first + RULES.day_s}):
            for length_s, least in ((RULES.hour_s, RULES.hour_points), (RULES.day_s, RULES.day_points)):
                within = self.within(at_s - length_s, at_s)
                if score(within) >= least:
                    return self.alarm(device, within, at_s)
        return None

    def alarm(self, device: str, within: list[Evidence], at_s: float) -> Alarm:
        """The alarm of what was seen together by ``at_s``, and of what its device spoiled earlier that day: who tries
        on a few files first, and goes on hours later, is to be taken back from the first one on."""
        self.alarmed_s = at_s
        earlier = self.within(at_s - RULES.day_s, at_s)
        evidence = [one for one in earlier if one.sign in _SPOILED or one.at_s >= within[0].at_s]
        return Alarm(
            device=device,
            since_s=evidence[0].at_s,
            files=len({one.node for one in evidence}),
            signs=dict(Counter(one.sign for one in evidence)),
            since=min(one.number for one in evidence),
        )

    def within(self, from_s: float, to_s: float) -> list[Evidence]:
        """Evidence of [from_s, to_s], in order of time."""
        low = bisect.bisect_left(self.evidence, from_s, key=lambda one: one.at_s)
        high = bisect.bisect_right(self.evidence, to_s, key=lambda one: one.at_s)
        return self.evidence[low:high]

    def _remember(self, one: Evidence) -> bool:
        """Once for each file and sign; whether it is new."""
        if any(other.node == one.node and other.sign == one.sign for other in self.evidence):
            return False
        bisect.insort(self.evidence, one)
        if len(self.evidence) > EVIDENCE_KEPT:
            weak = (Sign.NOTE, Sign.SEALED, Sign.TORN, Sign.SUFFIX, Sign.SCRAMBLED, Sign.NO_OVERLAP)
            self.evidence.remove(next((old for old in self.evidence if old.sign in weak), self.evidence[0]))
        return True

    def _forget(self, before_s: float) -> None:
        if self.evidence and self.evidence[0].at_s < before_s:
            del self.evidence[: bisect.bisect_left(self.evidence, before_s, key=lambda one: one.at_s)]


def _signs(change: Change, at_s: float) -> list[Evidence]:
    """What the change says by itself."""
    before = change.before.kind if change.before else by_name(change.name_before or change.name)
    group = before or extension(change.name_before or change.name)
    found = []
    for sign in signs.of(change):
        kind, mark = group, ""
        if sign is Sign.NOTE:
            kind, mark = "note", hashed(change.name)
        elif sign in {Sign.SUFFIX, Sign.KNOWN}:
            mark = hashed(extension(change.name))
        found.append(Evidence(at_s, change.node, sign, kind, hashed(change.folder), mark, change.number))
    return found


def _of_pair(pair: Pair) -> Evidence:
    lost, copy = pair.lost, pair.copy
    # A document that is saved with a password as another one weighs as one that is saved so in its place.
    sign = Sign.SEALED if copy.is_document else Sign.REPLACED_SEALED if copy.sealed else Sign.REPLACED
    first_s, first = min(lost.at_s, copy.at_s), min(lost.number, copy.number)
    return Evidence(first_s, lost.node, sign, lost.group, pair.folder, number=first)


def _of_folder(change: Change, archive: Half, at_s: float) -> Evidence:
    """Once for an archive, however many files are deleted."""
    kind = change.before.kind if change.before else ""
    folder = hashed(change.folder)
    return Evidence(at_s, archive.node, Sign.PACKED, kind, folder, number=change.number)


def score(evidence: list[Evidence]) -> float:
    """Points of what was seen together; divided where it is all of one group."""
    points = _unhalved(evidence)
    groups = {one.group for one in evidence}
    return points / RULES.one_group_factor if len(groups) <= 1 else points


def _unhalved(evidence: list[Evidence]) -> float:
    """Points of each sign, by how many folders it is in."""
    folders: dict[Sign, set[str]] = {}
    places: dict[tuple[Sign, str], set[str]] = {}
    for one in evidence:
        folders.setdefault(one.sign, set()).add(one.folder)
        places.setdefault((one.sign, one.mark), set()).add(one.folder)
    return sum(
        _worth(
            one.sign,
            many=len(folders[one.sign]) >= RULES.many_folders,
            spread=len(places[one.sign, one.mark]) >= RULES.many_folders,
        )
        for one in evidence
    )


def _worth(sign: Sign, *, many: bool, spread: bool) -> float:
    if sign in {Sign.NOTE, Sign.SUFFIX, Sign.SCRAMBLED} and not spread:
        return 0.0
    field = sign.name.lower()
    if sign in {Sign.SEALED, Sign.REPLACED_SEALED} and not many:
        field += "_few_folders"
    return float(getattr(RULES, field))


class Commune(msgspec.Struct):
    """The windows of all devices of one collectivité that gave a sign within a day, and halves of pairs by person."""

    windows: dict[str, Window] = msgspec.field(default_factory=dict)
    pairs: dict[str, Pairs] = msgspec.field(default_factory=dict)

    def add(self, device: str, change: Change, now_s: float, person: str = "") -> list[Alarm]:
        """Return the alarms that this change makes: of its device, and of others with which it acts. ``person``: whose
        device it is."""
        at_s = min(change.at_s, now_s)
        known = self.windows.get(device)
        if known is not None and at_s < known.forgotten_s:
            return []
        devices = {device, change.spoiler or device}
        found = {one: _signs(change, at_s) for one in devices}
        pairs = self.pairs.get(person or device) or Pairs()
        if pair := pairs.add(change, at_s, device):
            for one in {pair.lost.device, pair.copy.device} | devices:
                found.setdefault(one, []).append(_of_pair(pair))
        if archive := pairs.packed(change):
            for one in (device, archive.device or device):
                found.setdefault(one, []).append(_of_folder(change, archive, at_s))
        pairs.forget(now_s - RULES.day_s)
        if pairs.halves or pairs.paired:
            self.pairs[person or device] = pairs
        alarms, is_new = list[Alarm](), False
        for name, evidence in found.items():
            window = self.windows.get(name) or Window()
            before = (len(window.evidence), window.alarmed_s)
            if alarm := window.add(evidence, now_s, name):
                alarms.append(alarm)
            if (len(window.evidence), window.alarmed_s) != before:
                self.windows[name] = window
                is_new = is_new or len(window.evidence) > before[0]
        return alarms or (self._together(self.windows[device], at_s) if is_new else [])

    def wants_look(self, person: str, change: Change) -> bool:
        """Whether the content of a new file may say something now; else it may when something that it could be made of
        is deleted (``beside``), and a thousand uploads cost no thousand looks."""
        if signs.is_known_extension(change.name):
            return True
        pairs = self.pairs.get(person)
        return pairs is not None and pairs.wants_look(change)

    def _together(self, window: Window, at_s: float) -> list[Alarm]:
        ends = sorted(
            {one.at_s for one in window.evidence if at_s <= one.at_s <= at_s + RULES.hour_s} | {at_s}
        )
        for end_s in ends:
            seen = {name: other.within(end_s - RULES.hour_s, end_s) for name, other in self.windows.items()}
            those = tuple(
                sorted(name for name, evidence in seen.items() if _unhalved(evidence) >= RULES.several_least)
            )
            # A copy by one device and a deletion by another are one file.
            merged = sorted({one for name in those for one in seen[name]})
            if len(those) < 2 or score(merged) < RULES.several_points:
                continue
            alarms = []
            for name in those:
                if not self.windows[name].alarmed_s:
                    alarms.append(self.windows[name].alarm(name, seen[name], end_s))
            return alarms
        return []

    def settle(self, device: str, now_s: float) -> None:
        """A person judged the device: its past is forgotten, and what comes late from it, too."""
        self.windows[device] = Window(forgotten_s=now_s)
        for pairs in self.pairs.values():
            pairs.settle(device)

    def set_right(self, now_s: float) -> None:
        """The clock was set back, or may have been: what was seen by one that ran ahead counts as seen now. Else what
        follows would lie in no window with it, and a device that was settled then be judged by nobody for as long."""
        for window in self.windows.values():
            window.evidence = sorted(
                msgspec.structs.replace(one, at_s=min(one.at_s, now_s)) for one in window.evidence
            )
            window.forgotten_s = min(window.forgotten_s, now_s)
        for pairs in self.pairs.values():
            pairs.set_right(now_s)

    def forget(self, now_s: float) -> None:
        """Leave out devices that gave no sign for a day; once in a while."""
        limit_s = now_s - RULES.day_s
        for device, window in list(self.windows.items()):
            newest = max((one.at_s for one in window.evidence), default=window.forgotten_s)
            if newest < limit_s and not window.alarmed_s:
                del self.windows[device]
        for person, pairs in list(self.pairs.items()):
            if max((one.at_s for one in pairs.every()), default=0.0) < limit_s:
                del self.pairs[person]

    def save(self) -> bytes:
        """The state as it is now, for ``restore``."""
        return _ENCODER.encode(self)

    @staticmethod
    def restore(data: bytes) -> Commune:
        """Errors: msgspec.DecodeError where ``data`` is not what ``save`` gave."""
        return _DECODER.decode(data)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Commune)

"""The kernel's sets of bulk lists, and the two ways into them, for the real ``beffroi_box.bulk``.

Stands in: libnftables (``Nft``) and the netlink socket (``SetWriter``). One text, one commit is one transaction: all of
         it or nothing. What is blocked is what the rules ask, with their masks, never a set that merely exists.
Fails:   ``dies``: the loader is killed at transactions to come, before or after the kernel took them.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from beffroi_box.errors import LoadFailed, RulesRefused
from beffroi_box.netlink import NEWSETELEM, Operation
from beffroi_box.ruleset import TABLE

_SET = re.compile(rf"add set inet {TABLE} (\w+) \{{ type ipv4_addr; size (\d+); \}}")
_RULE = re.compile(rf"add rule inet {TABLE} (\w+) ((?:ip [sd]addr(?: & \S+)?(?: !=)? @\w+ )+)goto \w+")
_ASKED = re.compile(r"(?: & (\S+))?(?: !=)? @(\w+)")
_MARKED = re.compile(
    rf"add rule inet {TABLE} (bulk_\w+ .*ct (state|mark) .*|bulk_\w+ meta nfproto ipv4 goto blocked_\w+)"
)
_OTHER = re.compile(rf"(flush chain|delete set|destroy chain) inet {TABLE} (\w+)")


@dataclass
class _State:
    """``rules``: chain -> (prefix length, name of the set)."""

    sizes: dict[str, int] = field(default_factory=dict)
    elements: dict[str, set[int]] = field(default_factory=dict)
    rules: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(
            dict(self.sizes),
            {name: set(some) for name, some in self.elements.items()},
            {chain: list(some) for chain, some in self.rules.items()},
        )


class BulkTable:
    """``blocked``: what the rules refuse, in and out. ``dies``: at which transaction each coming load is killed."""

    def __init__(self) -> None:
        self.dies: list[int] = []
        self.dies_late = False
        self.clear()

    def clear(self) -> None:
        self._state = _State()
        self.cut = False  # a load was killed, and none was whole since
        self.blocked: frozenset[str] = frozenset()

    def run(self, text: str) -> str:
        """nft. Errors: RulesRefused."""
        if text == f"list table inet {TABLE}":
            return self._listed()
        if text:
            after = self._state.copy()
            for line in text.splitlines():
                _apply(after, line)
            self._take(after)
        return ""

    def commit(self, operations: Iterable[Operation]) -> None:
        """netlink. Errors: OSError."""
        after = self._state.copy()
        for one in operations:
            assert one.verb == NEWSETELEM
            if one.set_name not in after.sizes:
                raise OSError(errno.ENOENT, "no such set")
            some = after.elements[one.set_name]
            some.update(int.from_bytes(element[-4:]) for element in one.elements)
            if len(some) > after.sizes[one.set_name]:
                raise OSError(errno.ENFILE, "the set is full")
        self._take(after)

    def _take(self, after: _State) -> None:
        dies = self.dies[:1] == [1]
        if dies:
            del self.dies[0]
        elif self.dies:
            self.dies[0] -= 1
        self.cut = dies or (self.cut and after.rules == self._state.rules)
        if not dies or self.dies_late:
            self._state = after
            self.blocked = self._asked("bulk_in") & self._asked("bulk_out")
        if dies:
            raise LoadFailed("loader", "killed")

    def idle(self) -> set[str]:
        """The sets that no rule asks; what a killed load left is the next one's to delete."""
        if self.cut:
            return set()
        return self._state.sizes.keys() - {name for some in self._state.rules.values() for _, name in some}

    def _asked(self, chain: str) -> frozenset[str]:
        return frozenset(
            _block(length, number)
            for length, name in self._state.rules.get(chain, ())
            for number in self._state.elements[name]
        )

    def _listed(self) -> str:
        sets = [f"set {n} {{\n type ipv4_addr\n size {size}\n }}" for n, size in self._state.sizes.items()]
        rules = [
            f"ip saddr @{name} goto somewhere" for some in self._state.rules.values() for _, name in some
        ]
        return "\n".join((*sets, *rules))


def _apply(state: _State, line: str) -> None:
    """Errors: RulesRefused."""
    if found := _SET.fullmatch(line):
        if state.sizes.setdefault(found[1], int(found[2])) != int(found[2]):
            raise RulesRefused("File exists")
        state.elements.setdefault(found[1], set())
    elif found := _RULE.fullmatch(line):
        for mask, name in _ASKED.findall(found[2]):
            if name not in state.sizes:
                raise RulesRefused("No such file or directory")
            length = int(IPv4Address(mask)).bit_count() if mask else 32
            state.rules.setdefault(found[1], []).append((length, name))
    elif _MARKED.fullmatch(line):
        pass  # which connections are asked again is the real kernel's matter (tests/integration)
    elif found := _OTHER.fullmatch(line):
        what, name = found[1], found[2]
        if what != "delete set":
            state.rules.pop(name, None)
        elif name not in state.sizes or any(name == s for some in state.rules.values() for _, s in some):
            raise RulesRefused("Device or resource busy")
        else:
            del state.sizes[name], state.elements[name]
    else:
        raise AssertionError(f"the stories know no such line: {line}")


def _block(length: int, number: int) -> str:
    address = str(IPv4Address(number))
    return address if length == 32 else f"{address}/{length}"


class Nft:
    """Stands for ``libnftables.Nft``. ``has_rules``: whether the box's table is there at all."""

    def __init__(self, table: BulkTable, *, has_rules: bool) -> None:
        self._table = table
        self._has_rules = has_rules

    def run(self, text: str) -> str:
        if not self._has_rules:
            raise RulesRefused("No such file or directory")
        return self._table.run(text)

    def close(self) -> None:
        """Nothing is held."""


class Writer:
    """Stands for ``netlink.SetWriter``."""

    def __init__(self, table: BulkTable) -> None:
        self._table = table

    def commit(self, operations: Sequence[Operation]) -> None:
        self._table.commit(operations)

    def close(self) -> None:
        """Nothing is held."""

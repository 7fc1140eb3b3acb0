"""Writes to the kernel: the policy's rules by nft, the deny entries by raw netlink.

Process: the agent, as root, in the box's network namespace.
Fails:   each call is one kernel transaction: all or nothing.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Mapping, Sequence

from beffroi_box.errors import RulesRefused
from beffroi_box.inspectrules import MARK_RULE, MARKED, NATIVE, PROBE
from beffroi_box.netlink import (
    DELSETELEM,
    DESTROYSETELEM,
    NEWSETELEM,
    Operation,
    SetWriter,
    address_element,
    network_elements,
)
from beffroi_box.ruleset import TABLE

NFT_TIMEOUT_S = 60


class Kernel:
    def __init__(self) -> None:
        self._writer = SetWriter(TABLE)
        self._has_queue: bool | None = None

    def apply_rules(self, text: str) -> None:
        """Errors: RulesRefused."""
        try:
            done = subprocess.run(
                ["/usr/sbin/nft", "-f", "-"],
                input=text,
                capture_output=True,
                text=True,
                timeout=NFT_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RulesRefused(type(error).__name__) from None
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise RulesRefused(lines[0][:200] if lines else done.returncode)

    def has_rules(self) -> bool:
        done = subprocess.run(
            ["/usr/sbin/nft", "-t", "list", "chain", "inet", TABLE, "deny_in"],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0 and b"@hot4" in done.stdout

    def queue_way(self) -> str:
        """Return how this kernel hands packets to a program: NATIVE, MARKED (the rule that takes what is marked is
        loaded here), or "" for neither."""
        if self._has_queue is None:
            self._has_queue = _succeeds(["/usr/sbin/nft", "-c", "-f", "-"], PROBE)
        if self._has_queue:
            return NATIVE
        for tool in ("/usr/sbin/iptables-nft", "/usr/sbin/ip6tables-nft"):
            if not _succeeds([tool, "-w", "-C", *MARK_RULE]) and not _succeeds(
                [tool, "-w", "-A", *MARK_RULE]
            ):
                return ""
        return MARKED

    def change(
        self,
        add_ms: Mapping[str, int],
        remove: Sequence[str],
        networks: Sequence[str] | None,
        spares: Sequence[str] | None = None,
    ) -> None:
        """Add and remove addresses, and swap all prefixes (``networks``), all exceptions (``spares``) if given.

        Errors: RulesRefused.

        Each added address is destroyed first: an older kernel keeps the timeout of an element it has.
        """
        operations: list[Operation] = []
        for name, colon in (("hot4", False), ("hot6", True)):
            mine = [a for a in (*add_ms, *remove) if (":" in a) is colon]
            if mine:
                operations.append(Operation(DESTROYSETELEM, name, [address_element(a) for a in mine]))
            added = [address_element(a, timeout_ms=ms) for a, ms in add_ms.items() if (":" in a) is colon]
            if added:
                operations.append(Operation(NEWSETELEM, name, added))
        if networks is not None:
            operations += _swap("cold", networks)
        if spares is not None:
            operations += _swap("spare", spares)
        self._commit(operations)

    def refuse_for_a_while(self, address: str, life_ms: int) -> None:
        """Refuse the flows that this source begins, here only. Errors: RulesRefused."""
        name = "local6" if ":" in address else "local4"
        self._commit([
            Operation(DESTROYSETELEM, name, [address_element(address)]),
            Operation(NEWSETELEM, name, [address_element(address, timeout_ms=life_ms)]),
        ])  # fmt: skip

    def replace_all(
        self, hot_ms: Mapping[str, int], networks: Sequence[str], spares: Sequence[str] = ()
    ) -> None:
        """Make the deny sets exactly these, in one transaction. Errors: RulesRefused."""
        operations: list[Operation] = []
        for name, colon in (("hot4", False), ("hot6", True)):
            operations.append(Operation(DELSETELEM, name))
            added = [address_element(a, timeout_ms=ms) for a, ms in hot_ms.items() if (":" in a) is colon]
            operations.append(Operation(NEWSETELEM, name, added))
        self._commit(operations + _swap("cold", networks) + _swap("spare", spares))

    def _commit(self, operations: Sequence[Operation]) -> None:
        try:
            self._writer.commit(operations)
        except OSError as error:
            raise RulesRefused(errno.errorcode.get(error.errno or 0, type(error).__name__)) from None

    def close(self) -> None:
        self._writer.close()


def _succeeds(argv: Sequence[str], text: str = "") -> bool:
    try:
        done = subprocess.run(
            argv, input=text, text=True, capture_output=True, timeout=NFT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _swap(sets: str, networks: Sequence[str]) -> list[Operation]:
    operations = []
    for name, colon in ((f"{sets}4", False), (f"{sets}6", True)):
        operations.append(Operation(DELSETELEM, name))
        mine = [network_elements(n) for n in networks if (":" in n) is colon]
        operations.append(Operation(NEWSETELEM, name, mine))
    return operations

"""Raw netlink writer for elements of nftables sets: the path where seconds matter.

Purpose: add and remove addresses in tens of microseconds. libnftables reads a whole interval set before each
         add (0.5 to 1.2 s at 100,000 prefixes) and forking nft costs 2 to 10 ms; the kernel itself needs O(log n).
Process: the agent, CAP_NET_ADMIN in the box's network namespace.
Fails:   one batch is one kernel transaction: all of it, or OSError and nothing.
Source:  linux/netfilter/nf_tables.h, nfnetlink.h; kernel 6.3 or later (DESTROYSETELEM).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_CAP_ACK = 270, 10
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
NLMSG_ERROR = 2
BATCH_BEGIN, BATCH_END = 16, 17
SUBSYS_NFTABLES = 10
NEWSETELEM, DELSETELEM, DESTROYSETELEM = 12, 14, 30
REQUEST, ACK, CREATE = 1, 4, 0x400
NESTED = 0x8000
FAMILY_INET, FAMILY_BRIDGE = 1, 7
INTERVAL_END = 1
MESSAGE_LIMIT_BYTES = 60000  # an attribute's length has 16 bits
SEND_BUFFER_BYTES = 64 << 20


@dataclass(frozen=True)
class Operation:
    """One set and what to do with encoded elements. ``verb``: NEWSETELEM, DESTROYSETELEM, or DELSETELEM with no
    elements, which empties the set."""

    verb: int
    set_name: str
    elements: Sequence[bytes] = ()


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def _element(key: bytes, *, timeout_ms: int = 0, interval_end: bool = False) -> bytes:
    body = attribute(1 | NESTED, attribute(1, key))
    if interval_end:
        body += attribute(3, struct.pack(">I", INTERVAL_END))
    elif timeout_ms:
        body += attribute(4, struct.pack(">Q", timeout_ms))
    return attribute(1 | NESTED, body)


def address_element(address: str, *, timeout_ms: int = 0) -> bytes:
    """Encode one address for a hash set. Errors: ValueError."""
    return _element(ipaddress.ip_address(address).packed, timeout_ms=timeout_ms)


def key_encoder(bits: int) -> Callable[[int], bytes]:
    """Return what encodes an address, given as a number, for a hash set: for a million of them at once."""
    size = bits // 8
    head = _element(bytes(size))[:-size]
    return lambda number: head + number.to_bytes(size)


def network_elements(network: str) -> bytes:
    """Encode one prefix for an interval set: its first address, and the first one after it as the end."""
    parsed = ipaddress.ip_network(network)
    size = len(parsed.network_address.packed)
    after = int(parsed.broadcast_address) + 1
    encoded = _element(parsed.network_address.packed)
    if after < 1 << (8 * size):  # the last prefix of the address space has no end element
        encoded += _element(after.to_bytes(size, "big"), interval_end=True)
    return encoded


class NetlinkBatch:
    """Builds the bytes of one transaction; pure, so that tests can compare them."""

    def __init__(self, table: str, *, first_sequence: int = 1) -> None:
        self._table = table
        self.sequence = first_sequence
        self._parts = [self._message(BATCH_BEGIN, REQUEST, 0, SUBSYS_NFTABLES)]

    def add(self, operation: Operation) -> None:
        head = attribute(1, self._table.encode() + b"\0") + attribute(2, operation.set_name.encode() + b"\0")
        if operation.verb == DELSETELEM and not operation.elements:
            self._append(operation.verb, head)
            return
        chunk: list[bytes] = []
        size = 0
        for element in operation.elements:
            if size + len(element) > MESSAGE_LIMIT_BYTES:
                self._append(operation.verb, head + attribute(3 | NESTED, b"".join(chunk)))
                chunk, size = [], 0
            chunk.append(element)
            size += len(element)
        if chunk:
            self._append(operation.verb, head + attribute(3 | NESTED, b"".join(chunk)))

    def finish(self) -> bytes:
        self._parts.append(self._message(BATCH_END, REQUEST | ACK, 0, SUBSYS_NFTABLES))
        return b"".join(self._parts)

    def _append(self, verb: int, payload: bytes) -> None:
        flags = REQUEST | (CREATE if verb == NEWSETELEM else 0)
        self._parts.append(self._message(SUBSYS_NFTABLES << 8 | verb, flags, FAMILY_INET, 0, payload))

    def _message(self, kind: int, flags: int, family: int, resource: int, payload: bytes = b"") -> bytes:
        self.sequence += 1
        body = struct.pack(">BBH", family, 0, resource) + payload
        return struct.pack("=IHHII", 16 + len(body), kind, flags, self.sequence, 0) + body


class SetWriter:
    """One netlink socket; safe for several threads."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._sequence = 1
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        for option, size in ((SO_SNDBUFFORCE, SEND_BUFFER_BYTES), (SO_RCVBUFFORCE, 4 << 20)):
            self._socket.setsockopt(socket.SOL_SOCKET, option, size)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self._socket.settimeout(30)

    def commit(self, operations: Iterable[Operation]) -> None:
        """Apply all in one kernel transaction. Errors: OSError (nothing was changed)."""
        with self._lock:
            batch = NetlinkBatch(self._table, first_sequence=self._sequence)
            for operation in operations:
                batch.add(operation)
            data = batch.finish()
            self._sequence = batch.sequence
            self._socket.send(data)
            self._await(batch.sequence)

    def _await(self, last: int) -> None:
        failure = 0
        while True:
            answer = self._socket.recv(1 << 18)
            offset = 0
            while offset + 16 <= len(answer):
                length, kind, _, sequence, _ = struct.unpack_from("=IHHII", answer, offset)
                if kind == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", answer, offset + 16)[0]
                    failure = failure or code
                    if sequence == last or code:
                        self._finish(failure)
                        return
                offset += (length + 3) & ~3

    def _finish(self, failure: int) -> None:
        if not failure:
            return
        # An aborted batch may send one error for each message: leave none for the next transaction.
        self._socket.setblocking(False)
        try:
            while self._socket.recv(1 << 18):
                pass
        except BlockingIOError:
            pass
        finally:
            self._socket.settimeout(30)
        raise OSError(failure, errno.errorcode.get(failure, "?"))

    def close(self) -> None:
        self._socket.close()

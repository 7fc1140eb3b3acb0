"""What every format brings, and how a bare text is given a kind. Pure.

Input: hostile text. Only its shape is judged here; the centre makes it canonical and asks the protected list.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from beffroi_protocol.indicators import MAX_VALUE_BYTES, Kind

from beffroi.watch.sources.errors import TooBig
from beffroi.watch.sources.handover import MAX_VALUES, Note

KINDS = (Kind.IP, Kind.CIDR, Kind.DOMAIN, Kind.URL, Kind.SHA256, Kind.SENDER)
"""What a source may name; a sketch is our own notion."""
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_NAME = re.compile(r"[^\s/:@]+\.[^\s/:@]*[^\s/:@.0-9][^\s/:@]*\.?")
_SENDER = re.compile(r"[^\s@/]+@[^\s@/]+\.[^\s@/]+")
_ADDRESS_PORT = re.compile(r"\[?([0-9.]{7,15}|[0-9a-fA-F:]{2,45})\]?[:|]([0-9]{1,5})")


@dataclass(frozen=True)
class Value:
    """``valid_until``: UTC epoch seconds, 0 for none. ``withdrawn``: its publisher takes it back."""

    kind: str
    value: str
    valid_until: int = 0
    withdrawn: bool = False


@dataclass
class Found:
    """What was read. ``invalid``: cannot be what it claims; ``unsupported``: a sort of indicator that is not used."""

    values: list[Value] = field(default_factory=list)
    invalid: int = 0
    unsupported: int = 0
    notes: list[Note] = field(default_factory=list)

    def add(self, value: Value | None) -> None:
        """Errors: TooBig."""
        if (
            value is None
            or len(value.value.encode("utf-8", "replace")) > MAX_VALUE_BYTES
            or _breaks(value.value)
        ):
            self.invalid += 1
            return
        if len(self.values) >= MAX_VALUES:
            raise TooBig(f"{MAX_VALUES} indicators")
        self.values.append(value)


def _breaks(text: str) -> bool:
    return any(ord(sign) < 0x20 or 0xD800 <= ord(sign) < 0xE000 for sign in text)


def refanged(text: str) -> str:
    """Undo what reports do so that nobody follows a link by accident: ``hxxp://a[.]b``."""
    bare = text.strip().replace("[.]", ".").replace("(.)", ".").replace("[:]", ":")
    return "http" + bare[4:] if bare[:4].lower() == "hxxp" else bare


def of_text(text: str) -> Value | None:
    """Give a bare text the kind that its shape says; None when it has none."""
    bare = refanged(text)
    kind = _kind(bare)
    if kind is None and (found := _ADDRESS_PORT.fullmatch(bare)):
        bare = found[1]
        kind = _kind(bare)
    return None if kind is None else Value(kind.value, bare)


def _kind(bare: str) -> Kind | None:
    if "://" in bare:
        return Kind.URL
    if _SHA256.fullmatch(bare):
        return Kind.SHA256
    try:
        network = ipaddress.ip_network(bare, strict=False)
    except ValueError:
        pass
    else:
        return Kind.CIDR if "/" in bare and network.num_addresses > 1 else Kind.IP
    if _SENDER.fullmatch(bare):
        return Kind.SENDER
    return Kind.DOMAIN if _NAME.fullmatch(bare) else None


def lines(text: str) -> Iterator[str]:
    """Lines with content, without comments (``#``, ``;``, ``//``)."""
    for line in text.splitlines():
        bare = line.strip()
        if bare and not bare.startswith(("#", ";", "//")):
            yield bare

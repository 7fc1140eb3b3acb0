"""Records for whoever publishes them: a zone file, and lines to copy into a provider's form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from beffroi.mail.domains.records import Record


@dataclass(frozen=True)
class Line:
    """One record as forms ask for it. ``host``: relative to the domain, "@" for the domain itself; ``value``: in one
    piece, as most forms want it; ``strings``: the same quoted, in strings of 255 bytes at most; empty if not a TXT."""

    host: str
    type: str
    value: str
    strings: str
    record: Record


def relative(name: str, domain: str) -> str:
    if name == domain:
        return "@"
    return name.removesuffix(f".{domain}")


def lines(domain: str, records: Iterable[Record]) -> list[Line]:
    return [
        Line(
            relative(one.name, domain),
            one.type,
            one.data,
            one.rdata if one.type == "TXT" and one.rdata != f'"{one.data}"' else "",
            one,
        )
        for one in records
    ]


def zone_file(domain: str, records: Sequence[Record]) -> str:
    """A part of a zone file (RFC 1035), without SOA and NS: those are the server's own."""
    texts = [f"$ORIGIN {domain}."]
    texts += [f"{relative(one.name, domain)}\t{one.ttl_s}\tIN\t{one.type}\t{one.rdata}" for one in records]
    return "\n".join(texts) + "\n"

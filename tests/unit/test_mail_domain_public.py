"""Name servers of strangers are asked at public addresses alone, in whatever spelling a zone names others."""

from __future__ import annotations

from typing import Any, cast

import dns.query
import pytest
from beffroi.mail.domains import delegation, meeting
from beffroi.mail.domains.asking import Answer, Asker

INSIDE = ("10.0.0.1", "127.0.0.1", "224.0.0.1", "::1", "64:ff9b::a00:1", "2002:a00:1::1", "::ffff:10.0.0.1")
OUTSIDE = ("2001:678::1", "194.0.9.1")


class Names:
    """Every name has these addresses; whom it was asked to ask is noted."""

    def __init__(self) -> None:
        self.met: list[str] = []

    def ask(self, _name: str, kind: str) -> Answer:
        rows = {
            "NS": ("ns1.example.", "ns2.example."),
            "SOA": ("x",),
            "AAAA": tuple(a for a in ALL if ":" in a),
        }
        return Answer("found", rows.get(kind, ()))

    def addresses(self, _name: str) -> set[str]:
        return set(ALL)

    def ask_server(self, address: str, *_: Any) -> None:
        self.met.append(address)


ALL = (*INSIDE, *OUTSIDE)


def test_no_zone_makes_the_centre_call_its_own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names()
    monkeypatch.setattr(dns.query, "udp", lambda _question, address, *_: names.met.append(address))
    asker = cast("Asker", names)
    found = delegation.look("mairie.example", [], ["ns1.centre.example"], asker, delegation.Way())
    assert found.state == "unknown"
    assert set(names.met) == set(OUTSIDE)
    names.met.clear()
    meeting.name_servers(asker, "mairie.example")
    assert set(names.met) == {one for one in OUTSIDE if ":" in one}

"""Addresses for the laboratory's attacker, its tools that need no namespace, and what a page says."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path

import pytest
from beffroi_lab import attacks, console, feeds, plan, traffic
from beffroi_lab.names import TUNNEL_ZONE, Zone
from dnslib import DNSRecord


def test_sample_serves_where_there_is_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEFFROI_DATA", raising=False)
    feed = feeds.prepare(plan.make(3), tmp_path, attacks.ADDRESSES)
    assert len(set(feed.addresses)) == attacks.ADDRESSES <= feed.count
    assert all(f"{address}\t" in feed.file.read_text() for address in feed.addresses)


def test_attacker_gets_no_address_of_the_scenario_nor_a_protected_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = plan.make(3)
    taken = [plan.INNOCENT.v4, plan.CENTRE.v4, layout.communes[0].wan.v4, "8.8.8.8", "10.0.0.1", "nonsense"]
    (tmp_path / "feeds").mkdir()
    text = "# head\n" + "".join(
        f"{a}\t3\n" for a in [*taken, "2a0e:1c80:99::1", "77.90.185.20", "2.57.122.53"]
    )
    (tmp_path / "feeds" / "ipsum-2026-01-01.txt.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("BEFFROI_DATA", str(tmp_path))
    assert feeds.prepare(layout, tmp_path, 2).addresses == ("77.90.185.20", "2.57.122.53")
    with pytest.raises(ValueError, match="2 usable addresses"):
        feeds.prepare(layout, tmp_path, 3)


def test_page_without_tags_and_entities() -> None:
    page = "<style>p { x }</style><p>De nombreux   comptes</p>\n<script>var a = '<p>';</script><b>l&#x27;adresse</b>"
    assert console.words_of(page) == "De nombreux comptes l'adresse"


def test_tunnel_has_an_answer_for_every_name_and_nobody_else_has() -> None:
    zone = Zone([f'*.{TUNNEL_ZONE}. 0 IN TXT "ack"'])

    def answers(name: str) -> int:
        return len(zone.resolve(DNSRecord.question(name, "TXT"), None).rr)

    assert answers(f"00ff.{TUNNEL_ZONE}") == 1
    assert answers("00ff.nolay.fr") == 0


def test_scan_finds_what_is_open_and_a_server_hears_an_upload() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    traffic.serve(["127.0.0.1"], port)
    closed = [p for p in range(1, 6) if p != port]
    assert traffic.scan(["127.0.0.1"], [port, *closed], "127.0.0.1")["open"] == [["127.0.0.1", port]]
    assert traffic.upload("127.0.0.1", port, 300_000)["ok"]

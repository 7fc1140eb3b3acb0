"""`bench stream` in small: a lure that is reported, one more of its sender, and the same after the block has ended."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from beffroi_lab import campaign

from bench import stream

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]
NAMES = ("domain reglement-amende-xk2907.info", "domain courrier-amende-xk2907.info")
"""Of the page, and of the sender."""
LURE = (campaign.SAMPLES / "amende.eml").read_bytes()


def came(day: int, *, page: str = "paiement", client: str = "45.83.64.7") -> bytes:
    """As its receiver keeps it, on this day of March; ``page``: of the same site."""
    head = f"Received: from x by y; {day:02} Mar 2026 09:00:00 +0000\r\nX-Sender-IP: {client}\r\n"
    said = "Authentication-Results: y; spf=pass smtp.mailfrom=x; dkim=none; dmarc=none\r\n"
    return (head + said).encode() + LURE.replace(b"paiement", page.encode())


def test_what_is_reported_stops_the_next_ones_and_again_after_its_time(tmp_path: Path) -> None:
    mails = {"a": came(2), "b": came(3, page="dossier", client="45.83.64.8"), "c": came(28), "d": came(29)}
    for name, data in mails.items():
        (tmp_path / f"{name}.eml").write_bytes(data)
    parser = argparse.ArgumentParser()
    stream.add_options(parser)
    each = tmp_path / "each"
    options = parser.parse_args([str(tmp_path), "--honest", "0", "--each", str(each)])
    rows = {row.work: row.ours for row in stream.run(lambda text: None, options)}
    told = [json.loads(line) for line in each.read_text().splitlines()]
    assert [(one["file"], one["end"]) for one in told] == [
        ("a.eml", "after_two"),
        ("b.eml", "stopped"),
        ("c.eml", "after_two"),
        ("d.eml", "stopped"),
    ]
    assert {told[1]["by"], told[3]["by"]} <= set(NAMES)
    assert rows["of them: stopped by what was decided before"] == 50.0
    assert rows["lures that came"] == 4 and rows["of them: nothing in them may be blocked for all"] == 0


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"Received: by y; Mon, 02 Mar 2026 09:00:00 +0000\r\n", 1772442000.0),
        (b"Received: by y; no date\r\nDate: Mon, 02 Mar 2026 10:00:00 +0100\r\n", 1772442000.0),
        (b"Subject: x\r\n", None),
    ],
    ids=["its receiver's clock", "its sender's", "none"],
)
def test_when_a_mail_came_is_told_by_whoever_kept_it(head: bytes, expected: float | None) -> None:
    found = stream.letter(Path("x.eml"), head + b"Return-Path: <a b>\r\nX-Sender-IP: 10.0.0.1\r\n\r\nx")
    assert (found.at_s if found else None) == expected
    if found:
        assert "@" in found.mail_from and found.client_ip != "10.0.0.1", "what no mail comes from"

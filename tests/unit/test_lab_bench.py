"""Benchmarks: their rows, and what they measure with."""

from __future__ import annotations

import collections
import struct
from pathlib import Path

import pytest
from beffroi.mail.engines import layout
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.bare import without_hooks
from bench.fanout import SPARE_FILES, shape
from bench.fanout_rig import rank
from bench.lists import loaded_by
from bench.packets import _frame
from bench.peers import Measured, crowdsec, fail2ban
from bench.rows import Row, table
from bench.wire import Chunks, Refusal


def test_a_row_without_target_is_neither_met_nor_missed() -> None:
    row = Row("work", "ms", 40, peer=4000, peer_name="peer")
    assert row.ratio == 100.0
    assert row.met is None


def test_what_was_not_measured_does_not_meet_its_target() -> None:
    assert Row("work", "ms", None, target=10).met is False
    assert Row("work", "count", 0, target=0).met is True


def test_a_peer_that_did_not_run_says_why() -> None:
    row = Row("work", "ms", 4, peer_name="peer", note="not installed here")
    assert row.ratio is None
    assert "not installed here" in "\n".join(table([row]))


@given(
    lines=st.lists(st.binary(min_size=1, max_size=80).filter(lambda b: b"\n" not in b), max_size=8),
    chunk_bytes=st.integers(1, 60),
    piece_bytes=st.integers(1, 60),
)
@settings(deadline=None)
def test_a_simulated_box_reads_the_same_lines_however_they_are_cut(
    lines: list[bytes], chunk_bytes: int, piece_bytes: int
) -> None:
    body = b"".join(line + b"\n" for line in lines)
    parts = [body[i : i + chunk_bytes] for i in range(0, len(body), chunk_bytes)]
    raw = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    chunks = Chunks()
    found = [line for i in range(0, len(raw), piece_bytes) for line in chunks.lines(raw[i : i + piece_bytes])]
    assert found == lines
    with pytest.raises(Refusal):
        chunks.lines(b"0\r\n\r\n")


def test_a_rank_counts_every_measurement() -> None:
    counted = collections.Counter({3: 98, 70: 1, 900: 1})
    assert [rank(counted, share) for share in (0.5, 0.98, 0.99, 1.0)] == [3, 3, 70, 900]
    assert rank(collections.Counter(), 0.5) is None


def test_peers_that_are_not_installed_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    rivals: list[Measured] = [fail2ban(tmp_path, print), *crowdsec(tmp_path, print)]
    assert all(not rival.times_ms and "bench --peers" in rival.why for rival in rivals)


def test_a_small_fleet_is_measured_on_the_centre_as_it_is_installed() -> None:
    assert (shape(700, 20_000).relays, shape(700, 20_000).fronts) == (0, 0)


@given(st.integers(1, 60_000))
def test_no_process_of_the_measured_centre_needs_more_files_than_it_may_open(boxes: int) -> None:
    found = shape(boxes, 20_000)
    fronts = found.fronts or 1
    assert 2 * found.connections * (1.1 if found.fronts else 1) / fronts <= 20_000 - SPARE_FILES
    assert boxes / (found.relays or 1) <= 20_000


def test_a_rate_meets_a_target_from_above_and_its_ratio_grows_with_it() -> None:
    fast = Row("rate", "k/s", 90, peer=100, target=85, more_is_better=True)
    assert fast.met is True and fast.ratio == 0.9
    assert Row("rate", "k/s", 80, peer=100, target=85, more_is_better=True).met is False
    assert Row("rate", "k/s", None, target=85, more_is_better=True).met is False


def test_what_loaded_no_list_says_why_and_is_no_time() -> None:
    row = loaded_by("work", 0.3, Measured("peer", why="its database is locked"))
    assert row.peer is None and "locked" in "\n".join(table([row]))
    assert loaded_by("work", 0.3, Measured("peer", (15_000.0,))).ratio == 50.0


def test_the_checksum_of_a_made_packet_is_right() -> None:
    packet = _frame(bytes(12), "192.0.2.1", "198.51.100.7", 1024, 9)
    assert len(packet) == 60
    total = sum(struct.unpack(">10H", packet[14:34]))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


def test_the_bare_half_of_mail_is_our_configuration_without_our_hooks() -> None:
    ours = layout.template("dovecot.conf")
    bare = without_hooks(ours).splitlines()
    left = iter(ours.splitlines())
    assert all(line in left for line in bare)  # the same lines in the same order
    blocks = collections.Counter(line for line in ours.splitlines() if line.endswith("{") and line[0] != " ")
    assert sorted(blocks - collections.Counter(bare)) == [
        "auth_policy_request_attributes {",
        "event_exporter journal {",
        "metric deliveries {",
        "sieve_script verdict {",
    ]
    words = "\n".join(line for line in bare if not line.strip().startswith("#"))
    assert not any(one in words for one in ("mailgate", "auth_policy", "@journal@", "verdict"))

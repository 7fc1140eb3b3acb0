"""What a boîtier hands over waits for its answer, and holds up nothing else."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
from beffroi_box import relay
from beffroi_box.relayonward import hand_over

from tests.relay_centre import Box, Centre, centre, connected


def handed(server: Centre, **options: float) -> tuple[list[str], list[str], list[str]]:
    with connected(server, **options) as smtp:
        outcome = hand_over(smtp, "a@b.example", ["c@d.example"], io.BytesIO(b"Subject: x\r\n"))
    return outcome.sent, outcome.later, outcome.refused


def test_a_mail_that_the_centre_looks_at_for_long_is_known_to_have_passed() -> None:
    def slow(_mail: bytes) -> str:
        threading.Event().wait(1.5)
        return "250 x"

    with centre(slow) as server:
        assert handed(server, timeout_s=0.5) == (["c@d.example"], [], [])


def test_who_refuses_and_hangs_up_has_refused() -> None:
    with centre(lambda _mail: "554 no, bye") as server:
        assert handed(server) == ([], [], ["c@d.example"])


def test_a_mail_at_which_the_connection_breaks_holds_up_no_other_and_is_given_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with centre(lambda mail: "" if b"poison" in mail else "250 x") as server:
        box = Box(tmp_path, server, monkeypatch)
        poison, _ = box.take(b"poison"), box.take(b"one")
        assert box.relaying._deliver_all()
        box.take(b"two")
        assert box.relaying._deliver_all()
        assert server.taken == [b"Subject: one\r\n", b"Subject: two\r\n"]
        assert box.waiting() == [poison]
        assert not box.relaying._away, "the next mail is sent at once"
        box.relaying._ahead_s += relay.GIVEN_UP_S + 10
        box.relaying._counted_s = box.relaying._ahead_s  # so much passed, and no clock was set
        box.relaying._deliver_all()
        [(_, notice)] = box.spool.waiting()
        assert notice.notice


def test_a_mail_that_the_disk_lost_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with centre(lambda _mail: "250 x") as server:
        box = Box(tmp_path, server, monkeypatch)
        lost, _ = box.take(b"lost"), box.take(b"one")
        (tmp_path / "spool" / f"{lost}.mail").unlink()
        for _ in range(2):
            box.relaying._deliver_all()
        assert server.taken == [b"Subject: one\r\n"] and box.waiting() == [lost]

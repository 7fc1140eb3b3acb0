"""A machine's clock that is wrong, and a real Unbound that validates by it.

The clock of the machine that runs the tests is never set: instead of a clock ten years back there is a zone whose
signatures are valid in ten years, and what sets the clock is handed in.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.dnssec
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.zone
import pytest
from beffroi_box import __main__ as program
from beffroi_box import clock
from beffroi_box.clock import BOUND_S, FRESH_S, MachineClock, correct, plausible, time_file
from beffroi_box.config import BoxConfig
from beffroi_box.resolver import UNDATED, unbound_configuration, unbound_file
from beffroi_box.store import Store, write_atomic
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dns.dnssectypes import Algorithm

from tests.waiting import until

PORT = 22735
TEN_YEARS = timedelta(days=3650)


def signed(name: str, path: Path, *, at: datetime) -> str:
    """Write a zone whose signatures are valid two weeks around ``at``; return its trust anchor."""
    text = f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns root 1 60 60 60 60\n@ NS ns\nns A 185.10.20.1\nwww A 45.83.64.9\n"
    zone = dns.zone.from_text(text, relativize=False)
    key = Ed25519PrivateKey.generate()
    public = dns.dnssec.make_dnskey(key.public_key(), Algorithm.ED25519, flags=257)
    week = timedelta(days=7)
    dns.dnssec.sign_zone(
        zone, keys=[(key, public)], inception=at - week, expiration=at + week, add_dnskey=True
    )
    zone.to_file(path, relativize=False)
    return f"{name}. DNSKEY {public.to_text()}"


def forged(path: Path) -> None:
    path.write_text(path.read_text().replace("45.83.64.9", "45.83.64.7"))


class Validator:
    """A real Unbound with the box's own configuration, and three zones that it serves to itself."""

    def __init__(self, state: Path) -> None:
        self.config = BoxConfig(state=state, recursor_port=PORT, resolver_user="")
        self._zones = ""
        now = datetime.now(UTC)
        for name, at in (("now.example", now), ("later.example", now + TEN_YEARS), ("false.example", now)):
            anchor = signed(name, state / name, at=at)
            self._zones += f'server:\n    trust-anchor: "{anchor}"\nauth-zone:\n    name: "{name}"\n'
            self._zones += f'    zonefile: "{state / name}"\n    for-downstream: no\n    for-upstream: yes\n'
        forged(state / "false.example")
        (state / "zones.conf").write_text(self._zones)

    def start(self, *, dated: bool) -> subprocess.Popen[bytes]:
        text = unbound_configuration(self.config, dated=dated)
        write_atomic(unbound_file(self.config), text.encode(), mode=0o644)
        # The box's file is read as it is; only the zones come beside it.
        both = self.config.state / "both.conf"
        both.write_text(
            f'include: "{unbound_file(self.config)}"\ninclude: "{self.config.state}/zones.conf"\n'
        )
        return subprocess.Popen(["/usr/sbin/unbound", "-d", "-c", str(both)])

    @staticmethod
    def answer(name: str) -> str:
        question = dns.message.make_query(f"www.{name}.", "A", want_dnssec=True)
        try:
            answer = dns.query.udp(question, "127.0.0.1", port=PORT, timeout=2)
        except (OSError, dns.exception.Timeout):
            return "silent"
        proved = " AD" if answer.flags & dns.flags.AD else ""
        return dns.rcode.to_text(answer.rcode()) + proved


@pytest.fixture
def validator(tmp_path: Path) -> Validator:
    Store(tmp_path).prepare()
    return Validator(tmp_path)


@pytest.fixture
def running(validator: Validator, request: pytest.FixtureRequest) -> Iterator[Validator]:
    process = validator.start(dated=request.param)
    try:
        until(lambda: validator.answer("now.example") != "silent", "Unbound does not answer")
        yield validator
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("running", [True], indirect=True)
def test_a_signature_of_another_time_fails_where_dates_are_checked(running: Validator) -> None:
    assert running.answer("later.example") == "SERVFAIL", "ten years back, every signed name is this one"
    assert running.answer("now.example") == "NOERROR AD" and running.answer("false.example") == "SERVFAIL"


@pytest.mark.parametrize("running", [False], indirect=True)
def test_until_the_time_is_known_names_answer_and_forged_ones_do_not(
    running: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.answer("later.example") == "NOERROR AD" and running.answer("now.example") == "NOERROR AD"
    assert running.answer("false.example") == "SERVFAIL", "signatures are checked all the same"
    real = clock._unbound
    monkeypatch.setattr(clock, "_unbound", lambda _: real(running.config.state / "both.conf"))
    set_to: list[int] = []
    behind = time.time() - TEN_YEARS.total_seconds()
    machine = MachineClock(running.config, local=lambda: set_to[-1] if set_to else behind)
    trusted = int(time.time())
    machine.keep(trusted)
    assert correct(running.config, set_to.append, local=lambda: behind) > TEN_YEARS.total_seconds() - 2
    assert abs(set_to[0] - trusted) <= 1
    assert UNDATED in unbound_file(running.config).read_text()
    machine.keep(trusted)
    until(lambda: running.answer("later.example") == "SERVFAIL", "dates are not checked again")
    assert running.answer("now.example") == "NOERROR AD"
    assert not correct(running.config, set_to.append, local=lambda: trusted - BOUND_S + 2), "that is NTP's"


def test_a_clock_that_nobody_sets_leaves_the_dates_unchecked(validator: Validator) -> None:
    unbound_file(validator.config).write_text(unbound_configuration(validator.config, dated=False))
    MachineClock(validator.config, local=lambda: 0.0).keep(int(time.time()))
    assert UNDATED in unbound_file(validator.config).read_text()


@pytest.mark.parametrize("age_s", [-5, FRESH_S + 5])
def test_a_time_written_in_another_boot_sets_no_clock(validator: Validator, age_s: int) -> None:
    written_at = int(time.monotonic()) - age_s
    time_file(validator.config).write_text(f"{int(time.time())} {written_at}\n")
    assert not correct(validator.config, lambda _: pytest.fail("set"), local=lambda: 0.0)


def test_what_is_before_the_software_is_no_time(validator: Validator) -> None:
    time_file(validator.config).write_text(f"{clock.BUILT - 86400} {int(time.monotonic())}\n")
    assert not correct(validator.config, lambda _: pytest.fail("set"))


def test_a_clock_before_the_last_signed_time_or_the_software_is_not_plausible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(time.time())
    assert plausible(now) and not plausible(now + 86400)
    with monkeypatch.context() as years:
        years.setattr(time, "time", lambda: float(now + 8 * 366 * 86400))
        assert not plausible(now), "a battery that says 2035: every signature would be over"
    store = Store(tmp_path)
    store.prepare()
    (tmp_path / "box.toml").write_text('resolver_user = ""\n')
    # Without a battery the clock goes on from where it stood at the workshop, months ago; and who was never enrolled
    # finds the centre by its name alone.
    for floor, undated in ((0, True), (now - 86400, False), (now + 86400, True)):
        if floor:
            store.save_time_floor(floor)
        arguments = program._parser().parse_args(["--state", str(tmp_path), "resolver-config"])
        assert program.resolver_config(arguments) == 0
        assert (UNDATED in unbound_file(BoxConfig(state=tmp_path)).read_text()) is undated
    monkeypatch.setattr(clock, "BUILT", now + 86400)
    assert not plausible(now)


def test_the_process_found_by_its_configuration_is_no_other(validator: Validator) -> None:
    assert os.getpid() not in clock._unbound(unbound_file(validator.config))

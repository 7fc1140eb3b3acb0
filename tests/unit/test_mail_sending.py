"""Limits of sending, and the settings of slow providers: as tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.engines import destinations, outgoing
from beffroi.mail.gate import relays
from beffroi.mail.gate.sending import DAY_S, HELD_TEXT, HOUR_S, MAX_WAITING, Limits, Sent

LIMITS = Limits(hour_messages=3, day_messages=5, hour_recipients=10, day_recipients=12)
NOW_S = 1_800_000_000.0


def _config(tmp_path: Path, **changes: object) -> Config:
    return replace(Config(state=tmp_path, outgoing_mail=True), **changes)  # type: ignore[arg-type]


def _send(
    sent: Sent, recipients: int = 1, *, at_s: float = NOW_S, account: str = "a@b.test", contain_at: int = 0
) -> str:
    refused = sent.take(account, recipients, now_s=at_s, contain_at=contain_at)
    return refused.limit if refused else ""


@pytest.mark.parametrize(
    ("before", "recipients", "limit"),
    [
        ([], 10, ""),
        ([], 11, "hour_recipients"),
        ([(0, 1)] * 2, 1, ""),
        ([(0, 1)] * 3, 1, "hour_messages"),
        ([(HOUR_S + 300, 1)] * 3, 1, ""),
        ([(HOUR_S + 300, 1)] * 3 + [(0, 1)] * 2, 1, "day_messages"),
        ([(HOUR_S + 300, 9)], 4, "day_recipients"),
        ([(HOUR_S + 300, 9)], 3, ""),
        ([(DAY_S + 300, 1)] * 3 + [(HOUR_S * 3, 1)] * 2, 1, ""),
    ],
)
def test_limit_that_one_more_mail_passes(
    tmp_path: Path, before: list[tuple[int, int]], recipients: int, limit: str
) -> None:
    sent = Sent(tmp_path / "sending.sqlite", LIMITS)
    for ago_s, count in before:
        assert not _send(sent, count, at_s=NOW_S - ago_s)
    assert _send(sent, recipients) == limit
    sent.close()


def test_limit_survives_a_restart_and_is_each_account_s_own(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "sending.sqlite", LIMITS)
    assert [_send(sent) for _ in range(4)] == ["", "", "", "hour_messages"]
    sent.close()
    again = Sent(tmp_path / "sending.sqlite", LIMITS)
    assert _send(again) == "hour_messages"
    assert _send(again, account="c@b.test") == ""
    again.close()


def test_refused_mail_counts_for_nothing_and_zero_is_no_limit(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "sending.sqlite", LIMITS)
    assert _send(sent, 11) == "hour_recipients"
    assert [_send(sent) for _ in range(3)] == ["", "", ""]
    sent.close()
    free = Sent(tmp_path / "free.sqlite", Limits(0, 0, 0, 0))
    assert not any(_send(free, 100) for _ in range(50))
    free.close()


def test_refusals_are_told_once_and_again_when_no_person_would_go_on(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "sending.sqlite", LIMITS)
    for _ in range(3 + 5):
        _send(sent, contain_at=4)
    told = sent.waiting.take()
    assert [(one["refused"], one["impossible"]) for one in told] == [(1, False), (4, True)]
    assert sent.waiting.take() == []
    sent.waiting.put_back(told)
    assert sent.waiting.take() == told
    sent.close()


def test_refusals_that_could_not_be_told_give_way_to_as_many_newer_ones(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "sending.sqlite", LIMITS)
    _send(sent, 11)
    taken = sent.waiting.take()
    newest = [f"a{n}@b.test" for n in range(MAX_WAITING)]
    for account in newest:
        _send(sent, 11, account=account)
    sent.waiting.put_back(taken)
    assert [one["account"] for one in sent.waiting.take()] == newest
    sent.close()


def test_a_second_limit_is_told_though_the_first_was_a_moment_ago(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "sending.sqlite", LIMITS)
    assert _send(sent, 11) == "hour_recipients"
    assert [_send(sent) for _ in range(5)] == ["", "", "", "hour_messages", "hour_messages"]
    sent.refuse_relay("a@b.test", "a@b.test@relay", now_s=NOW_S)
    sent.refuse_relay("a@b.test", "a@b.test@relay", now_s=NOW_S)
    assert [one["limit"] for one in sent.waiting.take()] == [
        "hour_recipients",
        "hour_messages",
        relays.RECIPIENTS,
    ]
    sent.close()


def test_what_a_sender_is_told_is_one_line_of_ascii_in_two_languages(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "sending.sqlite", LIMITS)
    refused = sent.take("a@b.test", 11, now_s=NOW_S, contain_at=0)
    assert refused is not None
    for text in (refused.text, HELD_TEXT):
        assert text.isascii()
        assert len(text) < 300
        assert "\n" not in text
    assert "10 destinataires par heure" in refused.text
    assert "10 recipients an hour" in refused.text
    sent.close()


def test_a_mail_for_more_than_the_limit_is_not_told_to_come_again(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "sending.sqlite", LIMITS)
    for _ in range(LIMITS.hour_messages):
        assert not _send(sent)
    for recipients, again in ((1, True), (10, True), (11, False), (13, False)):
        refused = sent.take("a@b.test", recipients, now_s=NOW_S, contain_at=0)
        assert refused is not None and ("reessayez plus tard" in refused.text) == again, recipients
        assert refused.alone == (0 if again else recipients)
    sent.close()


def test_slow_providers_become_lanes_of_postfix(tmp_path: Path) -> None:
    config = _config(tmp_path, slow_destinations="orange 2 1 20 orange.fr Wanadoo.fr; free 3 0 5 free.fr")
    main, master = outgoing.main_cf(config), outgoing.master_cf(config, split_print="")["lanes"]
    for line in (
        "slow-orange_destination_concurrency_limit = 2",
        "slow-orange_destination_rate_delay = 1s",
        "slow-orange_destination_recipient_limit = 20",
        "slow-free_destination_rate_delay = 0s",
        "slow-free_destination_recipient_limit = 5",
    ):
        assert line in main.splitlines()
    assert "slow-orange unix - - y - 2 smtp\n" in master
    assert "slow-free unix - - y - 3 smtp\n" in master
    rows = outgoing.transport_map(config).splitlines()[1:]
    assert rows == ["orange.fr slow-orange:", "wanadoo.fr slow-orange:", "free.fr slow-free:"]


def test_default_lanes_cover_the_providers_that_refuse_haste(tmp_path: Path) -> None:
    domains = {domain for lane in destinations.slow(_config(tmp_path)) for domain in lane.domains}
    wanted = "orange.fr wanadoo.fr laposte.net free.fr sfr.fr hotmail.fr outlook.fr yahoo.fr"
    assert domains >= set(wanted.split())


@pytest.mark.parametrize(
    "text",
    [
        "orange",
        "orange 2 1 20",
        "orange 0 1 20 orange.fr",
        "orange 2 -1 20 orange.fr",
        "orange 2 1 51 orange.fr",
        "Orange! 2 1 20 orange.fr",
        "orange 2 1 20 orange",
        "orange 2 1 20 orange.fr; orange 1 1 1 wanadoo.fr",
        "orange 2 1 20 orange.fr; autre 1 1 1 orange.fr",
        "orange 2 1 20 a:b.fr",
    ],
)
def test_slow_provider_that_is_malformed_stops_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingInvalid, match="slow_destinations"):
        destinations.slow(_config(tmp_path, slow_destinations=text))


@pytest.mark.parametrize(
    ("addresses", "lines", "options"),
    [
        ("", [], ""),
        ("192.0.2.1", ["smtp_bind_address = 192.0.2.1"], "inet_protocols=ipv4"),
        ("2001:db8::1", ["smtp_bind_address6 = 2001:db8::1"], "inet_protocols=ipv6"),
        ("2001:db8::1 192.0.2.1", ["smtp_bind_address = 192.0.2.1", "smtp_bind_address6 = 2001:db8::1"], ""),
    ],
)
def test_mail_leaves_from_the_chosen_addresses_alone(
    tmp_path: Path, addresses: str, lines: list[str], options: str
) -> None:
    config = _config(tmp_path, outgoing_addresses=addresses)
    found = outgoing.main_cf(config).splitlines()
    assert [line for line in found if "bind_address" in line and "enforce" not in line] == lines
    assert ("smtp_bind_address_enforce = yes" in found) == bool(lines)
    found_options = outgoing.master_cf(config, split_print="")["smtp_options"]
    assert options in found_options
    assert bool(options) == bool(found_options)


@pytest.mark.parametrize("addresses", ["192.0.2.1 192.0.2.2", "mail.example.org"])
def test_addresses_that_cannot_be_are_refused(tmp_path: Path, addresses: str) -> None:
    with pytest.raises(SettingInvalid, match="outgoing_addresses"):
        outgoing.main_cf(_config(tmp_path, outgoing_addresses=addresses))


def test_without_the_setting_nothing_leaves(tmp_path: Path) -> None:
    config = Config(state=tmp_path)
    assert "default_transport = error:" in outgoing.main_cf(config)
    assert "slow-" not in outgoing.main_cf(config)
    assert outgoing.master_cf(config, split_print="")["lanes"] == ""

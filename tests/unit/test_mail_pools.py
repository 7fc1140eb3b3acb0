"""Pools of sending addresses: the setting, the choice at the mail door, and the rules of warm-up and doubt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.domains import queries as domains
from beffroi.mail.engines import outgoing, pools
from beffroi.mail.gate.exits import UNLIMITED, Exits, State, state_path
from beffroi.mail.probe import paths
from beffroi.mail.sending import answers, doubt, warming
from beffroi.mail.sending.warming import Answered

NOW_S = 1_800_000_000.0
POOLS = "neuve warming mx2.a.example 192.0.2.2 2001:db8::2; louche doubtful mx3.a.example 192.0.2.3"
SLOW = "orange 2 1 20 orange.fr wanadoo.fr; free 3 0 5 free.fr"
OURS = {"beaune.test": "col_x"}


def _config(tmp_path: Path, **changes: object) -> Config:
    usual = {
        "state": tmp_path,
        "outgoing_mail": True,
        "outgoing_addresses": "192.0.2.1",
        "outgoing_pools": POOLS,
        "slow_destinations": SLOW,
    }
    return replace(Config(), **{**usual, **changes})  # type: ignore[arg-type]


def _exits(tmp_path: Path, doubtful: str = "", **shares: int) -> Exits:
    config = _config(tmp_path)
    state_path(config).parent.mkdir(exist_ok=True)
    state = State(frozenset(doubtful.split()), shares)
    state_path(config).write_bytes(msgspec.json.encode(state))
    return Exits(config)


def _lane(exits: Exits, *recipients: str, account: str = "a@beaune.test", at_s: float = NOW_S) -> str:
    return exits.lane(account, recipients, OURS, now_s=at_s)


def test_each_exit_has_every_lane_with_its_own_addresses(tmp_path: Path) -> None:
    config = _config(tmp_path)
    lanes = outgoing.master_cf(config, split_print="AB")["lanes"]
    services = {row.split()[0] for row in lanes.splitlines() if row.endswith(" smtp")}
    both = {f"out-{name}{slow}" for name in ("neuve", "louche") for slow in ("", "-orange", "-free")}
    assert services == {"slow-orange", "slow-free", "split", *both}
    orange = lanes.partition("out-neuve-orange ")[2].partition("\nout-")[0]
    assert "smtp_bind_address=192.0.2.2" in orange
    assert "smtp_bind_address6=2001:db8::2" in orange
    assert "smtp_helo_name=mx2.a.example" in orange
    assert "inet_protocols" not in orange
    assert "inet_protocols=ipv4" in lanes.partition("out-louche-free ")[2]
    main = outgoing.main_cf(config).splitlines()
    assert "out-neuve-orange_destination_concurrency_limit = 2" in main
    assert "split_destination_recipient_limit = 1" in main


def test_one_address_changes_nothing(tmp_path: Path) -> None:
    config = _config(tmp_path, outgoing_pools="")
    assert "out-" not in outgoing.master_cf(config, split_print="")["lanes"]
    assert "milter_header_checks" not in outgoing.main_cf(config)
    exits = Exits(config)
    assert not exits.several
    assert not (tmp_path / "mailgate").exists()
    assert domains.servers(config).spf == "mx"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("neuve warming mx2.a.example", "192.0.2.1"),
        ("neuve hot mx2.a.example 192.0.2.2", "192.0.2.1"),
        ("neuve warming mx2 192.0.2.2", "192.0.2.1"),
        ("Neuve! warming mx2.a.example 192.0.2.2", "192.0.2.1"),
        ("neuve warming mx2.a.example 192.0.2.2 192.0.2.3", "192.0.2.1"),
        ("neuve warming mx2.a.example 192.0.2.999", "192.0.2.1"),
        ("neuve warming mx2.a.example 192.0.2.1", "192.0.2.1"),
        ("neuve warming mx2.a.example 192.0.2.2; neuve ordinary mx3.a.example 192.0.2.3", "192.0.2.1"),
        ("un doubtful mx2.a.example 192.0.2.2; deux doubtful mx3.a.example 192.0.2.3", "192.0.2.1"),
        (POOLS, ""),
    ],
)
def test_pools_that_cannot_be_stop_the_start(tmp_path: Path, text: str, first: str) -> None:
    with pytest.raises(SettingInvalid, match="outgoing_pools"):
        pools.exits(_config(tmp_path, outgoing_pools=text, outgoing_addresses=first))


def test_a_new_address_takes_its_share_of_each_provider_and_day_over_a_restart(tmp_path: Path) -> None:
    exits = _exits(tmp_path, neuve=3)
    assert _lane(exits, "a@orange.fr", "b@wanadoo.fr") == "out-neuve-orange"
    assert _lane(exits, "a@orange.fr", "b@orange.fr") == "", "two would be one too many"
    assert _lane(exits, "a@free.fr") == "out-neuve-free"
    assert _lane(exits, *(f"{n}@mairie.example" for n in range(4))) == ""
    exits.close()
    again = _exits(tmp_path, neuve=3)
    assert _lane(again, "a@orange.fr") == "out-neuve-orange"
    assert _lane(again, "a@orange.fr") == ""
    assert _lane(again, "a@ailleurs.example") == "out-neuve"
    assert _lane(again, "a@orange.fr", at_s=NOW_S + 86400) == "out-neuve-orange"
    again.close()


def test_what_a_lane_cannot_take_whole_leaves_as_ever(tmp_path: Path) -> None:
    exits = _exits(tmp_path, neuve=99)
    assert _lane(exits, "a@orange.fr", "b@free.fr") == ""
    assert _lane(exits, "a@orange.fr", "b@beaune.test") == ""
    assert _lane(exits, "rapports@mx.beffroi.test") == ""
    assert exits.lane("a@beaune.test", ["a@orange.fr"], {}, now_s=NOW_S) == "", "nobody knows who is ours"
    exits.close()


def test_an_account_keeps_its_address_when_warm_up_is_over(tmp_path: Path) -> None:
    exits = _exits(tmp_path, neuve=UNLIMITED)
    lanes = {n: _lane(exits, "x@free.fr", account=f"{n}@beaune.test") for n in range(200)}
    assert set(lanes.values()) == {"", "out-neuve-free"}
    assert 60 < sum(bool(one) for one in lanes.values()) < 140
    assert all(_lane(exits, "y@free.fr", account=f"{n}@beaune.test") == lane for n, lane in lanes.items())
    exits.close()


def test_doubtful_mail_is_split_unless_all_of_it_stays_here(tmp_path: Path) -> None:
    exits = _exits(tmp_path, doubtful="a@beaune.test", neuve=99)
    assert _lane(exits, "a@orange.fr", "b@beaune.test") == pools.SPLIT
    assert _lane(exits, "b@beaune.test") == ""
    assert _lane(exits, "a@orange.fr", account="b@beaune.test") == "out-neuve-orange"
    exits.close()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"shares":{"neuve":"x"}}', b"\xff"])
def test_a_file_that_cannot_be_read_leads_to_the_first_addresses(tmp_path: Path, content: bytes) -> None:
    exits = _exits(tmp_path, doubtful="a@beaune.test", neuve=9)
    state_path(_config(tmp_path)).write_bytes(content)
    assert _lane(exits, "a@orange.fr") == ""
    exits.close()


HEAD = b"Nov 26 14:00:00 centre postfix-beffroi/"


def _answer(lane: bytes, mail: bytes, dsn: bytes, status: bytes) -> bytes:
    return (
        HEAD + lane + b"[7]: " + mail + b": to=<x@orange.fr>, relay=mx.orange.fr[192.0.2.9]:25, delay=1,"
        b" delays=0/0/0/1, dsn=" + dsn + b", status=" + status
    )  # fmt: skip


def test_answers_are_counted_by_lane_and_refused_recipients_by_sender() -> None:
    said = b"(host mx.orange.fr[192.0.2.9] said: 550 5.7.1 refused (in reply to RCPT TO command))"
    found = answers.count(
        [
            HEAD + b"qmgr[3]: 4abcdefgh1: from=<a@beaune.test>, size=900, nrcpt=2 (queue active)",
            _answer(b"smtp", b"4abcdefgh1", b"2.0.0", b"sent (250 Ok)"),
            _answer(b"slow-orange/smtp", b"4abcdefgh1", b"5.7.1", b"bounced " + said),
            _answer(b"out-neuve-orange/smtp", b"4abcdefgh1", b"2.0.0", b"sent (250 Ok)"),
            _answer(b"out-neuve/smtp", b"4abcdefgh2", b"4.7.0", b"deferred (host x said: 421 4.7.0 slow down)"),
            _answer(b"out-neuve/smtp", b"4abcdefgh2", b"4.0.0", b"deferred (host x refused to talk to me: 554 no)"),
            # Nothing that speaks of our address:
            _answer(b"out-neuve/smtp", b"4abcdefgh2", b"4.7.1", b"deferred (host x said: 450 4.7.1 Greylisted)"),
            _answer(b"out-neuve/smtp", b"4abcdefgh1", b"5.1.1", b"bounced (host x said: 550 5.1.1 unknown)"),
            _answer(b"out-neuve/smtp", b"4abcdefgh2", b"4.4.1", b"deferred (connect to x: Connection timed out)"),
            _answer(b"split/smtp", b"4abcdefgh2", b"2.0.0", b"sent (250 Ok)"),
            b"\xff" * 100,
        ],
        {},
    )  # fmt: skip
    assert found.lanes == {
        ("", "", "sent"): 1,
        ("", "orange", "refused"): 1,
        ("neuve", "orange", "sent"): 1,
        ("neuve", "", "refused"): 2,
    }
    assert found.senders == {"a@beaune.test": 2}
    assert (found.unknown, found.answered) == ({"a@beaune.test": 1}, {"a@beaune.test": 4})


@pytest.mark.parametrize(
    ("dsn", "said", "unknown"),
    [
        (b"5.1.1", b"550 5.1.1 <x@b>: user unknown (in reply to RCPT TO command)", 1),
        (b"5.1.10", b"550 5.1.10 RESOLVER.ADR.RecipientNotFound (in reply to RCPT TO command)", 1),
        (b"5.0.0", b"550 No such user here (in reply to RCPT TO command)", 1),
        (b"5.0.0", b"550 message looks like spam (in reply to end of DATA command)", 0),
        (b"5.1.8", b"550 5.1.8 sender's domain does not exist (in reply to MAIL FROM command)", 0),
        (b"5.7.1", b"550 5.7.1 our list names your address (in reply to RCPT TO command)", 0),
        (b"5.2.2", b"552 5.2.2 mailbox full (in reply to RCPT TO command)", 0),
    ],
)
def test_a_recipient_is_unknown_where_its_server_says_so(dsn: bytes, said: bytes, unknown: int) -> None:
    senders: dict[bytes, str] = {}
    answers.count(
        [HEAD + b"qmgr[3]: 4abcdefgh1: from=<a@beaune.test>, size=9, nrcpt=1 (queue active)"], senders
    )
    # The answer stands in a later part of the log.
    line = _answer(b"smtp", b"4abcdefgh1", dsn, b"bounced (host mx.b[192.0.2.9] said: " + said + b")")
    found = answers.count([line, HEAD + b"qmgr[3]: 4abcdefgh1: removed"], senders)
    assert (found.unknown["a@beaune.test"], found.senders["a@beaune.test"]) == (unknown, 1)
    assert senders == {}


@pytest.mark.parametrize(
    ("unknown", "answered", "held"),
    [(19, 19, False), (20, 20, True), (20, 66, True), (20, 67, False), (600, 2000, True), (599, 2000, False)],
)
def test_so_many_and_so_large_a_part_hold_an_account(unknown: int, answered: int, held: bool) -> None:
    assert doubt.writes_to_nobody(unknown, answered, most=20, percent=30) is held
    assert not doubt.writes_to_nobody(unknown, answered, most=0, percent=30)


@pytest.mark.parametrize(
    ("new", "old", "refusing"),
    [
        ({"orange": Answered(100, 0)}, {}, None),
        ({"orange": Answered(1, 4)}, {}, None),
        ({"orange": Answered(40, 5)}, {}, "orange"),
        ({"orange": Answered(60, 5)}, {}, None),
        ({"orange": Answered(40, 5)}, {"orange": Answered(90, 10)}, None),
        ({"orange": Answered(40, 5)}, {"free": Answered(90, 10)}, "orange"),
        ({"orange": Answered(40, 5), "": Answered(0, 9)}, {}, ""),
    ],
)
def test_refusals_that_pause_a_warm_up(
    new: dict[str, Answered], old: dict[str, Answered], refusing: str | None
) -> None:
    assert warming.refusing(new, old) == refusing


def test_shares_grow_and_end_and_a_pause_costs_half() -> None:
    shares = [warming.share(step) for step in range(len(warming.TABLE))]
    assert shares == sorted(set(shares))
    assert warming.share(len(shares)) == UNLIMITED
    assert [warming.resumed(step) for step in (0, 1, 7, 14)] == [0, 0, 3, 7]


@pytest.mark.parametrize(
    ("seen", "reasons"),
    [
        (doubt.Seen(), ()),
        (doubt.Seen(contained=True, over=True), ("contained", "limit")),
        (doubt.Seen(complaints=2), ()),
        (doubt.Seen(complaints=3), ("complaints",)),
        (doubt.Seen(age_days=3, day_recipients=100), ("new",)),
        (doubt.Seen(age_days=14, day_recipients=900), ()),
        (doubt.Seen(refused=20, recipients=200), ("refused",)),
        (doubt.Seen(refused=20, recipients=201), ()),
        (doubt.Seen(refused=19, recipients=19), ()),
    ],
)
def test_reasons_to_doubt_a_sender(seen: doubt.Seen, reasons: tuple[str, ...]) -> None:
    assert doubt.reasons(seen) == reasons


def test_the_plan_of_spf_names_every_address_unless_a_record_of_ours_does(tmp_path: Path) -> None:
    config = _config(tmp_path)
    assert domains.servers(config).spf == "mx ip4:192.0.2.2 ip6:2001:db8::2 ip4:192.0.2.3"
    included = replace(config, mail_spf="include:_spf.a.example")
    assert domains.servers(included).spf == "include:_spf.a.example"


def test_the_probe_says_which_address_is_not_on_the_machine(tmp_path: Path) -> None:
    config = _config(tmp_path, outgoing_addresses="127.0.0.1")
    found = [paths._bound(one) for one in pools.exits(config)]
    assert [(one.path, one.code) for one in found] == [
        ("out", ""),
        ("out-neuve", "not_here"),
        ("out-louche", "not_here"),
    ]

"""The script of a mailbox: what people type stays a string; and when a new setting looks like a stranger's."""

from __future__ import annotations

import quopri
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from beffroi.mail.engines import dovecot
from beffroi.mail.filters import rules, sieve
from beffroi.mail.filters.rules import Came
from beffroi.mail.filters.sieve import Away, Onward, Rule
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
BOX = "mairie@beaune.test"
HOSTILE = st.text(
    st.sampled_from('"\\\r\n;{}[]#/*:${}\x00 aé.') | st.characters(exclude_categories=()), max_size=60
)
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|#[^\n]*|[^"#]', re.DOTALL)
_LIST = re.compile(r"\[[, ]*\]")
"""Of strings, without them: how many spellings there are differs."""


def strings(script: str) -> tuple[list[str], str]:
    """(the strings, the rest) as RFC 5228 reads a script: an independent reading of quotes and backslashes."""
    found, rest, at = [], [], 0
    while at < len(script):
        token = _TOKEN.match(script, at)
        assert token is not None, "a quote is open at the end"
        if token[1] is not None:
            found.append(re.sub(r"\\(.)", r"\1", token[1], flags=re.DOTALL))
        elif not token[0].startswith("#"):
            rest.append(token[0])
        at = token.end()
    return found, "".join(rest)


def kept(typed: str) -> str:
    return sieve._UNWANTED.sub("", typed.replace("\r\n", "\n").replace("\r", "\n")).replace("\n", "\r\n")


def script(words: str = "x", folder: str = "y", text: str = "z", target: str = "a@b.example") -> str:
    away = Away("abs_1", NOW, NOW + timedelta(days=3), text, 7)
    onward = Onward(target, True, NOW + timedelta(days=90))
    made = [
        Rule("from", words, "move", folder),
        Rule("to", words, "copy", folder),
        Rule("subject", words, "star"),
    ]
    return sieve.script(BOX, away=away, onward=onward, rules=[*made, Rule("subject", words, "read")])


@given(words=HOSTILE, folder=HOSTILE, text=HOSTILE)
def test_nothing_that_people_type_leaves_its_string(words: str, folder: str, text: str) -> None:
    told, rest = strings(script(words, folder, text))
    plain, plain_rest = strings(script())
    assert _LIST.sub("[]", rest) == _LIST.sub("[]", plain_rest)
    typed = {kept(one) for one in (words, folder)}
    assert typed <= set(told)
    # The text of an absence is an entity of its own (RFC 2045).
    (entity,) = {one for one in told if one.startswith("Content-Type:")}
    head, _, body = entity.partition("\r\n\r\n")
    assert head.count("\r\n") == 1 and body.isascii()
    assert quopri.decodestring(body).decode() == kept(text)
    spellings = {kept(one) for one in sieve._spellings(words)}
    typed |= spellings
    assert {one for one in set(told) - typed if one != entity} == {
        one for one in set(plain) - {"x", "y"} - typed if not one.startswith("Content-Type:")
    }


@pytest.mark.parametrize(
    "typed",
    [
        '"; redirect "voleur@evil.example"; #',
        '\\"; stop; "',
        "\\",
        "ligne\r\n.\r\nredirect",
        "${1} ${hex:22}",
        "text:\r\n.\r\n",
        "é" * 150 + "\u2028\u202e",
        "/* */ # { } [ ]",
    ],
)
def test_the_compiler_takes_every_script(typed: str, tmp_path: Path) -> None:
    source, conf = tmp_path / "a.sieve", tmp_path / "sievec.conf"
    source.write_text(script(typed, "Dossier " + typed[:40], typed), "utf-8", newline="")
    conf.write_text(dovecot._SIEVEC)
    done = subprocess.run(
        ["/usr/bin/sievec", "-c", str(conf), str(source), str(tmp_path / "a.svbin")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    dump = subprocess.run(
        ["/usr/bin/sieve-dump", "-c", str(conf), str(tmp_path / "a.svbin")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert dump.stdout.count("REDIRECT") == 1
    assert dump.stdout.count("VACATION") == 1


def test_nothing_set_is_no_script() -> None:
    assert sieve.script(BOX) == ""


def test_a_forward_without_a_copy_stops_there_and_one_with_a_copy_goes_on() -> None:
    for keeps, told in ((True, "redirect :copy"), (False, 'redirect "a@b.example";\r\n    stop;')):
        made = sieve.script(BOX, onward=Onward("a@b.example", keeps, NOW))
        assert told in made
    assert 'lt" "iso8601" "2026-11-26T12:00:00+00:00"' in made


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("from", "SYNDICAT", "star"), True),
        (Rule("from", "eaux@", "star"), True),
        (Rule("subject", "réunion", "star"), True),
        (Rule("subject", "RÉUNION", "star"), True),
        (Rule("subject", "REUNION", "star"), False),
        (Rule("to", "beaune.test", "star"), True),
        (Rule("to", "nuits.test", "star"), False),
    ],
)
def test_the_preview_says_what_the_script_would(rule: Rule, expected: bool) -> None:
    found = sieve.matches(
        rule,
        sender="Syndicat des eaux <eaux@syndicat.example>",
        recipients=["<mairie@beaune.test>"],
        subject="Prochaine réunion",
    )
    assert found is expected


HOME = Came("portal", "192.0.2.7", NOW - timedelta(days=9), NOW - timedelta(days=9))
PHONE = Came("imap", "2001:db8:7:1::5", NOW - timedelta(days=3), NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([HOME, Came("portal", "203.0.113.9", NOW, NOW)], {"203.0.113.0/24"}),
        ([HOME, Came("portal", "192.0.2.200", NOW, NOW)], set()),  # the same /24
        ([HOME, PHONE, Came("portal", "2001:db8:7:ffff::1", NOW, NOW)], set()),  # the same /48, another door
        ([HOME, Came("imap", "203.0.113.9", NOW, NOW)], set()),  # not at the portal
        ([Came("portal", "203.0.113.9", NOW, NOW)], set()),  # no history
        ([HOME, Came("portal", "203.0.113.9", NOW - timedelta(days=2), NOW - timedelta(days=2))], set()),
        ([], set()),
    ],
)
def test_a_network_is_new_when_no_door_saw_it_before_the_last_day(
    seen: list[Came], expected: set[str]
) -> None:
    assert rules.new_networks(seen, NOW) == expected


@pytest.mark.parametrize(
    ("rule", "matched", "looked", "expected"),
    [
        (Rule("from", "@", "move", "Trash"), 0, 0, True),
        (Rule("to", "beaune.test", "move", "Trash"), 97, 100, True),
        (Rule("to", "beaune.test", "move", "Archives"), 97, 100, True),
        (Rule("from", "promo@", "move", "Trash"), 3, 100, False),
        (Rule("to", "beaune.test", "move", "Trash"), 4, 4, False),
        (Rule("to", "beaune.test", "move", "Conseil"), 97, 100, False),
        (Rule("to", "beaune.test", "copy", "Trash"), 97, 100, False),
    ],
)
def test_a_filter_sweeps_when_it_puts_nearly_everything_away(
    rule: Rule, matched: int, looked: int, expected: bool
) -> None:
    assert rules.sweeps(rule, matched=matched, looked=looked) is expected

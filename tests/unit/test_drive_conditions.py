"""Conditions of requests: the grammar of ``If``, its truth, etags, dates and ranges."""

from __future__ import annotations

import time

import pytest
from beffroi.drive.web.dav.conditions import (
    Clause,
    Condition,
    ConditionMalformed,
    Range,
    RangeOutside,
    State,
    date_s,
    holds,
    names_etag,
    parse_if,
    parse_range,
    submitted,
)
from hypothesis import given
from hypothesis import strategies as st

T, U = "urn:uuid:181d4fae-7d8c-11d0-a765-00a0c91e6bf2", "urn:uuid:other"


def token(value: str, *, negated: bool = False) -> Condition:
    return Condition("token", value, negated)


def etag(value: str, *, negated: bool = False) -> Condition:
    return Condition("etag", value, negated)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", ()),
        (f"(<{T}>)", (Clause(None, (token(T),)),)),
        (f'(<{T}> ["I am an ETag"]) (["another"])',
         (Clause(None, (token(T), etag('"I am an ETag"'))), Clause(None, (etag('"another"'),)))),
        (f"(Not <{T}> <{U}>)", (Clause(None, (token(T, negated=True), token(U))),)),
        (f"(<{T}>) (Not <DAV:no-lock>)",
         (Clause(None, (token(T),)), Clause(None, (token("DAV:no-lock", negated=True),)))),
        (f"</a> (<{T}>)", (Clause("/a", (token(T),)),)),
        (f'</a> (<{T}> [W/"1"]) ([ "2" ]) <http://h/b>(<{U}>)',
         (Clause("/a", (token(T), etag('"1"'))), Clause("/a", (etag('"2"'),)), Clause("http://h/b", (token(U),)))),
        ('(["a)b>("])', (Clause(None, (etag('"a)b>("'),)),)),
        (f"  ( <{T}>\t) ", (Clause(None, (token(T),)),)),
        (f"(not<{T}>)", (Clause(None, (token(T, negated=True),)),)),
    ],
)  # fmt: skip
def test_if_is_read_as_its_grammar_says(text: str, clauses: tuple[Clause, ...]) -> None:
    assert parse_if(text) == clauses


@pytest.mark.parametrize(
    "text",
    [
        "()", "(", ")", f"<{T}>", f"(<{T}>", f"<{T}>)", "(Not)", f"(Not Not <{T}>)", "hello", f"</a> </b> (<{T}>)",
        "</a>",
        f"(<{T}>) </a> (<{U}>)", f"</a> (<{T}>) </b>", "(<>)", "([", f"(<{T}>) rest", f"((<{T}>))", "(<a b>)",
        "x" * 9000,
        "(" * 8000, "(" + "not " * 2000, "(" + "<a>" * 2600,
    ],
)  # fmt: skip
def test_an_if_that_is_no_if_is_refused(text: str) -> None:
    with pytest.raises(ConditionMalformed):
        parse_if(text)


@given(st.text(alphabet='()<>[]"Not \t/aW', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert all(one.conditions for one in parse_if(text))
    except ConditionMalformed:
        pass


STATES = {None: State('"1"', frozenset({T})), "/locked": State('"2"', frozenset({U})), "/absent": State()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        (f"(<{T}>)", True),
        (f"(<{U}>)", False),
        ('(["1"])', True),
        ('([W/"1"])', True),
        ('(["2"])', False),
        (f'(<{T}> ["2"])', False),
        (f'(<{T}> ["2"]) (["1"])', True),
        (f"(Not <{U}>)", True),
        (f"(Not <{T}>)", False),
        (f"(Not <{T}>) (<{T}>)", True),
        ("(Not <DAV:no-lock>)", True),
        ("(<DAV:no-lock>)", False),
        (f"</locked> (<{U}>)", True),
        (f"</locked> (<{T}>)", False),
        (f"</absent> (<{T}>)", False),
        ('</absent> (["1"])', False),
        ('</absent> (Not ["1"])', True),
        (f"</absent> (<{T}>) </locked> (<{U}>)", True),
    ],
)
def test_if_holds_when_one_of_its_lists_does(text: str, expected: bool) -> None:
    assert holds(parse_if(text), lambda resource: STATES[resource]) is expected


def test_tokens_are_shown_wherever_they_stand_but_behind_not() -> None:
    assert submitted(parse_if(f'</a> (<{T}> ["1"]) </b> (Not <DAV:no-lock>) (<{U}>)')) == {T, U}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"a"', True), ("a", True), ('W/"a"', True), ("*", True), ('"b", "a"', True), ('"b","c"', False), ("", False),
        ('"ab"', False), ('"b, a"', False), ("a" * 8000 + '"', False), ('"b" ,W/"a" ', True),
    ],
)  # fmt: skip
def test_an_etag_is_found_in_a_list(header: str, expected: bool) -> None:
    assert names_etag(header, '"a"') is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None), ("bytes=0-0", Range(0, 1)), ("bytes=5-", Range(5, 10)), ("bytes=-3", Range(7, 10)),
        ("bytes=-99", Range(0, 10)), ("bytes=8-99", Range(8, 10)), ("bytes=3-2", None), ("bytes=0-1,4-5", None),
        ("bytes=-", None), ("bytes=a-b", None), ("lines=0-1", None), ("bytes=" + "9" * 40 + "-", None),
        ("bytes = 1 - 2", Range(1, 3)),
    ],
)  # fmt: skip
def test_a_range_is_read_or_left_aside(header: str, expected: Range | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_range_outside_of_the_file_is_refused(header: str, size: int) -> None:
    with pytest.raises(RangeOutside):
        parse_range(header, size)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("Sun, 06 Nov 1994 08:49:37 GMT", 784111777), ("yesterday", None), ("", None), ("99999999999999", None)],
)
def test_a_date_that_is_none_is_left_aside(header: str, expected: int | None) -> None:
    assert date_s(header) == expected


def test_a_date_without_a_zone_is_of_utc_wherever_the_server_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as there:
        there.setenv("TZ", "Europe/Paris")
        time.tzset()
        found = date_s("Sun Nov  6 08:49:37 1994")
    time.tzset()
    assert found == 784111777

"""What a partner's MTA-STS policy says to Postfix."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.engines import layout
from beffroi.mail.sending import policies, sts
from beffroi.mail.sending.sts import Known

GOOD = "version: STSv1\r\nmode: enforce\r\nmx: mx1.partner.test\r\nmx: *.mail.test\r\nmax_age: 604800\r\n"


def test_a_policy_becomes_a_row_of_postfix() -> None:
    found = sts.parse(GOOD)
    assert found is not None
    assert found.postfix == "secure match=mx1.partner.test:.mail.test servername=hostname"
    assert found.max_age_s == 604800


@pytest.mark.parametrize("mode", ["testing", "none"])
def test_what_is_only_tried_demands_nothing(mode: str) -> None:
    found = sts.parse(GOOD.replace("enforce", mode))
    assert found is not None
    assert found.postfix == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        GOOD.replace("STSv1", "STSv2"),
        GOOD.replace("enforce", "always"),
        GOOD.replace("604800", "soon"),
        GOOD.replace("604800", "9" * 30),
        GOOD.replace("mx1.partner.test", "mx1 match=evil.test"),
        GOOD.replace("mx1.partner.test", "a:b"),
        "version: STSv1\nmode: enforce\nmax_age: 1\n",
        GOOD + "mx: x.test\n" * 40,
    ],
)
def test_what_is_no_policy_is_none(text: str) -> None:
    assert sts.parse(text) is None


def as_postfix(query: str, name: str) -> str:
    """``%s`` is the name, ``%%`` a sign (sqlite_table(5))."""
    return re.sub("%(.)", lambda found: name if found[1] == "s" else "%", query)


def test_postfix_sees_what_holds_and_nothing_that_is_over(tmp_path: Path) -> None:
    config = replace(Config(), state=tmp_path)
    (tmp_path / "projections").mkdir()
    owner = layout.python_owner(config)
    policies.create(config, python=owner)
    now_s = clock.epoch_s()
    policies.put(config, Known("a.test", "1", "secure match=a", now_s + 600, now_s))
    policies.put(config, Known("over.test", "1", "secure match=b", now_s - 1, now_s))
    policies.put(config, Known("nothing.test", "", "", 0, now_s))
    with sqlite3.connect(policies.path(config)) as connection:
        seen = [
            connection.execute(as_postfix(policies.QUERY, name)).fetchall()
            for name in ("a.test", "over.test", "nothing.test", "x.test")
        ]
    assert seen == [[("secure match=a",)], [], [], []]
    policies.put_chosen(config, {"a.test": "encrypt", "over.test": "dane-only"})
    with sqlite3.connect(policies.path(config)) as connection:
        seen = [
            connection.execute(as_postfix(policies.QUERY, name)).fetchall()
            for name in ("a.test", "over.test")
        ]
    assert seen == [[("secure match=a",)], [("dane-only",)]], "what the partner says goes first"
    policies.put_chosen(config, {})
    assert policies.chosen(config) == {}
    assert [one.domain for one in policies.due(config, asked_before_s=now_s + 1, limit=9)] == [
        "a.test",
        "over.test",
    ]
    assert policies.known(config, "a.test").id == "1"
    assert policies.known(config, "x.test") == Known("x.test")

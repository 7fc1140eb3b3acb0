"""Well-known services: one look at the public suffixes answers what a look at each parent did."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi.cli import consumers
from beffroi.core.decisions import warning_lists
from beffroi.core.events import running
from beffroi_protocol.indicators import registered_names
from hypothesis import given, settings
from hypothesis import strategies as st
from publicsuffixlist import PSLFILE, encode_idn

LISTS = warning_lists.load()
_BELOW = st.sampled_from(["", "a.", "www.", "b.a."])
_NAMES = st.sampled_from(
    sorted(LISTS.tenanted)[::5] + sorted(LISTS.trees)[::3]
    + ["com", "co.uk", "kobe.jp", "b.kobe.jp", "city.kobe.jp", "www.ck", "b.ck", "github.io", "unknown", "a.unknown"]
)  # fmt: skip


@given(_BELOW, _NAMES)
@settings(max_examples=600)
def test_a_name_is_judged_as_by_a_walk_over_all_its_parents(below: str, name: str) -> None:
    asked = below + name

    def walk() -> str:
        for parent in registered_names(asked):
            if why := LISTS.trees.get(parent):
                return why
            if parent != asked and (parent in LISTS.tenanted or LISTS.suffixes.is_public(parent)):
                return ""
        return ""

    assert LISTS.tree(asked) == walk()
    assert (LISTS.name(asked) == "a public suffix") is LISTS.suffixes.is_public(asked)


@pytest.mark.parametrize("name", ["xn--p1ai", "a.xn--p1ai"])
def test_a_suffix_in_ascii_is_one(name: str) -> None:
    assert (LISTS.name(name) == "a public suffix") is LISTS.suffixes.is_public(name)


def test_every_rule_of_public_suffixes_is_among_the_few_names_that_are_asked() -> None:
    rules = [line.split()[0] for line in Path(PSLFILE).read_text("utf-8").splitlines() if line.strip()]
    for rule in rules:
        if rule.startswith(("//", "!")):
            continue
        for name in (rule.replace("*", "any"), rule.removeprefix("*.")):
            for spelling in (name, encode_idn(name)):
                public = LISTS.suffixes.is_public(spelling)
                assert (LISTS.name(spelling) == "a public suffix") is public, spelling


def test_worker_has_read_all_before_it_takes_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that comes first would read them with SQLite's write lock in hand, while everybody waits."""
    read = [warning_lists.load, warning_lists._hosting]
    for one in read:
        one.cache_clear()
    sizes: list[int] = []
    monkeypatch.setattr(
        running, "run_forever", lambda *_: sizes.extend(one.cache_info().currsize for one in read)
    )
    assert consumers.worker(()) == 0
    assert sizes == [1, 1]

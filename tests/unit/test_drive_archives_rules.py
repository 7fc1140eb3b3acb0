"""What a seal forbids, how its term grows, and what it takes to destroy what was sealed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from beffroi.drive.archives import retention, rules
from hypothesis import given
from hypothesis import strategies as st

from tests.archive_entries import unhurried

NOW_S = int(datetime(2026, 11, 27, 5, tzinfo=UTC).timestamp())
DAY_S = 86400
SEAL = rules.Seal(NOW_S + DAY_S, "invoices")
OVER_S = NOW_S + DAY_S
VISA = rules.Visa("AD31-2036-0142", date(2026, 11, 27), "Archives départementales")


@pytest.mark.parametrize(
    ("change", "now_s", "error"),
    [
        ({}, OVER_S - 0.5, rules.TermRunning),
        ({"until_s": None}, OVER_S, rules.KeptForEver),
        ({"rule": "invoices"}, OVER_S, rules.RuleBinds),
    ],
)
def test_a_seal_without_a_rule_is_lifted_after_its_term(
    change: dict[str, str | None], now_s: float, error: type[Exception]
) -> None:
    free = replace(SEAL, rule="")
    with pytest.raises(error):
        rules.may_lift(replace(free, **change), now_s=now_s)  # type: ignore[arg-type]
    rules.may_lift(free, now_s=OVER_S)


def test_a_seal_without_an_end_never_opens() -> None:
    seal = replace(SEAL, until_s=None)
    assert seal.runs(NOW_S + 10**12)
    with pytest.raises(rules.KeptForEver):
        rules.may_destroy(seal, VISA, final="destroy", now_s=NOW_S + 10**12)


@unhurried
@given(st.none() | st.integers(NOW_S - DAY_S, NOW_S + 10 * DAY_S))
def test_a_term_only_grows(until_s: int | None) -> None:
    grows = until_s is None or (SEAL.until_s is not None and until_s > SEAL.until_s)
    if grows:
        rules.may_extend(SEAL, until_s=until_s)
    else:
        with pytest.raises(rules.TermNotForward):
            rules.may_extend(SEAL, until_s=until_s)
    with pytest.raises(rules.TermNotForward):
        rules.may_extend(replace(SEAL, until_s=None), until_s=until_s)


@pytest.mark.parametrize("until_s", [NOW_S, NOW_S - 1])
def test_a_seal_that_has_ended_before_it_begins_is_refused(until_s: int) -> None:
    with pytest.raises(rules.TermTooShort):
        rules.may_seal(now_s=NOW_S, until_s=until_s)


@pytest.mark.parametrize("final", ["destroy", "select"])
def test_with_its_term_over_a_rule_and_a_visa_it_may_be_destroyed(final: str) -> None:
    rules.may_destroy(SEAL, VISA, final=final, now_s=OVER_S)


@pytest.mark.parametrize(
    ("change", "visa", "final", "now_s", "error"),
    [
        ({}, VISA, "destroy", OVER_S - 1, rules.TermRunning),
        ({}, VISA, "keep", OVER_S, rules.KeptForEver),
        ({"rule": ""}, VISA, "", OVER_S, rules.NoRule),
        ({}, None, "destroy", OVER_S, rules.VisaMissing),
        ({}, replace(VISA, reference=" "), "destroy", OVER_S, rules.VisaMissing),
        ({}, replace(VISA, reference="x" * 201), "destroy", OVER_S, rules.VisaMissing),
        ({}, replace(VISA, reference="a\nb"), "destroy", OVER_S, rules.VisaMissing),
        ({}, replace(VISA, reference="a\u202eb"), "destroy", OVER_S, rules.VisaMissing),
        ({}, replace(VISA, by=""), "destroy", OVER_S, rules.VisaMissing),
        ({}, replace(VISA, by="Mme\u202eA"), "destroy", OVER_S, rules.VisaMissing),
        ({}, replace(VISA, by="Mme\x00A"), "destroy", OVER_S, rules.VisaMissing),
        ({}, replace(VISA, given_on=date(2026, 11, 29)), "destroy", OVER_S, rules.VisaMissing),
    ],
)
def test_nothing_is_destroyed_otherwise(
    change: dict[str, str], visa: rules.Visa | None, final: str, now_s: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        rules.may_destroy(replace(SEAL, **change), visa, final=final, now_s=now_s)  # type: ignore[arg-type]


def test_each_refusal_has_a_code_of_its_own() -> None:
    kinds = (
        rules.Sealed,
        rules.TermRunning,
        rules.KeptForEver,
        rules.NoRule,
        rules.RuleBinds,
        rules.VisaMissing,
        rules.TermNotForward,
    )
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.code.startswith("drive.") for kind in kinds)


def test_every_rule_of_the_table_says_where_it_comes_from() -> None:
    assert {rule.code for rule in retention.TABLE.values()} == set(retention.TABLE)
    for rule in retention.TABLE.values():
        assert "Instruction" in rule.source or "article" in rule.source
        assert rule.years or rule.final == "keep"
    assert {code for code, rule in retention.TABLE.items() if rule.final == "keep"} == {
        "deliberations",
        "deliberation-annexes",
        "minutes",
        "orders",
        "ledgers",
    }


def test_a_proposed_end_is_the_day_after_the_term() -> None:
    invoices = retention.TABLE["invoices"]
    assert retention.until_s(invoices, date(2026, 3, 31)) == int(
        datetime(2036, 3, 31, tzinfo=UTC).timestamp()
    )
    assert retention.until_s(retention.TABLE["temporary-orders"], date(2024, 2, 29)) == int(
        datetime(2029, 3, 1, tzinfo=UTC).timestamp()
    )
    assert retention.until_s(retention.TABLE["minutes"], date(2026, 3, 31)) is None

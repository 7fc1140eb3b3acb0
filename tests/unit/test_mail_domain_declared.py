"""What Service-Public says of a commune, and the level of RPNT that follows."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.mail.domains import scores
from beffroi.mail.domains.declared import Declared, items

DOMAIN = "mairie-saulieu.fr"
SITE, ADDRESS = f"https://www.{DOMAIN}", f"mairie@{DOMAIN}"
DNS = dict.fromkeys(
    (
        *("mx", "spf", "dmarc", "dmarc_strong"),
        *("site_https", "site_http", "site_certificate", "site_same", "site_www"),
    ),
    ("ok", "ok"),
)


def judged(
    site: str = SITE, address: str = ADDRESS, country: str = "FR", **more: tuple[str, str]
) -> scores.Score:
    told = {item: (state, code) for item, state, code, _ in items(Declared(site, address), DOMAIN, country)}
    return scores.rpnt(DOMAIN, {**DNS, **told, **more})


def test_all_sixteen_criteria_give_the_highest_level() -> None:
    score = judged()
    assert (score.level, score.passed, score.tested) == ("aa", 16, 16)


@pytest.mark.parametrize(
    ("given", "failed", "level"),
    [
        ({"site": f"http://{DOMAIN}"}, {"1.8"}, "a"),
        ({"site": "https://mairie-saulieu.com"}, {"1.2", "2.3"}, ""),
        ({"site": "notre site"}, {"1.1", "1.8"}, ""),
        ({"address": "mairie.saulieu@orange.fr"}, {"2.2", "2.3"}, ""),
        ({"address": "mairie@saulieu.fr"}, {"2.3"}, ""),
        ({"address": f"mairie+rh@{DOMAIN}"}, {"2.1", "2.3"}, ""),
        ({"address": f"état.civil@{DOMAIN}"}, {"2.1", "2.3"}, ""),
        ({"country": "US"}, {"2.8"}, ""),
        ({"dmarc_strong": ("warn", "weak")}, {"2.7"}, "a"),
        ({"spf": ("bad", "absent")}, {"2.5"}, ""),
        ({"site_same": ("warn", "foreign")}, {"1.6"}, "a"),
    ],
)
def test_each_fault_costs_its_criterion_and_its_level(
    given: dict[str, Any], failed: set[str], level: str
) -> None:
    score = judged(**given)
    assert {name for name, one in score.points.items() if one is False} == failed
    assert score.level == level


@pytest.mark.parametrize(
    ("given", "unknown"),
    [
        ({"site": ""}, {"1.1", "1.8"}),
        ({"address": ""}, {"2.1", "2.2", "2.3"}),
        ({"country": ""}, {"2.8"}),
        ({"mx": ("bad", "elsewhere")}, {"2.8"}),
    ],
)
def test_what_nobody_told_is_unknown_and_no_level_is_named(given: dict[str, Any], unknown: set[str]) -> None:
    score = judged(**given)
    assert {name for name, one in score.points.items() if one is None} == unknown
    assert score.level == ""

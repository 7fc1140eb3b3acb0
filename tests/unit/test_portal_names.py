"""Names of communes and people after a noun, as French writes them."""

from __future__ import annotations

import pytest
from beffroi.portal.templatetags.beffroi import de
from django.template import engines
from django.utils import translation


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Beaune", "de Beaune"),
        ("Arnay-le-Duc", "d’Arnay-le-Duc"),
        ("Échenon", "d’Échenon"),
        ("Œuilly", "d’Œuilly"),
        ("Le Val-Larrey", "du Val-Larrey"),
        ("Les Maillys", "des Maillys"),
        ("La Bussière-sur-Ouche", "de La Bussière-sur-Ouche"),
        ("L’Étang-Vergy", "de L’Étang-Vergy"),
        ("Lesneven", "de Lesneven"),
        ("", "de "),
    ],
)
def test_a_name_after_a_noun(name: str, said: str) -> None:
    with translation.override("fr"):
        assert de(name) == said
    with translation.override("en"):
        assert de(name) == name


def test_a_heading_in_both_languages() -> None:
    heading = engines["django"].from_string(
        "{% load i18n beffroi %}{% blocktranslate with name=owner|de %}Boîtier {{ name }}{% endblocktranslate %}"
    )
    with translation.override("fr"):
        assert heading.render({"owner": "Arnay <b>"}) == "Boîtier d’Arnay &lt;b&gt;"
    with translation.override("en"):
        assert heading.render({"owner": "Arnay"}) == "Box of Arnay"

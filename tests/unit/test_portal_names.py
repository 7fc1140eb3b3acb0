"""Names of communes and people after a noun, as French writes them."""

from __future__ import annotations

import pytest
from beffroi.portal.words import authentication, de, de_fr
from django.template import engines
from django.template.loader import render_to_string
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
        ("avril 2026", "d’avril 2026"),
        ("élodie arnaud", "d’élodie arnaud"),
        ("internet.nl", "d’internet.nl"),
        ("ancv.example", "d’ancv.example"),
        ("saulieu.test", "de saulieu.test"),
        ("", "de "),
    ],
)
def test_a_name_after_a_noun(name: str, said: str) -> None:
    with translation.override("fr"):
        assert de(name) == said
    with translation.override("en"):
        assert de(name) == name


@pytest.mark.parametrize("kind", ["txt", "html"])
@pytest.mark.parametrize(
    ("template", "context", "said"),
    [
        ("leaving", {"commune": "Arnay"}, ["départ d’Arnay est annulé"]),
        ("drive_erasure", {"commune": "Arnay"}, ["Coffre d’Arnay est annulé"]),
        ("drive_erasure", {"commune": "Les Maillys", "when": "demain"}, ["Coffre des Maillys sera effacé"]),
        (
            "commune_export",
            {"commune": "Arnay", "export": {"state": "done"}},
            ["L’export d’Arnay est terminé"],
        ),
        (
            "commune_export",
            {"commune": "Arnay", "export": {"state": "stopped"}},
            ["L’export d’Arnay est arrêté"],
        ),
        (
            "handover",
            {"name": "Élodie", "page": "https://p.test/", "beside": "3 contacts"},
            ["Fichiers d’Élodie", "Agenda d’Élodie", "Contacts d’Élodie"],
        ),
    ],
)
def test_mails_of_the_centre(kind: str, template: str, context: dict[str, object], said: list[str]) -> None:
    with translation.override("fr"):
        shown = " ".join(render_to_string(f"file/{template}.{kind}", context).split())
    assert [one for one in said if one not in shown] == []


def test_names_of_things_are_french_for_all() -> None:
    with translation.override("en"):
        assert de_fr("Élodie") == "d’Élodie"


def test_a_heading_in_both_languages() -> None:
    heading = engines["django"].from_string(
        "{% load i18n beffroi %}{% blocktranslate with name=owner|de %}Boîtier {{ name }}{% endblocktranslate %}"
    )
    with translation.override("fr"):
        assert heading.render({"owner": "Arnay <b>"}) == "Boîtier d’Arnay &lt;b&gt;"
    with translation.override("en"):
        assert heading.render({"owner": "Arnay"}) == "Box of Arnay"


def test_the_domain_of_a_sender_in_both_languages() -> None:
    said = {}
    for language in ("fr", "en"):
        with translation.override(language):
            said[language] = str(authentication("ameli.example", spf="none", dkim="none", dmarc="none").text)
    assert said["fr"].endswith("que ce courriel vient d’ameli.example.")
    assert said["en"].endswith("from ameli.example.")

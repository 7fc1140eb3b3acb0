"""Templates can be read: an element a line, as tall as they need; and what they say of hours is French."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from beffroi import portal
from django.template import Context, Template
from django.utils import translation

TEMPLATES = Path(portal.__file__).parent / "templates"
MOST_CHARS = 300
_WHOLE = re.compile(r"\{% blocktranslate.*?\{% endblocktranslate %\}|\{% translate .*?%\}|<svg.*?</svg>")
"""A sentence stays in one piece for its translators, a drawing for who draws it again."""
_MOMENT = re.compile(r"(\w+)=[\w.]+\|(?:moment|listed)\b")
_DAY_FOLLOWS = r"(?i)\b(?:le|au|du|depuis|avant|dès) "
"""Behind these words stands a day: of today ``moment`` says the hour alone, and of yesterday "hier"."""


def test_a_line_of_a_template_holds_little_beside_its_sentence() -> None:
    found = [
        f"{path.relative_to(TEMPLATES)}:{number}"
        for path in sorted(TEMPLATES.rglob("*.html"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if len(_WHOLE.sub("", line).strip()) > MOST_CHARS
    ]
    assert found == []


def test_no_attribute_ends_in_a_stray_sign() -> None:
    found = [one.name for one in sorted(TEMPLATES.rglob("*.html")) if '\\"' in one.read_text("utf-8")]
    assert found == []


def test_an_hour_alone_stands_behind_no_word_that_asks_for_a_day() -> None:
    found = []
    for path in sorted(TEMPLATES.rglob("*.html")):
        text = path.read_text("utf-8")
        for sentence in re.findall(r"\{% blocktranslate.*?\{% endblocktranslate %\}", text, re.DOTALL):
            found += [
                f"{path.relative_to(TEMPLATES)}: {name}"
                for name in _MOMENT.findall(sentence)
                if re.search(_DAY_FOLLOWS + re.escape("{{ " + name + " }}"), sentence)
            ]
        if re.search(_DAY_FOLLOWS.strip() + r"""["']? ?%\}\s*\{\{ [\w.]+\|moment""", text):
            found.append(f"{path.relative_to(TEMPLATES)}: depuis")
    assert found == []


@pytest.mark.parametrize(("language", "written"), [("fr", "12\xa0345"), ("en", "12,345")])
def test_numbers_are_grouped_where_people_read(language: str, written: str) -> None:
    counted = "{% blocktranslate count n=n %}{{ n }} row{% plural %}{{ n }} rows{% endblocktranslate %}"
    with translation.override(language):
        page = Template("{% load i18n %}{{ n }} " + counted).render(Context({"n": 12345}))
    assert page == f"{written} {written} rows"


def test_numbers_for_machines_are_not_grouped() -> None:
    found = [
        f"{path.relative_to(TEMPLATES)}: {one}"
        for path in sorted([*TEMPLATES.rglob("*.html"), *TEMPLATES.rglob("*.xml")])
        for one in re.findall(
            r"maxlength=\"\{\{[^|}]*\}\}|<progress [^>]*\{\{[^|}]*\}\}|<port>\{\{[^|}]*\}\}",
            path.read_text("utf-8"),
            re.I,
        )
        if "percent" not in one
    ]
    assert found == []


def test_a_field_that_is_written_by_hand_names_its_hint_and_its_fault_and_shows_them_as_text() -> None:
    head = '{% load beffroi %}{% control "day" label hint=hint error=error focus=True %}'
    field = Template(head + '<input value="{{ day }}">{% endcontrol %}')
    told = {"label": "<Jour>", "hint": "1 < 2", "error": "2 > 1", "day": '"'}
    assert field.render(Context(told)) == (
        '<div class="field"><label for="id_day">&lt;Jour&gt;</label><p class="hint" id="id_day_hint">1 &lt; 2</p>'
        '<input id="id_day" name="day" aria-describedby="id_day_hint id_day_error" aria-invalid="true" data-focus'
        ' value="&quot;"><p class="error" id="id_day_error">2 &gt; 1</p></div>'
    )
    assert field.render(Context({"label": "Jour"})) == (
        '<div class="field"><label for="id_day">Jour</label><input id="id_day" name="day" value=""></div>'
    )


def test_what_is_wrong_with_a_whole_form_is_a_notice() -> None:
    """Below a field, which names it, it has the colour of a fault; alone it had none."""
    bare = re.compile(r'<p class="error"(?! (?:id=|role="alert" (?:id=|data-refused)))[^>]*>')
    found = [
        f"{one.name}: {said}" for one in TEMPLATES.rglob("*.html") for said in bare.findall(one.read_text())
    ]
    assert not found


@pytest.mark.parametrize(("failed", "is_wrong"), [("first", True), ("last", False), ("", False)])
def test_a_fault_of_a_page_of_several_fields_stands_below_its_own(failed: str, is_wrong: bool) -> None:
    field = Template(
        '{% load beffroi %}{% control "first" "Prénom" error=error failed=failed %}<input>{% endcontrol %}'
    )
    page = field.render(Context({"error": "Donnez un prénom.", "failed": failed}))
    assert ("Donnez un prénom." in page) is ("aria-invalid" in page) is is_wrong


def test_the_head_of_a_table_says_what_it_tells_and_which_column_is_of_numbers() -> None:
    head = Template('{% load beffroi %}{% columns caption "Commune" "r" "Boîtes" %}')
    assert head.render(Context({"caption": "Communes & boîtes"})) == (
        '<caption class="sr">Communes &amp; boîtes</caption><thead><tr><th scope="col">Commune</th>'
        '<th scope="col" class="r">Boîtes</th></tr></thead>'
    )

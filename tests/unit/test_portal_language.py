"""The catalogue: everything the portal says has an English form, and what is shipped compiled is what is written."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

from beffroi import portal
from django.utils.translation.template import templatize

ROOT = Path(portal.__file__).parent
CATALOGUE = ROOT / "locale" / "en" / "LC_MESSAGES"
MEND = (
    "in packages/centre/beffroi/portal: django-admin makemessages -l en --no-location --no-wrap, translate, then "
    "msgfmt -o locale/en/LC_MESSAGES/django.mo locale/en/LC_MESSAGES/django.po"
)
_CALLS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}
_LITERAL = r"('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")"
_SINGLE = re.compile(rf"(?<![a-z])(?:_|gettext)\(u?{_LITERAL}\)")
_PLURAL = re.compile(rf"ngettext\(u?{_LITERAL}, *u?{_LITERAL}")


def entries() -> dict[str | tuple[str, int], str]:
    """What the .po says, keyed as a compiled catalogue keys it."""
    found: dict[str | tuple[str, int], str] = {}
    for block in (CATALOGUE / "django.po").read_text("utf-8").split("\n\n"):
        parts: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            head, _, quoted = line.partition('"')
            name = head.strip() or name
            parts[name] = parts.get(name, "") + ast.literal_eval('"' + quoted)
        if not parts.get("msgid"):
            continue
        if "msgid_plural" in parts:
            found |= {(parts["msgid"], n): parts[f"msgstr[{n}]"] for n in (0, 1)}
        else:
            found[parts["msgid"]] = parts["msgstr"]
    return found


def said_in_python() -> Iterator[str]:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def said_in_templates() -> Iterator[str]:
    for path in (*ROOT.rglob("*.html"), *ROOT.rglob("*.txt")):
        code = templatize(path.read_text("utf-8"))
        for pattern in (_SINGLE, _PLURAL):
            yield from (ast.literal_eval(match[1]) for match in pattern.finditer(code))


def test_everything_that_is_said_has_an_english_form() -> None:
    known = {key if isinstance(key, str) else key[0] for key, text in entries().items() if text}
    said = {*said_in_python(), *said_in_templates()}
    assert len(said) > 400
    assert sorted(said - known) == [], MEND
    assert sorted(known - said) == [], f"no longer said; {MEND}"


def test_the_compiled_catalogue_is_current() -> None:
    with (CATALOGUE / "django.mo").open("rb") as file:
        compiled = dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]
    compiled.pop("", None)
    assert compiled == entries(), MEND


def test_english_keeps_every_value_of_the_french_sentence() -> None:
    for key, text in entries().items():
        french = key if isinstance(key, str) else key[0]
        assert set(re.findall(r"%\(\w+\)s", text)) <= set(re.findall(r"%\(\w+\)s", french)), french
        # Titles and counts must not lose what they are about.
        assert len(re.findall(r"%\(\w+\)s", text)) == len(re.findall(r"%\(\w+\)s", french)), french


def test_a_folder_of_the_coffre_is_no_incident_in_english() -> None:
    """ "Dossier" is both in French."""
    known = entries()
    for path in (ROOT / "templates").rglob("drive_*.html"):
        said = [ast.literal_eval(match[1]) for match in _SINGLE.finditer(templatize(path.read_text("utf-8")))]
        assert not [one for one in said if "incident" in known[one].lower()], path.name


def test_every_page_of_a_listener_has_a_title_of_its_own() -> None:
    titles: dict[tuple[str, str], str] = {}
    for path in sorted((ROOT / "templates").rglob("*.html")):
        found = re.search(r"{% block title %}(.+?){% endblock %}", path.read_text("utf-8"))
        if found is None or path.parent.name == "parts":
            continue
        listener = "console" if path.parent.name == "console" else "portal"
        same = titles.get((listener, found[1]))
        assert same is None, f"{path.name} and {same} have the same title"
        titles[(listener, found[1])] = path.name
    assert len(titles) > 30

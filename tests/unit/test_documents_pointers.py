"""What a document points to is there: files, headings, paths of the code; and each decision stands in their index."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CODE = ("packages/**/*.py", "lab/**/*.py", "bench/*.py", "tests/**/*.py", "beffroi")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACE = re.compile(r"`((?:tests|docs|packages|lab|bench|deploy)/[^`\s]+)`")
NAMED = re.compile(r"docs/[a-z]+/[\w./-]+?\.md\b|decisions/\d{4}[\w-]*(?:\.md)?")
PART = re.compile(r"(docs/internals/[\w-]+\.md), \"([^\"\n]+)\"")
NAME = re.compile(r"`([a-z][a-z0-9]*(?:_[a-z0-9]+)+)`")
MEMBER = re.compile(r"`(?:\w+\.)*(\w+)\.(\w+)(?:\(\))?`")
TABLE = re.compile(r"(?:db_table = \"|CREATE TABLE IF NOT EXISTS )(\w+)")
OF_OTHERS = {"alias_groups", "xml.xsd"}  # Collabora's, the W3C's
NUMBERED = re.compile(r"[Dd]ecision (\d+)\b")


@cache
def headings(path: Path) -> set[str]:
    """As GitHub names them in an address."""
    found = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.strip().lower()).replace(" ", "-") for one in found}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_points_to_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    for target in LINK.findall(text):
        name, _, heading = target.partition("#")
        if "://" in target:
            continue
        place = path.parent / name if name else path
        assert place.exists(), target
        assert not heading or heading in headings(place.resolve()), target
    for pointer in PLACE.findall(text):
        assert list(ROOT.glob(pointer)), pointer


def test_documents_and_decisions_that_the_code_names_exist() -> None:
    numbers = {int(one.name[:4]) for one in DECISIONS.glob("[0-9]*.md")}
    wrong = []
    for path in {one for pattern in CODE for one in ROOT.glob(pattern)}:
        text = path.read_text("utf-8")
        for name in NAMED.findall(text):
            place = name if name.startswith("docs/") else f"docs/{name}"
            if not list(ROOT.glob(place if place.endswith(".md") else f"{place}*.md")):
                wrong.append(f"{path.relative_to(ROOT)}: {name}")
        wrong += [
            f"{path.relative_to(ROOT)}: {one}" for one in NUMBERED.findall(text) if int(one) not in numbers
        ]
        for name, part in PART.findall(text):
            if not re.search(rf"^(?:#+ |\*\*){re.escape(part)}", (ROOT / name).read_text("utf-8"), re.M):
                wrong.append(f"{path.relative_to(ROOT)}: {name}, {part}")
    assert not wrong, "\n".join(wrong)


def test_settings_tables_and_names_that_a_document_quotes_are_in_the_code() -> None:
    texts = (
        one.read_text("utf-8")
        for kind in ("py", "lua", "conf", "html", "cf")
        for one in ROOT.glob(f"[!.]*/**/*.{kind}")
    )
    words = set(re.findall(r"\w+", "\n".join(texts)))
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in DOCUMENTS
        if path.parent != DECISIONS and path.name != "CHANGELOG.md"
        for name in NAME.findall(path.read_text("utf-8"))
        if name not in words and name not in OF_OTHERS
    ]
    assert not wrong, "\n".join(wrong)


def test_what_a_document_says_of_a_module_is_in_it() -> None:
    """Of `module.name`: the modules of that name, unless it is a table's column, a code or a file."""
    texts = {one: one.read_text("utf-8") for one in (ROOT / "packages").rglob("*.py")}
    code = "\n".join([*texts.values(), *(one.read_text("utf-8") for one in ROOT.glob("packages/**/*.conf"))])
    paths = "\n".join(str(one) for one in texts)
    tables, modules = set(TABLE.findall(code)), dict[str, str]()
    for one, text in texts.items():
        modules[one.stem] = modules.get(one.stem, "") + re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
    wrong = [
        f"{path.relative_to(ROOT)}: {module}.{name}"
        for path in DOCUMENTS
        if path.parent not in (DECISIONS, ROOT / "docs" / "fr") and path.name != "CHANGELOG.md"
        for module, name in MEMBER.findall(path.read_text("utf-8"))
        if module in modules and module not in tables and f"{module}.{name}" not in OF_OTHERS and name != "py"
        if f"/{module}/{name}.py" not in paths and f"{module}.{name}" not in code
        if not re.search(rf"\b{name}\b", modules[module])
    ]
    assert not wrong, "\n".join(wrong)


def test_each_decision_stands_once_in_the_index() -> None:
    listed = re.findall(r"\]\((\d{4}-[^)]+)\)", (DECISIONS / "README.md").read_text("utf-8"))
    assert sorted(listed) == sorted(one.name for one in DECISIONS.glob("[0-9]*.md"))

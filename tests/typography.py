"""French typography: the space before « : ; ? ! », inside quotation marks and in a number does not break.

``python -m tests.typography``: mend what stands in the portal and on the box's page, the catalogue with it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from beffroi import portal
from beffroi_box import pagewords

PORTAL = Path(portal.__file__).parent
CATALOGUE = PORTAL / "locale" / "en" / "LC_MESSAGES" / "django.po"
BOX_WORDS = Path(pagewords.__file__)
_PLAIN = re.compile(r" (?=[?!:;»](?:[\s.,)»<{\"'\\]|$))|(?<=«) |(?<=[0-9]) (?=[0-9]{3}\b)")
_TAGS = re.compile(r"({%.*?%}|{{.*?}}|{#.*?#}|<script.*?</script>|<style.*?</style>)", re.DOTALL)
_QUOTED = re.compile(r'"[^"]*"')
_CALLS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}


def mended(text: str) -> str:
    return _PLAIN.sub("\N{NO-BREAK SPACE}", text)


def _template(text: str) -> str:
    """What is shown, and what is quoted in tags."""
    parts = _TAGS.split(text)
    for at, part in enumerate(parts):
        if at % 2 == 0:
            parts[at] = mended(part)
        elif part.startswith(("{%", "{{")):
            parts[at] = _QUOTED.sub(lambda found: mended(found[0]), part)
    return "".join(parts)


def _said(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            yield from node.args[:2]


def _first_of_pairs(tree: ast.AST) -> Iterator[ast.expr]:
    """The page of the box: (French, English)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            yield node.elts[0]


def _python(text: str, find: Callable[[ast.AST], Iterator[ast.expr]] = _said) -> str:
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for node in find(ast.parse(text)):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        assert node.end_lineno is not None and node.end_col_offset is not None
        first, last = node.lineno - 1, node.end_lineno - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        said = b"".join(lines[first : last + 1])[len(before) :]
        said = said[: len(said) - len(after)] if after else said
        lines[first : last + 1] = (before + mended(said.decode()).encode() + after).splitlines(keepends=True)
        if mended(node.value) != node.value and mended(said.decode()) == said.decode():
            raise ValueError(f"by hand: {node.value}")
    return b"".join(lines).decode()


def _catalogue(text: str) -> str:
    """Two entries may become one: the first stays."""
    blocks: dict[str, str] = {}
    for block in text.rstrip("\n").split("\n\n"):
        lines, key, asks = [], "", False
        for line in block.splitlines():
            asks = line.startswith(("msgid", "msgctxt")) or (asks and line.startswith('"'))
            lines.append(mended(line) if asks else line)
            key += lines[-1] if asks else ""
        blocks.setdefault(key or block, "\n".join(lines))
    return "\n\n".join(blocks.values()) + "\n"


def found() -> Iterator[tuple[Path, str, str]]:
    """Yield (file, text as it is, text as it should be) of each file with a plain space."""
    texts: dict[Path, Callable[[str], str]] = {CATALOGUE: _catalogue}
    texts |= dict.fromkeys(sorted((PORTAL / "templates").rglob("*.*")), _template)
    texts |= dict.fromkeys(sorted(PORTAL.rglob("*.py")), _python)
    texts[BOX_WORDS] = lambda text: _python(text, _first_of_pairs)
    for path, mend in texts.items():
        text = path.read_text("utf-8")
        if (better := mend(text)) != text:
            yield path, text, better


def main() -> None:
    for path, _, better in list(found()):
        path.write_text(better, "utf-8")
        sys.stdout.write(f"{path}\n")
    subprocess.run(("msgfmt", "-o", str(CATALOGUE.with_suffix(".mo")), str(CATALOGUE)), check=True)


if __name__ == "__main__":
    main()

"""What a script, or a page, says once it has put its texts together: pieces of a list, names for texts, signs that are
taken out, entities of a document type. Pure, and for hostile text: nothing is run, and what it would take a language
to know is left.

Hostile: every sign. Each expression goes over a text once; what names and entities make of it has a cap.
Source:  ECMA-262 (template literals, String.prototype.replace); XML 1.0, 3.3.2 (attribute defaults), 4.2 (entities).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from itertools import islice

from beffroi.scan import computed, scripts

_TEXT = r"""(?:"([^"\\\n]{0,2000})"|'([^'\\\n]{0,2000})'|`([^`\\]{0,2000})`)"""
_GIVEN = re.compile(rf"(?<![\w$.])([\w$]{{1,40}})\s{{0,9}}=\s{{0,9}}{_TEXT}")
_USED = re.compile(
    r"\$\{\s{0,9}([\w$]{1,40})\s{0,9}\}|(?<=\+)\s{0,9}([\w$]{1,40})\b(?!\s{0,9}[(\[.=])"
    r"|(?<![\w$.])([\w$]{1,40})(?=\s{0,9}\+(?![+=]))"
)
_MOST_SIGNS = 1024 * 1024
"""That are put in place of names, or of entities."""
_MOST_NAMES, _MOST_IN_NAMES = 500, 2
"""Names of texts; such in such."""
_LISTED = re.compile(r"""["'`]\s{0,99},\s{0,99}["'`]""")
_TAKEN_OUT = re.compile(
    r"""\.(?:replace(?:All)?\(\s{0,9}(?:/([^/\n]{1,40})/g\w{0,5}|["'`]([^"'`\n]{1,40})["'`])\s{0,9},\s{0,9}(?:""|''|``)"""
    r"""|split\(\s{0,9}["'`]([^"'`\n]{1,40})["'`]\s{0,9}\)\s{0,9}\.join\(\s{0,9}(?:""|''|``))"""
)
_MOST_TAKEN_OUT = 8
_QUOTED = """(?:"([^"]*)"|'([^']*)')"""
_ENTITIES = re.compile(rf"<!ENTITY\s{{1,99}}([\w.:-]{{1,99}})\s{{1,99}}{_QUOTED}")
_DEFAULTS = re.compile(
    rf"<!ATTLIST\s{{1,99}}[\w.:-]{{1,99}}\s{{1,99}}([\w.:-]{{1,99}})\s{{1,99}}CDATA\s{{1,99}}(?:#FIXED\s{{1,99}})?{_QUOTED}"
)
_REFERENCE = re.compile(r"&([\w.:-]{1,99});")
_MOST_DEPTH = 4


def spellings(script: str) -> Iterator[str]:
    """The script as ``scripts.written_out``, with its texts put together as it does itself."""
    named = _without_names(script)
    yield scripts.written_out(named)
    if ".join(" in named:
        yield scripts.written_out(_LISTED.sub("", named))
    taken_out = list(islice(_TAKEN_OUT.finditer(named), _MOST_TAKEN_OUT))
    for found in taken_out:
        sign = next(filter(None, found.groups())).replace("\\", "")
        is_any_of = found[1] is not None and sign.startswith("[") and sign.endswith("]")
        for one in sign[1:-1] if is_any_of else [sign]:
            named = named.replace(one, "")
    if taken_out:
        yield scripts.written_out(named)
    if (computed_ := computed.texts(named)) != named:
        yield scripts.written_out(computed_)


def _without_names(script: str) -> str:
    """With the texts themselves where it puts them together by names that it gave them."""
    given = {name: a or b or c for name, a, b, c in islice(_GIVEN.findall(script), _MOST_NAMES)}

    left = _MOST_SIGNS

    def text(found: re.Match[str]) -> str:
        nonlocal left
        name = found[1] or found[2] or found[3]
        left -= len(given.get(name, ""))
        if name not in given or left < 0:
            return found[0]
        return given[name] if found[1] else f'"{given[name]}"'

    for _ in range(_MOST_IN_NAMES if given else 0):
        script = _USED.sub(text, script)
    return script


def declared(page: str) -> str:
    """A page in XML with what its document type says: entities in their places, and behind it the attributes that
    elements have by default. Past the cap there is nothing in place of an entity."""
    if "<!ENTITY" not in page and "<!ATTLIST" not in page:
        return page
    texts = {name: _numbers(one or other) for name, one, other in _ENTITIES.findall(page)}
    left = _MOST_SIGNS

    def text(found: re.Match[str]) -> str:
        nonlocal left
        if found[1] not in texts:
            return found[0]
        left -= len(texts[found[1]])
        return texts[found[1]] if left >= 0 else ""

    for _ in range(_MOST_DEPTH):
        page = _REFERENCE.sub(text, page)
    defaults = (f"<x {name}='{one or other}'>" for name, one, other in _DEFAULTS.findall(page))
    return "\n".join((page, *defaults))


def _numbers(text: str) -> str:
    """Signs by their numbers are read where the entity is declared; names where it stands."""
    return re.sub(r"&#\w{1,8};", lambda found: unescape(found[0]), text)

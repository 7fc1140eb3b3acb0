"""Words of texts and of names, as a person looks for them: without accents and capitals, near forms as one. Pure.

Rule:    *Délibérations*, *deliberation* and *délibérer* are one word. French is what the rules are made for; other
         languages lose little by them. What a text says is never kept as words: ``terms`` makes numbers of them, under
         a key of the collectivité, and only who has the key can tell which number a word has.
Hostile: texts and names.
Source:  J. Savoy, "Light stemming approaches for the French, Portuguese, German and Hungarian languages", ACM SAC 2006.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from blake3 import blake3

from beffroi.lib import accents

MOST_TERMS = 5000
"""Of one file: a list of all persons of a town has more, and is found by its name."""
LONGEST, SHORTEST_INSIDE, MOST_PARTS = 40, 3, 60
_KEY = b"beffroi drive 1 key of words\0"
_WORDS = re.compile(r"[^\W_]+")
_PLACES = re.compile(r"[^\W_]+(?:[-\u2010\xad][ \t]*\r?\n\s*[^\W\d_]+)?")
"""A word, with what follows it on the next line where a hyphen ends this one."""
_UNSEEN = re.compile(r"\xad(?![ \t]*\r?\n)")
"""A hyphen that would be seen at the end of a line alone."""
_ELIDED = re.compile(r"\b(?:[cdjlmnst]|qu)['’]")
_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\da-zA-Z_]+")
# fmt: off
_EMPTY = frozenset((
    "a", "au", "aux", "avec", "ce", "ces", "cet", "cette", "dans", "de", "des", "du", "elle", "en",
    "est", "et", "eu", "il", "ils", "je", "la", "le", "les", "leur", "leurs", "lui", "ma", "mais",
    "me", "meme", "mes", "moi", "mon", "ne", "nos", "notre", "nous", "on", "ont", "ou", "par",
    "pas", "pour", "qu", "que", "qui", "sa", "sans", "se", "ses", "si", "son", "sont", "sur", "ta",
    "te", "tes", "toi", "ton", "tu", "un", "une", "vos", "votre", "vous", "y", "l", "d", "c", "n",
    "s", "t", "j", "m", "the", "of", "and", "to", "in", "is", "for",
))
# fmt: on
"""Words that every text has: they find nothing, and would make the index twice as large."""
_AROUND = 90


class Passage(NamedTuple):
    """A piece of a text around a word that was looked for."""

    before: str
    words: str
    after: str


def stem(word: str) -> str:
    """A bare word without the ending that number, gender and verbs give it."""
    if len(word) < 4 or not word.isalpha():
        return word
    singular = word.rstrip("sx")  # first of all: what is cut after it is cut of both numbers
    word = singular if len(singular) >= 3 else word
    if word.endswith("au") and not word.endswith("eau"):
        return word[:-1] + "l"
    for ending in ("issement", "ement", "ation", "ee", "er", "ez", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) >= 5 and word[-1] == word[-2] else word


def words(text: str) -> Iterator[str]:
    """Stems of a text's words, in their order; those that every text has are left out. Of a word that is broken at the
    end of a line also the halves: they may be two."""
    for place in _PLACES.findall(accents.bare(_UNSEEN.sub("", text))):
        halves = _WORDS.findall(place) if "\n" in place else ()
        for whole in (*halves, "".join(halves)) if halves else (place,):
            word = whole[:LONGEST]
            if word not in _EMPTY and (len(word) > 1 or word.isdigit()):
                yield stem(word)


def key_of(naming: bytes) -> bytes:
    """The key of a collectivité's words, from the one that names its chunks: it is destroyed with that one."""
    return blake3(_KEY, key=naming).digest()


def term(word: str, key: bytes) -> int:
    """The number of a stem in the index of one collectivité: 63 bits."""
    return int.from_bytes(blake3(word.encode(), key=key).digest(8)) >> 1


def terms(text: str, key: bytes) -> list[int]:
    """The numbers of a text's words, each once, in order; of the first MOST_TERMS."""
    found: dict[str, None] = {}
    for word in words(text):
        found.setdefault(word)
        if len(found) == MOST_TERMS:
            break
    return sorted(term(word, key) for word in found)


# -- names ---------------------------------------------------------------------------------------------------


def name_words(name: str) -> list[str]:
    """The words of a file's name, each once: *PVConseil_2024-06.pdf* has pvconseil, pv, conseil, 2024, 06, pdf."""
    found: dict[str, None] = {}
    for whole in _WORDS.findall(unicodedata.normalize("NFC", name)):
        found.setdefault(accents.bare(whole)[:LONGEST])
        bare = "".join(one for one in unicodedata.normalize("NFD", whole) if not unicodedata.combining(one))
        for piece in _PIECES.findall(bare):
            found.setdefault(accents.bare(piece)[:LONGEST])
    return [one for one in found if one]


def name_parts(name: str) -> list[str]:
    """Where a word of a name may begin for who looks for it: each word, and its ends from three letters on."""
    found: dict[str, None] = {}
    for word in name_words(name):
        found.setdefault(word)
    for word in list(found):
        for at in range(1, len(word) - SHORTEST_INSIDE + 1 if word.isalpha() else 0):
            found.setdefault(word[at:])
    return list(found)[:MOST_PARTS]


def ends(name: str) -> list[str]:
    """Of each run of letters and digits in a bare name what begins at each of its signs: whatever piece of one
    somebody looks for, one of these begins with it. Pieces shorter than SHORTEST_INSIDE are not looked for."""
    runs = _WORDS.findall(accents.bare(name))
    return [run[at:][:LONGEST] for run in runs for at in range(len(run) - SHORTEST_INSIDE + 1)]


def indexed(name: str) -> set[str]:
    """Parts of a name as the index has them: for who types words, and for who looks for any piece."""
    return {*name_parts(name), *ends(name)}


def piece(patterns: Iterable[str]) -> str:
    """The longest run of letters and digits of some bare texts that a bare name holds, as ``ends`` has it; "" where
    none is long enough."""
    runs = (run[:LONGEST] for text in patterns for run in _WORDS.findall(text))
    found = max(runs, key=len, default="")
    return found if len(found) >= SHORTEST_INSIDE else ""


def wanted_in_names(asked: str) -> list[str]:
    """What somebody typed, as bare words, the longest first; without what an apostrophe joins to the next one."""
    found = _WORDS.findall(_ELIDED.sub("", accents.bare(asked)))
    return sorted(dict.fromkeys(one[:LONGEST] for one in found), key=lambda one: (-len(one), one))


def other_number(word: str) -> str:
    """The singular of a bare word in the plural, the plural of one in *-al*; "" for others, which their plural begins
    with."""
    if len(word) < 4 or not word.isalpha():
        return ""
    if word.endswith("aux") and not word.endswith("eaux"):
        return word[:-2] + "l"
    if word[-1] in "sx":
        return word[:-1]
    return word[:-1] + "ux" if word.endswith("al") else ""


def is_named(name: str, wanted: Sequence[str]) -> bool:
    """Whether each of the words stands in a name, as ``name_parts`` has it: begins there, or in its other number is
    there as a whole."""
    parts = name_parts(name)
    return all(other_number(one) in parts or any(part.startswith(one) for part in parts) for one in wanted)


# -- passages ------------------------------------------------------------------------------------------------


def passage(text: str, wanted: frozenset[str]) -> Passage | None:
    """The first place where a word of ``wanted`` (stems) stands, with what stands around it on its line or so."""
    text = unicodedata.normalize("NFC", _UNSEEN.sub("", text))
    has_one: dict[str, bool] = {}
    """Of each different word: a text repeats them, and a search reads many texts."""
    for found in _PLACES.finditer(text):
        if found[0] not in has_one:
            has_one[found[0]] = not wanted.isdisjoint(words(found[0]))
        if has_one[found[0]]:
            start, end = found.span()
            before = " ".join(text[max(0, start - _AROUND) : start].split())
            after = " ".join(text[end : end + _AROUND].split())
            gap_before = " " if before and text[start - 1 : start].isspace() else ""
            gap_after = " " if after and text[end : end + 1].isspace() else ""
            if start > _AROUND:
                before = "… " + before.partition(" ")[2]
            if end + _AROUND < len(text):
                after = after.rpartition(" ")[0] + " …"
            return Passage(before + gap_before, " ".join(found[0].split()), gap_after + after)
    return None

"""What a script computes of texts that stand in it: calls on constants, done step by step, and addresses that it keeps
under a key. Pure, and for hostile text: nothing is run, and what needs a language is left.

Hostile: every sign. Each expression goes over a text once, in a few rounds; texts and data have caps.
Source:  ECMA-262 (String.prototype, Array.prototype); HTML 8.3 (atob).
"""

from __future__ import annotations

import re
import zlib
from base64 import b64decode
from codecs import decode
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from urllib.parse import unquote

_MOST_SIGNS, _MOST_ROUNDS = 1024 * 1024, 8
_T = r"""(?:"[^"\\\n]*+"|'[^'\\\n]*+'|`[^`\\]*+`)"""
_TEXT = re.compile(_T)
_LIST = rf"{_T}(?:\s{{0,9}},\s{{0,9}}{_T})*+"
_EMPTY = r"""(?:""|''|``)"""
_JOINED = re.compile(rf"({_T}(?:\s{{0,9}}\+\s{{0,9}}{_T}(?!\s{{0,9}}[.\[]))++)")
_ELEMENTS = re.compile(rf"(?<![\w$.])([\w$]{{1,40}})\s{{0,9}}=\s{{0,9}}\[\s{{0,9}}({_LIST})\s{{0,9}}\]")
_ELEMENT = re.compile(r"(?<![\w$.])([\w$]{1,40})\[\s{0,9}(0x[0-9a-f]{1,4}|\d{1,4})\s{0,9}\]", re.IGNORECASE)
_LISTED = re.compile(r"(?<![\w$.])([\w$]{1,40})(?=\.(?:reverse|join)\()")
_MEMBERS = re.compile(rf"(?<=[{{,])\s{{0,99}}[\"']?([\w$]{{1,40}})[\"']?\s{{0,9}}:\s{{0,9}}({_T})")
_MEMBER = re.compile(r"(?<![\w$.])[\w$]{1,40}\.([\w$]{1,40})\b(?!\s{0,9}[(=])")
_REPLACE = re.compile(
    rf"({_T})(?:\.replace(?:All)?\(\s{{0,9}}|\s{{0,9}}-c?replace\s{{0,9}})({_T})\s{{0,9}},\s{{0,9}}({_T})\s{{0,9}}\)?",
    re.IGNORECASE,
)
_MOST_BETWEEN = 40
"""Signs between those of a list, and in place of others."""
_CALLS: tuple[tuple[re.Pattern[str], Callable[[list[str]], str]], ...] = (
    (re.compile(rf"\b(?:window\.)?atob\(\s{{0,9}}({_T})\s{{0,9}}\)"), lambda a: _plain(_of_base64(a[0]))),
    (
        re.compile(rf"\b(?:unescape|decodeURI(?:Component)?)\(\s{{0,9}}({_T})\s{{0,9}}\)"),
        lambda a: unquote(a[0]),
    ),
    (
        re.compile(rf"(?:\[\.\.\.({_T})\]|({_T})\.split\({_EMPTY}\))\.reverse\(\)\.join\({_EMPTY}\)"),
        lambda a: a[0][::-1],
    ),
    (
        re.compile(rf"\[\s{{0,9}}({_LIST})\s{{0,9}}\]\.join\(({_T})\)"),
        lambda a: a[-1][:_MOST_BETWEEN].join(a[:-1]),
    ),
    (
        re.compile(rf"\[\s{{0,9}}({_LIST})\s{{0,9}}\]\.reverse\(\)\.join\(({_T})\)"),
        lambda a: a[-1][:_MOST_BETWEEN].join(a[-2::-1]),
    ),
    (re.compile(rf"({_T})\.concat\(\s{{0,9}}({_LIST})\s{{0,9}}\)"), "".join),
    (_REPLACE, lambda a: _replaced(*a)),
)

_SET = re.compile(r"^[ \t@]{0,9}set\s{1,9}\"?([\w.]{1,40})=([^\"\r\n]{0,2000})", re.IGNORECASE | re.MULTILINE)
_VARIABLE = re.compile(r"%([\w.]{1,40})(?::~(-?\d{1,4})(?:,(-?\d{1,4}))?)?%")
_MOST_IN_NAMES = 2
_FORMAT = re.compile(rf"({_T})\s{{0,9}}-f\s{{0,9}}({_LIST})", re.IGNORECASE)
_PLACE = re.compile(r"\{(\d{1,2})\}")
_WEB = re.compile(r"https?://[^\s\0<>\"'`\\|]+", re.IGNORECASE)
_NUMBER = r"(?:0x[0-9a-f]{1,4}|\d{1,5})"
_NUMBERS = re.compile(rf"(?<![\w.]){_NUMBER}(?:[\s,;:|_~+-]{{1,3}}{_NUMBER}){{9,}}+", re.IGNORECASE)
_PAIRS = re.compile(r"(?<![\w+/])[0-9a-f]{2}(?:[\s,;:|_~-]?[0-9a-f]{2}){9,}+(?![\w+/])", re.IGNORECASE)
_PACKED = re.compile(r"(?<![\w+/])[\w+/-]{16,}+={0,2}", re.ASCII)
_SEPARATED = re.compile(r"[^0-9a-fx]+", re.IGNORECASE)
_NOT_BASE64 = re.compile(r"[^\w+/-]", re.ASCII)
_MOST_PACKED, _MOST_VALUES, _MOST_VALUES_OF_ALL, _MOST_KEYS = 200, 4096, 128 * 1024, 40
_KEYS = range(1, 65)
_MOST_UNPACKED = 256 * 1024
_SCHEMES = ("http://", "https://")


class _Room:
    """For what is put in place of less: what is made of a text has a cap."""

    def __init__(self, text: str) -> None:
        self._left = min(16 * len(text), _MOST_SIGNS)

    def put(self, text: str, otherwise: str) -> str:
        if len(text) > self._left:
            return otherwise
        self._left -= max(0, len(text) - len(otherwise))
        return text

    def quoted(self, text: str, otherwise: str) -> str:
        is_clear = text.isprintable() and "`" not in text and "\\" not in text
        return self.put(f"`{text}`", otherwise) if is_clear else otherwise


def texts(script: str) -> str:
    """The script with what calls on constants make of them, texts of lists and objects in place of their names."""
    script = script[:_MOST_SIGNS]
    room = _Room(script)
    elements = {name: _TEXT.findall(told) for name, told in _ELEMENTS.findall(script)}
    members = dict[str, str](_MEMBERS.findall(script))

    def element(found: re.Match[str]) -> str:
        told, number = elements.get(found[1], []), int(found[2], 16 if found[2][:2] in ("0x", "0X") else 10)
        return room.put(told[number], found[0]) if number < len(told) else found[0]

    if elements:
        lists = {name: f"[{','.join(told)}]" for name, told in elements.items()}
        script = _ELEMENT.sub(element, script)
        script = _LISTED.sub(lambda found: room.put(lists.get(found[1], found[0]), found[0]), script)
    if members:
        script = _MEMBER.sub(lambda found: room.put(members.get(found[1], found[0]), found[0]), script)
    for _ in range(_MOST_ROUNDS):
        before = script
        script = _JOINED.sub(lambda found: room.quoted("".join(_texts_of(found)), found[0]), script)
        for call, result in _CALLS:
            script = _made(script, call, result, room)
        if script == before:
            break
    return script


def _made(script: str, call: re.Pattern[str], result: Callable[[list[str]], str], room: _Room) -> str:
    return call.sub(lambda found: room.quoted(result(_texts_of(found)), found[0]), script)


def command(text: str) -> str:
    """Of the command line and of PowerShell: with what ``set`` gave names to, parts of it, and texts that ``-f`` and
    ``Replace`` put together."""
    text = text[:_MOST_SIGNS]
    room = _Room(text)
    given = {name.lower(): told for name, told in _SET.findall(text)} if "%" in text else {}

    def value(found: re.Match[str]) -> str:
        told = given.get(found[1].lower(), found[0])
        if found[2] and told != found[0]:
            told = told[int(found[2]) :]
            told = told[: int(found[3])] if found[3] else told
        return room.put(told, found[0])

    for _ in range(_MOST_IN_NAMES if given else 0):
        text = _VARIABLE.sub(value, text)
    lower = text.lower()
    if "replace" in lower:
        text = _made(text, _REPLACE, lambda a: _replaced(*a), room)
    if "-f" in lower:
        text = _FORMAT.sub(lambda found: room.quoted(_formatted(found), found[0]), text)
    return text


def _replaced(text: str, sign: str, other: str) -> str:
    return text.replace(sign, other[:_MOST_BETWEEN]) if sign else text


def _formatted(found: re.Match[str]) -> str:
    told = [one[1:-1] for one in _TEXT.findall(found[2])]
    pieces = _PLACE.split(found[1][1:-1])  # texts, between them numbers
    placed = [told[int(one)] if int(one) < len(told) else "" for one in pieces[1::2]]
    if sum(map(len, placed)) > _MOST_SIGNS:
        return "`"
    pieces[1::2] = placed
    return "".join(pieces)


def _texts_of(found: re.Match[str]) -> list[str]:
    return [one[1:-1] for group in found.groups() if group for one in _TEXT.findall(group)]


def _of_base64(token: str) -> bytes:
    token = _NOT_BASE64.sub("", token).replace("-", "+").replace("_", "/")
    return b64decode(f"{token[: -1 if len(token) % 4 == 1 else None]}==")


def _plain(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def links(script: str) -> Iterator[str]:
    """Addresses in its data that one key hides (added, or by XOR, from sign to sign the same), a key that stands in it,
    or that are packed (deflate)."""
    keys = [
        one[1:-1].encode() for one in islice(_TEXT.findall(script), 10 * _MOST_KEYS) if len(one) - 2 in _KEYS
    ]
    left = _MOST_VALUES_OF_ALL
    for data in _data(script):
        if (left := left - len(data)) < 0:
            break
        for one in (data, data[::-1]):
            yield from _by_one_key(one)
        if max(data, default=256) < 256:
            yield from _by_keys(bytes(data), keys[:_MOST_KEYS])
    for found in islice(_PACKED.finditer(script), _MOST_PACKED):
        yield from _WEB.findall(_plain(_unpacked(_of_base64(found[0][:_MOST_UNPACKED]))))
    yield from (decode(one, "rot13") for one in re.findall(r"uggcf?://[^\s\"'`<>]+", script))


def _data(script: str) -> Iterator[list[int]]:
    """Each list of numbers, text of pairs to sixteen or in base64, and other text, the beginning of each."""
    for found in _NUMBERS.finditer(script):
        values = filter(None, _SEPARATED.split(found[0][: 8 * _MOST_VALUES]))
        yield [int(one, 16 if one[:2] in ("0x", "0X") else 10) for one in values][:_MOST_VALUES]
    for found in _PAIRS.finditer(script):
        yield list(bytes.fromhex("".join(re.findall(r"[0-9a-fA-F]{2}", found[0][: 3 * _MOST_VALUES]))))
    for found in _PACKED.finditer(script):
        yield list(_of_base64(found[0][:_MOST_VALUES]))
    for found in _TEXT.finditer(script):
        # What is written plainly is found elsewhere.
        if len(found[0]) >= len(_SCHEMES[1]) and " " not in found[0] and "http" not in found[0]:
            yield list(map(ord, found[0][1:-1][:_MOST_VALUES]))


def _by_one_key(data: list[int]) -> Iterator[str]:
    """From sign to sign nothing of the key is left."""
    for step, undo in ((lambda a, b: (b - a) % 65536, lambda a, key: a - key), (int.__xor__, int.__xor__)):
        steps = "".join(map(chr, map(step, data, data[1:])))
        for scheme in _SCHEMES:
            wanted = "".join(chr(step(ord(a), ord(b))) for a, b in pairwise(scheme))
            if (at := steps.find(wanted)) >= 0:
                key = undo(data[at], ord("h"))
                plain = (undo(one, key) for one in data[at:])
                yield from _WEB.findall("".join(chr(one) if 0 < one < 65536 else " " for one in plain))[:1]


def _by_keys(data: bytes, keys: list[bytes]) -> Iterator[str]:
    for key in keys:
        stream = (key * (len(data) // len(key) + 1))[: len(data)]
        plain = (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))
        yield from _WEB.findall(_plain(plain))


def _unpacked(data: bytes) -> bytes:
    """By zlib or gzip, else without a head; b"" for anything else."""
    for bits in (47, -15):
        try:
            return zlib.decompressobj(bits).decompress(data, _MOST_UNPACKED)
        except zlib.error:
            continue
    return b""

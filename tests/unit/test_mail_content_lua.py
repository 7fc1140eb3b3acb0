"""What the rule inside rspamd reads of bank details, of links, and of pictures in HTML, run by rspamd's own Lua."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from tests import qr_pictures
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.skipif(shutil.which("rspamadm") is None, reason="rspamd is not installed")
LUA = resources.files("beffroi.mail.engines").joinpath("templates", "rspamd")
FR = "FR7630006000011234567890189"
IBANS = {
    "IBAN : FR76 3000 6000 0112 3456 7890 189.": [FR],
    "fr7630006000011234567890189": [FR],
    "FR76\u00a03000\u00a06000\u00a00112\u00a03456\u00a07890\u00a0189": [FR],
    "FR76\u202f3000\u202f6000\u202f0112\u202f3456\u202f7890\u202f189": [FR],
    "FR76-3000-6000-0112-3456-7890-189": [FR],
    "éFR76 3000 6000 0112 \r\n\r\n3456 7890 189": [FR],
    "FR76 3000 6000 0112\r\n3456 7890 189": [FR],
    "FR76\u200b3000\u200b6000\u200b0112\u200b3456\u200b7890\u200b189": [FR],
    f"deux fois {FR} et {FR}": [FR],
    "DE89 3704 0044 0532 0130 00 puis BE68 5390 0754 7034": ["DE89370400440532013000", "BE68539007547034"],
    "FR76 3000 6000 0112 3456 7890 188": [],  # the check digits are wrong
    "xFR7630006000011234567890189": [],
    "FR76300060000112345678901890": [],
    "ZZ76 3000 6000 0112 3456 7890 189": [],
    "FR76": [],
    "": [],
}
WORDS = {
    "Veuillez noter nos NOUVELLES COORDONNÉES bancaires": True,
    "Notre RIB a changé": True,
    "changement de\n RIB": True,
    "Le changement d’IBAN prend effet lundi": True,
    "modification de nos coordonnées bancaires": True,
    "nous avons changé de banque": True,
    "our new bank details are below": True,
    "Notre nouveau R\u200bIB": True,
    "Notre nouveau RÍB": True,
    "Voici notre RIB comme demandé": False,
    "La banque alimentaire change de local": False,
    "Nouveau riboteur": False,
    "": False,
}

LINKS = {
    "<a href=\"https://a.example/1\">x</a> <a href='http://a.example/2'>y</a>": "https://a.example/1 http://a.example/2",
    "<a href = https://a.example/>x</a>": "https://a.example/",
    '<A HREF\n=\n"HT\ntps:/a.example\t/1">x</A>': "HTtps:/a.example/1",
    '<a href="&#1; &#104;ttps&colon;//a&period;example/?a=1&amp;b=2&copy=3">x</a>': "https://a.example/?a=1&b=2&copy=3",
    '<a href="//a.example/1">x</a> <a href="\\\\a.example\\2">y</a>': "https://a.example/1 https:\\\\a.example\\2",
    '<form action="https://a.example/1"><button formaction=https://a.example/2>': "https://a.example/1 https://a.example/2",
    '<meta http-equiv="refresh" content="0; URL=https://a.example/1">': "https://a.example/1",
    "<meta content=\"0;url='https://a.example/1'\" http-equiv=refresh>": "https://a.example/1",
    "<a href='#' onclick=\"window.location='https://a.example/1'\">x</a>": "https://a.example/1",
    '<svg><a xlink:href="https://a.example/1"/></svg>': "https://a.example/1",
    '<base target=_top href="https://a.example/b/c?d"><a href="/1"><a href="2"><a href="?3"><a href="#4">': (
        "https://a.example/b/c?d https://a.example/1 https://a.example/b/2 https://a.example/b/c?3"
    ),
    '<a href="ms-word:ofe|u|https://a.example/1"> <a href="ms-appinstaller:?source=https%3A//a.example/2">': (
        "https://a.example/1 https://a.example/2"
    ),
    '<a href="mailto:a@a.example?body=https://a.example"> <a href="tel:+33"> <a href="x-apple:1">': "",
    '<a href="search-ms:query=x&crumb=location:%5C%5Ca.example@SSL%5CDavWWWRoot%5Cb%5C">x</a>': "https://a.example/b/",
    '<a href="search-ms:query=x&amp;crumb=location:\\\\a.example@8080\\b">x</a>': "http://a.example:8080/b",
    '<a href="search-ms:crumb=location:\\\\srv.mairie.lan\\b"> <a href="search-ms:crumb=location:\\\\10.1.1.9\\b">': "",
    '<a href="search-ms:crumb=location:\\\\SRV\\commun"> <a href="webcal:x">': "https:x",
    '<a href="webcal://a.example/1.ics">x</a> <a href="WEBCALS://a.example/2.ics">': "https://a.example/1.ics https://a.example/2.ics",
    '<img src="https://a.example/create-qr-code/?size=9x9&amp;data=https%3A%2F%2Fb.example%2F1%3Fx%3D2&amp;c=3">': "https://b.example/1?x=2",
    "<img src='https://a.example/chart?chl=https://b.example/1&cht=qr'> <img src=https://a.example/qr.png>": "https://b.example/1",
    '<img src="https://a.example/proxy?u=https://b.example/i.png"> <img src="data:image/png;base64,qr?a=https:">': "",
    '<a href="file:\\\\a.example@SSL\\b"> <a href="file:////a.example/c"> <a href="file:///C:/d">': (
        "https://a.example/b http://a.example/c"
    ),
    '<a href="\\\\a.example@8080\\b">x</a> <a href="\\\\srv.mairie.lan@8080\\c">': (
        "http://a.example:8080/b https:\\\\srv.mairie.lan@8080\\c"
    ),
    '<a href="smb://a.example/b"> <a href="davs:\\\\a.example\\c"> <a href="android-app://com.example.x/d">': (
        "http://a.example/b http://a.example/c"
    ),
    '<a href="intent://a.example/b#Intent;scheme=https;end">x</a> <a href="steam://run/1">y</a>': (
        "http://a.example/b#Intent;scheme=https;end"
    ),
    '<form action-xhr="https://a.example/1">': "https://a.example/1",
    "<base href=https://a.example><a href=1>x</a>": "https://a.example https://a.example/1",
    '<base href="/b/"><a href="1">x</a> <a href="mailto:a@a.example"> <a href="cid:1"> <a href="">': "",
}
"""Of HTML, where a browser would go."""

SHARES = {
    "Ouvrez \\\\a.example\\docs\\x.lnk ou \\\\b.example@SSL\\DavWWWRoot\\y.": "http://a.example/docs/x.lnk https://b.example/y.",
    "<img src='file://///a.example@8080/x.png'> file:\\\\b.example/y|z": "http://a.example:8080/x.png http://b.example/y",
    "\\\\SRV\\commun \\\\srv.mairie.lan\\x \\\\192.168.1.9\\x file:///C:/x.y/z file://localhost/x": "",
    "C:\\\\a.b\\\\c ou \\\\n.": "",
    "\\\\a." * 200_000: "",
}
"""Of any text, the shares elsewhere."""
MANY_PICTURES = "".join(f"<img src=https://p{n}.example/1>" for n in range(200))
UNFLOWED = {
    "Voir https://a.exam \nple/go, merci": "https://a.example/go",
    "> Voir <https://a. \r\n> example/> et\nwww": "https://a.example/",
    "Voir https://a.example/ \nsuite\net fin": "https://a.example/suite",
    "https://a.example/\n-- \nhttps://b.example/": "",
    "mot " * 200_000: "",
    "\nx \n" * 200_000: "",
}
"""Of format=flowed with DelSp, the addresses that lie over an end of line."""

PICTURE_HOSTS = {
    "<img width=1 src=\"https://a.example/1.png?x\"> <IMG SRC=//B.example/2> <img\nsrc='http:\\\\c.example:8080\\x'>": (
        "a.example b.example c.example"
    ),
    '<td background="https://a.example/1"> <p style="background:URL( \'https://b.example/2\')">': "a.example b.example",
    '<img src="https://a.example/1"><img src="https://a.example/2"><img src="//x@b.example">': "a.example b.example",
    '<a href="https://a.example">x</a> <img src="cid:1"> <img src="/a.b/c"> <img data-src="https://a.example">': "",
    '<img src="https://a.example/1">' * 9_000: "a.example",
    " src=" * 200_000: "",
}
"""Of HTML, whose pictures it shows."""
PICTURES = {
    '<img src="data:image/png;base64,QUJD"> <img src=data:image/gif;base64,REVG>': ["ABC", "DEF"],
    "<img src='DATA: image/x-any;charset=utf-8; BASE64 ,QU\r\n JD'>": ["ABC"],
    "<p style='background:url(data:image/png;base64,QUJD)'>": ["ABC"],
    "data:image/png;base64,": [],
    "<p src=data:image/png;base64,QUJD>" * 200: ["ABC"],
    "data:text/plain;base64,QUJD data:image/png,QUJD data:": [],
    "data:image/" * 200_000: [],
}


def run(tmp_path: Path, function: str, texts: list[str], of: str, more: str = "nil") -> list[object]:
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    script = tmp_path / "run.lua"
    script.write_text(
        f"""local M, ucl = dofile("{LUA}/beffroi-{of}.lua"), require "ucl"
local parser = ucl.parser()
assert(parser:parse_file("{tmp_path}/texts.json"))
for _, text in ipairs(parser:get_object()) do
  local found = M.{function}(text, {more})
  io.write(type(found) == "table" and table.concat(found, " ") or tostring(found), "\\n")
end
"""
    )
    done = subprocess.run(
        ["rspamadm", "lua", "-b", str(script)], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    return list(done.stdout.split("\n")[: len(texts)])


def test_ibans_are_found_however_they_are_written_and_only_true_ones(tmp_path: Path) -> None:
    assert run(tmp_path, "ibans", list(IBANS), "bank") == [" ".join(found) for found in IBANS.values()]


def test_words_that_announce_new_bank_details(tmp_path: Path) -> None:
    told = run(tmp_path, "announces", list(WORDS), "bank")
    assert dict(zip(WORDS, told, strict=True)) == {
        text: "true" if yes else "false" for text, yes in WORDS.items()
    }


def test_every_address_that_a_browser_would_follow_is_read(tmp_path: Path) -> None:
    assert dict(zip(LINKS, run(tmp_path, "written", list(LINKS), "links"), strict=True)) == LINKS


def test_hosts_of_pictures_are_read_each_once(tmp_path: Path) -> None:
    told = run(tmp_path, "picture_hosts", list(PICTURE_HOSTS), "links")
    assert dict(zip(PICTURE_HOSTS, told, strict=True)) == PICTURE_HOSTS
    (many,) = run(tmp_path, "picture_hosts", [MANY_PICTURES], "links")
    assert str(many).split() == [f"p{n}.example" for n in range(50)]


def test_shares_elsewhere_are_read_in_any_text_and_those_near_by_are_none(tmp_path: Path) -> None:
    assert dict(zip(SHARES, run(tmp_path, "shares", list(SHARES), "links"), strict=True)) == SHARES


def test_an_address_that_a_line_cuts_for_who_joins_lines_is_whole(tmp_path: Path) -> None:
    assert dict(zip(UNFLOWED, run(tmp_path, "unflowed", list(UNFLOWED), "links"), strict=True)) == UNFLOWED


def test_what_is_relative_leads_to_where_its_part_says_that_it_lies(tmp_path: Path) -> None:
    html = '<a href="b">x</a> <base href="https://c.example/"><a href="d">'
    assert run(tmp_path, "written", ['<a href="b">x</a>', html], "links", more='"https://a.example/1/"') == [
        "https://a.example/1/b",
        "https://c.example/b https://c.example/ https://c.example/d",
    ]


def test_pictures_in_html_are_found_however_they_are_written(tmp_path: Path) -> None:
    assert run(tmp_path, "pictures", list(PICTURES), "content") == [
        " ".join(found) for found in PICTURES.values()
    ]


DRAWS = {
    "Bonjour, \u25a0 un ordre du jour \u2588": False,
    qr_pictures.signs("https://a.example"): True,
    qr_pictures.signs("https://a.example").replace("\u2588", "&#9608;"): True,
    qr_pictures.table("https://a.example"): True,
    "<table>" + "<tr><td style='background:#fff'>Agenda</td></tr>" * 100 + "</table>": False,
    qr_pictures.svg("https://a.example"): True,
    "": False,
    "Win+R, puis : powershell -e QUJD": True,
    "collez c^m^d": True,
    "La commande d'un ordinateur, le commandant": False,
}


def test_a_text_that_may_draw_a_code_or_has_a_command_is_shown_to_the_scanner_and_a_letter_is_not(
    tmp_path: Path,
) -> None:
    told = run(tmp_path, "leads_by_itself", list(DRAWS), "content")
    assert told == [str(yes).lower() for yes in DRAWS.values()]

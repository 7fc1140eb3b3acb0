"""Messages that no program wrote on purpose: a torture set of MIME, and seeded mutations of it and of lures. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

HEAD = (
    b"From: Service <billing@sender.example.net>\nTo: agent@beaune.test\nSubject: Dossier\n"
    b"Message-ID: <torture@sender.example.net>\nDate: Tue, 24 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\n"
)
TEXT = b"Content-Type: text/plain; charset=utf-8\n\nBonjour.\n"


def nested(depth: int) -> bytes:
    """Multiparts in one another."""
    opened = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(depth)
    )
    closed = b"".join(b"\n--b%d--\n" % n for n in reversed(range(depth)))
    return HEAD + opened + TEXT + closed


def forwarded(depth: int) -> bytes:
    """A mail in a mail in a mail."""
    return HEAD + (b"Content-Type: message/rfc822\n\n" + HEAD) * depth + TEXT


def many_parts(count: int) -> bytes:
    parts = b"".join(b"--b\n" + TEXT for _ in range(count))
    return HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n" + parts + b"--b--\n"


def many_parameters(count: int) -> bytes:
    names = b"".join(b";\n x%d=y" % n for n in range(count))
    return HEAD + b"Content-Type: text/plain" + names + b"\n\nBonjour.\n"


def long_header(size_bytes: int) -> bytes:
    return HEAD + b"X-Long: " + b"\n ".join([b"a" * 900] * (size_bytes // 900)) + b"\n" + TEXT


UNPARSEABLE = {
    "depth": nested(40),
    "parts": many_parts(400),
    "parameters": many_parameters(120),
    "types": HEAD + b"Content-Type: text/html\n" + TEXT,
}
"""By the cap of beffroi-content.lua that each passes. What Postfix refuses or cuts by itself is not here."""
TORTURE: tuple[bytes, ...] = (
    *UNPARSEABLE.values(),
    forwarded(30),
    long_header(60_000),
    long_header(200_000),
    HEAD + b"Content-Type: multipart/mixed\n\nno boundary\n",
    HEAD + b'Content-Type: multipart/mixed; boundary=""\n\n--\n' + TEXT + b"----\n",
    HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + TEXT,
    HEAD + b"Content-Type: multipart/mixed; boundary*0=b; boundary*1=c\n\n--bc\n" + TEXT + b"--bc--\n",
    HEAD + b"Content-Type: text/plain; charset=\"utf-7\"\n\n+AGE-\n",
    HEAD + b"Content-Type: text/html; charset=utf-16\n\n\xff\xfe<\0p\0>\0",
    HEAD + b"Content-Transfer-Encoding: base64\n" + TEXT + b"=====\n====\nQUJD*#QUJD\n",
    HEAD + b"Content-Transfer-Encoding: quoted-printable\n" + TEXT + b"=\n=XX=0=\n",
    HEAD + b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a.exe\n#0V%T\nend\n",
    HEAD + b'Content-Type: application/zip; name="=?utf-8?b?////?="\n\nPK\x03\x04' + b"\xff" * 60,
    HEAD + b"Content-Type: application/x-7z-compressed; name=a.7z\n\n7z\xbc\xaf\x27\x1c" + b"\x41" * 40,
    HEAD + b"Content-Type: application/x-rar; name=a.rar\n\nRar!\x1a\x07\x01\0" + b"\xff" * 40,
    HEAD + b"Content-Type: application/pdf; name=a.pdf\n\n%PDF-1.4\n" + b"<</A" * 300,
    HEAD + b"Content-Type: message/rfc822\n\n" + HEAD,
    b"\n\n\n", b"", b"no header at all", b": empty\n\n", b"From:\nFrom:\nTo: ,,,<>\n\n",
    HEAD + b"Subject: =?utf-8?q?" + b"=E2=82" * 300 + b"?=\n" + TEXT,
    HEAD + b"References: " + b"<a@b> " * 2000 + b"\n" + TEXT,
    HEAD + b"To: " + b"a@b.example, " * 3000 + b"c@d.example\n" + TEXT,
    HEAD + b"\xff\xfe: x\n" + TEXT + bytes(range(1, 256)) * 20,
    HEAD + b"Content-Type: text/html\n\n" + b"<div>" * 5000 + b"<a href='http://" + b"a." * 300 + b"'>x",
    HEAD + b"X-Beffroi-Id: msg_00000000000000000000000000\nX-Beffroi-Verdict: none\n" + TEXT,
)  # fmt: skip
_INSERTED = (
    b"\0", b"\r", b"\n\n", b"--", b"--b--", b";", b'"', b"\\", b"=?utf-8?b?", b"\xff\xfe", b"Content-Type: ",
    b"multipart/mixed; boundary=b", b"message/rfc822", b"charset=x-none", b"base64", b"\n \t", b"<", b"%00", b"=\n",
)  # fmt: skip


def mutate(message: bytes, random_: random.Random) -> bytes:
    """One to six changes: bytes, slices, pieces of MIME, lines, wrapping in a multipart."""
    data = bytearray(message)
    for _ in range(random_.randint(1, 6)):
        at, how = random_.randrange(len(data) + 1), random_.randrange(8)
        until = min(len(data), at + random_.randint(1, 200))
        if how == 0:
            del data[at:until]
        elif how == 1:
            data[at:at] = data[at:until] * random_.randint(1, 20)
        elif how == 2:
            data[at:at] = random_.choice(_INSERTED)
        elif how == 3 and data:
            for _ in range(random_.randint(1, 30)):
                data[random_.randrange(len(data))] = random_.randrange(256)
        elif how == 4:
            lines = bytes(data).split(b"\n")
            random_.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        elif how == 5:
            head = bytes(data[:600])
            data = bytearray(
                HEAD + b"Content-Type: multipart/mixed; boundary=m\n\n--m\n" + data + b"\n--m\n" + head
            )
        elif how == 6:
            data = data[:at]
        else:
            data[at:at] = (
                b"\n"
                + random_.choice((b"Content-Type", b"Subject", b"From", b"X"))
                + b": "
                + bytes(random_.randrange(256) for _ in range(60))
            )
    return bytes(data[:300_000])


def mutations(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """The same for the same seed: the torture set as it is, then mutations of all seeds in turn."""
    random_ = random.Random(seed)
    yield from TORTURE[:count]
    for n in range(count - len(TORTURE)):
        yield mutate(seeds[n % len(seeds)], random_)

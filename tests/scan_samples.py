"""Files for tests of the scanner: of every kind that it looks into, made here, harmless."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import tempfile
import zlib
from functools import cache
from pathlib import Path

import libarchive

from tests.mail_files import EXE, OLE, SCRIPT, locked, packed

IBAN = "FR76 3000 6000 0112 3456 7890 189"
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_FREE, _END, _FAT, _NONE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
_MSI = bytes.fromhex("8410 0c00 0000 0000 c000 0000 0000 0046".replace(" ", ""))


def ole(streams: dict[str, bytes], *, root: bytes = bytes(16)) -> bytes:
    """A true OLE file (MS-CFB, sectors of 512 bytes) with these streams in its root. ``root``: class identifier."""
    padded = {name: data.ljust(4096, b"\0") for name, data in streams.items()}  # shorter ones live elsewhere
    entries = 1 + len(padded)
    folder_sectors = -(-entries // 4)
    fat, body, start = [_FAT], b"", 1 + folder_sectors
    fat += [n + 2 for n in range(folder_sectors - 1)] + [_END]
    places = {}
    for name, short in padded.items():
        data = short.ljust(-(-len(short) // 512) * 512, b"\0")
        count = len(data) // 512
        places[name] = start
        fat += [start + n + 1 for n in range(count - 1)] + [_END]
        start, body = start + count, body + data
    assert len(fat) <= 128
    header = OLE + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, _END, 0, _END, 0)
    header += struct.pack("<I", 0) + struct.pack("<I", _FREE) * 108
    table = b"".join(struct.pack("<I", one) for one in fat).ljust(512, b"\xff")
    rows = [_entry("Root Entry", 5, _END, 0, child=1 if padded else _NONE, clsid=root)]
    names = list(padded)
    for n, name in enumerate(names):
        right = n + 2 if n + 1 < len(names) else _NONE
        rows.append(_entry(name, 2, places[name], len(padded[name]), right=right))
    folder = b"".join(rows).ljust(folder_sectors * 512, b"\0")
    return header + table + folder + body


def _entry(
    name: str,
    kind: int,
    start: int,
    size: int,
    *,
    child: int = _NONE,
    right: int = _NONE,
    clsid: bytes = bytes(16),
) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0"
    head = text.ljust(64, b"\0") + struct.pack("<HBB", len(text), kind, 1)
    return (
        head + struct.pack("<III", _NONE, right, child) + clsid + bytes(20) + struct.pack("<IQ", start, size)
    )


def saved_mail(name: str, content: bytes) -> bytes:
    """A mail that Outlook saved (.msg), with one attached file."""
    return ole({"__substg1.0_3707001F": name.encode("utf-16-le"), "__substg1.0_37010102": content})


OF_THE_MAIL, NAME_OF_A_FILE = 0x00069003, 0x00018010


def tnef(*attributes: tuple[int, bytes], kind: int = 0) -> bytes:
    """A winmail.dat: attributes of the mail (level 1) and of attached files (level 2); ``kind``: if not that of it."""
    out = struct.pack("<IH", 0x223E9F78, 1)
    for level, content in attributes:
        of_level = OF_THE_MAIL if level == 1 else NAME_OF_A_FILE
        out += (
            struct.pack("<BII", level, kind or of_level, len(content))
            + content
            + struct.pack("<H", sum(content) & 0xFFFF)
        )
    return out


def packed_rtf(data: bytes) -> bytes:
    """As mails of Outlook hold it (MS-OXRTFCP), with nothing that repeats; the last eight are nobody's."""
    signs = b"".join(b"\0" + data[at : at + 8] for at in range(0, len(data), 8))
    return struct.pack("<II", len(signs) + 12, len(data)) + b"LZFu" + bytes(4) + signs


def attached_mail(*parts: str, boundary: str = "b2") -> bytes:
    """An .eml whose parts are given with their headers."""
    inside = "".join(f"--{boundary}\n{part}\n" for part in parts)
    head = f"From: a@b.example\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary={boundary}\n\n"
    return f"{head}{inside}--{boundary}--\n".encode()


def part(content: bytes, *headers: str, kind: str = "application/octet-stream") -> str:
    """One part in base64."""
    head = "\n".join((f"Content-Type: {kind}", "Content-Transfer-Encoding: base64", *headers))
    return f"{head}\n\n{base64.encodebytes(content).decode()}"


def named(name: str) -> str:
    return f'{_ATTACHED}="{name}"'


_ATTACHED = "Content-Disposition: attachment; filename"
PLAIN = "Content-Type: text/plain\n\nBonjour\n"


def workbook(*sheets: int, password: bool = False) -> bytes:
    """An old .xls: sheets by type (0 a table, 1 macros of Excel 4)."""
    records = struct.pack("<HH", 0x809, 16) + bytes(16)
    records += struct.pack("<HH", 0x2F, 4) + bytes(4) if password else b""
    for kind in sheets:
        body = struct.pack("<IBB", 0, 2 if kind else 0, kind) + b"\x02\x00S1"
        records += struct.pack("<HH", 0x85, len(body)) + body
    return ole({"Workbook": records + struct.pack("<HH", 0x0A, 0)})


def word(*, password: bool = False) -> bytes:
    return ole({"WordDocument": b"\xec\xa5\xc1\x00" + bytes(6) + struct.pack("<H", 0x100 if password else 0)})


def slides(*, macros: bool) -> bytes:
    atom = b"\x02\x00\x00\x04\x0c\x00\x00\x00" + bytes(4) + struct.pack("<II", macros, 2)
    return ole({"PowerPoint Document": atom})


def package(name: str, data: bytes) -> bytes:
    """An OLE object that carries a file, as Word embeds one."""
    path = name.encode() + b"\0"
    stream = b"\x02\0" + path + path + b"\0\0\x03\0" + struct.pack("<I", len(path)) + path
    stream += struct.pack("<I", len(data)) + data
    return ole({"\x01Ole10Native": struct.pack("<I", len(stream)) + stream})


def shortcut(target: str, arguments: str, *, padding: bytes = b"") -> bytes:
    """A .lnk (MS-SHLLINK) that starts a program: relative path and arguments, and the place of its icon."""
    texts = (target, arguments, "%SystemRoot%\\System32\\imageres.dll")
    head = struct.pack(
        "<I16sI", 76, bytes.fromhex("0114020000000000c000000000000046"), 0x08 | 0x20 | 0x40 | 0x80
    )
    return head.ljust(76, b"\0") + b"".join(
        struct.pack("<H", len(one)) + one.encode("utf-16-le") for one in texts
    ) + bytes(4) + padding  # fmt: skip


def notes(said: str, carried: bytes) -> bytes:
    """A page of OneNote (.one) with a text and a file in it."""
    held = (
        bytes.fromhex("e716e3bd65261145a4c48d4d0b7a9eac")
        + struct.pack("<Q", len(carried))
        + bytes(12)
        + carried
    )
    head = bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(200)
    return head + said.encode("utf-16-le") + bytes(9) + held + bytes(9)


def msi() -> bytes:
    return ole({"\x05SummaryInformation": b"x"}, root=_MSI)


_TYPES = b"<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>"


def docx(text: str = "Bonjour", /, **more: bytes) -> bytes:
    """``more``: parts, with "__" for a dot."""
    runs = "".join(f"<w:r><w:t>{piece}</w:t></w:r>" for piece in (text[:5], text[5:]))
    body = f"<w:document><w:body><w:p>{runs}</w:p></w:body></w:document>".encode()
    parts = {"[Content_Types]__xml": _TYPES, "word/document__xml": body, **more}
    return packed(**parts)


def xlsx(**more: bytes) -> bytes:
    shared = b"<sst><si><t>Total</t></si><si><t>12,50</t></si></sst>"
    parts = {
        "[Content_Types]__xml": _TYPES,
        "xl/workbook__xml": b"<workbook/>",
        "xl/sharedStrings__xml": shared,
    }
    return packed(**parts, **more)


def ods(**more: bytes) -> bytes:
    content = b"<office:document-content><text:p>Budget</text:p></office:document-content>"
    return packed(
        mimetype=b"application/vnd.oasis.opendocument.spreadsheet",
        content__xml=content,
        **{"META-INF/manifest__xml": b"<m/>"},
        **more,
    )


def pdf(
    text: str = "Compte rendu",
    *,
    catalog: str = "",
    page: str = "",
    resources: str = "",
    more: tuple[bytes, ...] = (),
) -> bytes:
    """A PDF of one page with a line of text. ``catalog``, ``page``, ``resources`` of the page: more entries; ``more``:
    objects from 6 on."""
    line = text.replace("(", "").replace(")", "")
    stream = zlib.compress(f"BT /F1 12 Tf 72 720 Td ({line}) Tj ET".encode("latin-1"))
    objects = [
        f"<</Type/Catalog/Pages 2 0 R {catalog}>>".encode(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 5 0 R>>%s>>/Contents 4 0 R %s>>"
        % (resources.encode(), page.encode()),
        b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        *more,
    ]
    out, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return out + b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


LAUNCHES = pdf(catalog="/OpenAction<</S/Launch/F(cmd.exe)>>")
SCRIPTED = pdf(catalog="/OpenAction<</S/JavaScript/JS(app.launchURL\\('https://x.example'\\))>>")
COMPUTES = pdf(catalog="/OpenAction<</S/JavaScript/JS(this.getField\\('total'\\).value = 3)>>")
NAMED = pdf(
    catalog="/Names<</JavaScript<</Names[(a) 6 0 R]>>>>", more=(b"<</S/JavaScript/JS(eval\\('x'\\))>>",)
)
LINKED = pdf(page="/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/Launch/F(x.exe)>>>>]")
CARRIES = pdf(
    catalog="/Names<</EmbeddedFiles<</Names[(a.exe) 6 0 R]>>>>",
    more=(
        b"<</Type/Filespec/F(a.exe)/UF(a.exe)/EF<</F 7 0 R>>>>",
        b"<</Type/EmbeddedFile/Length %d>>stream\n%s\nendstream" % (len(EXE), EXE),
    ),
)
BROKEN_ACTIVE = b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/L#61unch/F(cmd.exe)>>>>\n"


def made(
    form: str, compression: str, files: dict[str, bytes], *, password: str = "", options: str = ""
) -> bytes:
    """An archive that libarchive writes: 7zip, iso9660, ustar and others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made"
        with libarchive.file_writer(
            str(path), form, filter_name=compression, options=options, passphrase=password or None
        ) as archive:
            for name, data in files.items():
                archive.add_file_from_memory(name, len(data), data)
        return path.read_bytes()


def signed(data: bytes, *, in_parts: bool = False, long: bool = False) -> bytes:
    """A .p7m; ``in_parts``: with lengths that end where they end; ``long``: in eight. b"": the signature alone."""

    def element(tag: int, body: bytes) -> bytes:
        if in_parts and tag & 0x20:
            return bytes((tag, 0x80)) + body + b"\0\0"
        if long:
            return bytes((tag, 0x88)) + len(body).to_bytes(8, "big") + body
        size = len(body).to_bytes(4, "big")
        return bytes((tag, 0x84)) + size + body if len(body) > 127 else bytes((tag, len(body))) + body

    def identifier(last: int) -> bytes:
        return element(0x06, b"\x2a\x86\x48\x86\xf7\x0d\x01\x07" + bytes((last,)))

    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    octets = (
        element(0x24, b"".join(element(0x04, one) for one in pieces)) if in_parts else element(0x04, data)
    )
    told = element(0x30, identifier(1) + (element(0xA0, octets) if data else b""))
    inner = (
        element(0x02, b"\x01") + element(0x31, b"") + told + element(0xA0, bytes(9000)) + element(0x31, b"")
    )
    if in_parts:
        inner = inner.replace(b"\xa0\x80" + bytes(9002), b"\xa0\x80" + b"\x04\x00" * 3 + b"\0\0")
    return element(0x30, identifier(2) + element(0xA0, element(0x30, inner)))


def rar(name: str, data: bytes, *, password: str = "") -> bytes:
    """A RAR 5 archive with one stored file. ``password``: "file", or "list" for its names, too."""

    def block(body: bytes) -> bytes:
        sized = number(len(body)) + body
        return struct.pack("<I", binascii.crc32(sized)) + sized

    def number(value: int) -> bytes:
        out = b""
        while value >= 0x80:
            out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
        return out + bytes([value])

    told = name.encode()
    size = number(len(data))
    seal = b"\x01\0\0\x0f" + bytes(32)
    extra = number(len(seal)) + seal if password == "file" else b""
    flags = b"\x02\x03" + number(len(extra)) if extra else b"\x02\x02"
    file = flags + size + b"\x04" + size + b"\x20" + struct.pack("<I", binascii.crc32(data)) + b"\0\0"
    if password == "list":
        return b"Rar!\x1a\x07\x01\x00" + block(b"\x04\0\0\0\x0f" + bytes(16)) + bytes(range(200))
    return (
        b"Rar!\x1a\x07\x01\x00"
        + block(b"\x01\0\0")
        + block(file + number(len(told)) + told + extra)
        + data
        + block(b"\x05\0\0")
    )


def rar4(name: str, data: bytes, *, cipher: bytes = b"", is_list_locked: bool = False) -> bytes:
    """A RAR 4 archive with one stored file, as WinRAR wrote them to 2013 and still may. ``cipher``: of the file, behind
    a password."""

    def block(kind: int, flags: int, body: bytes = b"", stored: bytes = b"") -> bytes:
        head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", binascii.crc32(head) & 0xFFFF) + head + stored

    stored, told = cipher or data, name.encode()
    flags, salt = (0x8404, b"saltsalt") if cipher else (0x8000, b"")
    sizes = struct.pack("<IIBII", len(stored), len(data), 2, binascii.crc32(data), 0x5C009000)
    file = sizes + struct.pack("<BBHI", 29, 0x30, len(told), 0x20) + told + salt
    return (
        b"Rar!\x1a\x07\0"
        + block(0x73, 0x80 if is_list_locked else 0, bytes(6))
        + block(0x74, flags, file, stored)
        + block(0x7B, 0x4000)
    )


LOCKED_7Z, LOCKED_7Z_ALONE, LOCKED_7Z_LIST = (
    base64.b64decode(one)
    for one in (
        # 7z a -p1234 x.7z facture.exe b.txt
        "N3q8ryccAARNZxlStwAAAAAAAAAiAAAAAAAAAI6MiDZZCyr72maTEU+aF0laQPRNw2jL8ptd4LI7MLfpdvOykHPXr6k4+8fGBfai"
        "FgGSQfoAAIEzB64P0QDUPKCKabDjxAD69FhUvcG1jyRnnr6Hf16Z73LrKQpzVwveAdneXpx+E2S4XJa+MaVYDkNM2uXZJVftD44e"
        "OPBbaoIztan0EJkFwC/mlTx97sFUJ8aiNZVrPtves+zQmJL6tc96jspXGRBrDzfCEb1fBUhgsIMPk26XwiAAAAAXBjABCYCHAAcL"
        "AQABIwMBAQVdABAAAAyAlgoBhK1ojgAA",
        # 7z a -p1234 -mhc=off x.7z facture.exe b.txt
        "N3q8ryccAAR65oEFMAAAAAAAAACWAAAAAAAAABFLeAAxLEbzYRr9MUjgarGk/TzASmVmR/D9iEKrRa2APvrhUlL+c7mnuEoPoomI"
        "+a+OAngBBAYAAQkwAAcLAQACJAbxBwESUw9YcUTNa69ld5t0H4+Md4k7ISEBAAEADCuCeAAIDQIJgKAKAXZtUNZrGnTWAAAFAhkH"
        "AAAAAAAAABElAGIALgB0AHgAdAAAAGYAYQBjAHQAdQByAGUALgBlAHgAZQAAABQSAQCFJ2rD24DdAcQlasPbgN0BFQoBACCApIEg"
        "gKSBAAA=",
        # 7z a -p1234 -mhe x.7z facture.exe b.txt
        "N3q8ryccAATrBoYEwAAAAAAAAAA+AAAAAAAAAP2ZorlcaIm4EwjvX1E80xE6ndS8RyDL5UPA+Lh4UFRGOPMIdnQBdSyUj+CfMT0R"
        "hyNacmgXg/ltL9CU6rRvge8eGdgl8I2OvGHs1oUDFX1STfn9y6dHfo+zmhcyyZbCX8GVv7IYsMCMBrgRQzGyIGi+kcJBLgH97CfL"
        "yfkHP7pEU3Llky2m3iwtwB+gqaHnDsgezXJb8zAvUk9eIh/CJDb8Y89OlNFulnV6waRblYZKV21q1c7NHQMY34qjm1oBVudQ2MIX"
        "BjABCYCQAAcLAQACJAbxBwESUw+HsOQdIrWQj3icacyheXa+IwMBAQVdABAAAAEADICHgJYKAT+ojRoAAA==",
    )
)
"""Made by 7-Zip 25.01: ``EXE`` and LOCKED_TEXT; with a packed list, a plain one, one that needs the password."""
LOCKED_TEXT = b"Bonjour " * 20


@cache
def bomb() -> bytes:
    """Some 100 kB that would be gigabytes: zeros in zips in zips."""
    inner = packed(**{f"z{n}__bin": bytes(30 * 2**20) for n in range(4)})
    return packed(**{f"{n}__zip": inner for n in range(4)})


REMOTE = (
    b'<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
    b'attachedTemplate" Target="https://x.example/t.dotm" TargetMode="External"/></Relationships>'
)
SMUGGLES = (
    b"<html><script>var d=atob('TVqQ');var b=new Blob([d]);var u=URL.createObjectURL(b);"
    b"document.querySelector('a').href=u</script></html>"
)
HARMLESS: dict[str, bytes] = {
    "pdf": pdf(),
    "form that computes": COMPUTES,
    "docx": docx(),
    "docx with a document in it": docx(**{"word/embeddings/a__xlsx": xlsx()}),
    "xlsx": xlsx(),
    "ods": ods(),
    "doc": word(),
    "xls": workbook(0, 0),
    "ppt": slides(macros=False),
    "photos": packed(**{f"photo{n}__jpg": b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40 for n in range(20)}),
    "old zip with accents": packed(delibXration__pdf=b"%PDF-1.4").replace(b"libXra", b"lib\x82ra"),
    "mail": attached_mail(PLAIN, part(pdf(), named("compte rendu.pdf"))),
    "mail with a page as its text": attached_mail("Content-Type: text/html\n\n<p onclick=x>Bonjour</p>\n"),
    "mail of Outlook": saved_mail("compte rendu.pdf", pdf()),
    "winmail.dat without a file": tnef(
        (1, b"x"), (1, bytes(300)), (1, b"LZFu"), (1, packed_rtf(b"{\\rtf1 Bonjour}"))
    ),
    "text with a header": b"Bonjour\nFrom: a@b.example\n\nVoici.\n",
    "picture with a zip behind it": b"\xff\xd8\xff\xe0" + bytes(99) + packed(a__txt=b"x"),
    "tar.gz": made("ustar", "gzip", {"a/compte.pdf": pdf(), "b.txt": b"Bonjour"}),
    "7z": made("7zip", "none", {"compte.pdf": pdf(), "b.docx": docx()}),
    "rar": rar("compte.pdf", pdf()),
    "text": b"Bonjour,\n\nle conseil est report\xc3\xa9.\n",
    "csv": b"nom;montant\nDupont;-12,50\n=A1+B1;3\n",
    "page": b"<html><body><h1>Bonjour</h1></body></html>",
    "empty": b"",
}
FOUND: dict[str, tuple[bytes, str]] = {
    "eicar": (EICAR, "Malware.Eicar"),
    "eicar in a zip": (packed(note__txt=EICAR), "Malware.Eicar"),
    "xls with a macro sheet": (workbook(0, 1), "Macro.Excel4"),
    "xlsm with a macro sheet": (xlsx(**{"xl/macrosheets/sheet1__xml": b"<xm:macrosheet/>"}), "Macro.Excel4"),
    "xls in a zip": (packed(facture__xls=workbook(1)), "Macro.Excel4"),
    "mail with a program": (attached_mail(PLAIN, part(EXE, named("a.bin"))), "Program"),
    "mail with a script": (
        attached_mail(part(b"WScript.Echo(1)", f"{_ATTACHED}*=utf-8''a%2Ejs")),
        "Program",
    ),
    "mail with a script of another name": (
        attached_mail(part(b"WScript.Echo(1)", named("a.txt"), kind="application/octet-stream; name=a.js")),
        "Program",
    ),
    "mail with macros in a mail in a zip": (
        packed(a__eml=attached_mail(part(attached_mail(part(workbook(1), named("a.xls"))), named("b.eml")))),
        "Macro.Excel4",
    ),
    "mail within a mail": (
        attached_mail(f"Content-Type: message/rfc822\n\n{attached_mail(part(EXE), boundary='b3').decode()}"),
        "Program",
    ),
    "mail with a page": (attached_mail(part(SCRIPT, named("a.html"), kind="text/html")), "ActivePage"),
    "mail with a zip with a password": (
        attached_mail(part(locked(packed(a__txt=b"x")), named("a.zip"))),
        "Encrypted",
    ),
    "mail with a boundary for some": (
        attached_mail(PLAIN).replace(b"--b2\n", b"--b2x\n" + part(EXE).encode() + b"\n--b2\n", 1),
        "Unreadable",
    ),
    "mail with two kinds": (attached_mail(part(EXE, "Content-Type: text/plain")), "Program Unreadable"),
    "mail without a boundary": (
        b"MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--b\n\n--b--\n",
        "Unreadable",
    ),
    "mail with a name without end": (
        attached_mail(part(EXE, named("=?utf-8?q?a?= " * 100_000))),
        "Program Unreadable",
    ),
    "mail with a program in its text": (
        attached_mail("Content-Type: text/plain\n\nbegin 644 a.exe\n#0V%T\n`\nend\n"),
        "Unreadable",
    ),
    "mail with a program in its text, by yEnc": (
        attached_mail(
            "Content-Type: text/plain\n\n=ybegin line=128 size=3 name=a.exe\nw\x84x\n=yend size=3\n"
        ),
        "Unreadable",
    ),
    "mail of Outlook with a program": (saved_mail("a.bin", EXE), "Program"),
    "mail of Outlook with a script": (saved_mail("a.js", b"WScript.Echo(1)"), "Program"),
    "mail of Outlook with macros": (
        saved_mail("a.docm", docx(**{"word/vbaProject__bin": b"x"})),
        "Macro.Vba",
    ),
    "winmail.dat with a file": (tnef((1, b"x"), (2, b"a.txt")), "Unreadable"),
    "winmail.dat with a file that is said to be of the mail": (
        tnef((1, b"a.txt"), kind=NAME_OF_A_FILE),
        "Unreadable",
    ),
    "winmail.dat that is cut off": (tnef((1, bytes(99)))[:50], "Unreadable"),
    "docm": (docx(**{"word/vbaProject__bin": b"x"}), "Macro.Vba"),
    "doc in a zip": (packed(a__doc=ole({"WordDocument": b"x", "_VBA_PROJECT": b"x"})), "Macro.Vba"),
    "ppt with macros": (slides(macros=True), "Macro.Vba"),
    "ods with macros": (ods(**{"Basic/Standard/Module1__xml": b"<m/>"}), "Macro.Basic"),
    "doc with a password": (word(password=True), "Encrypted"),
    "xls with a password": (workbook(0, password=True), "Encrypted"),
    "zip with a password": (
        made("zip", "none", {"a.txt": b"Bonjour"}, password="mairie", options="zip:encryption=zipcrypt"),
        "Encrypted",
    ),
    "7z with a password": (LOCKED_7Z, "Program Encrypted"),
    "7z whose list needs a password": (LOCKED_7Z_LIST, "Encrypted"),
    "rar with a password": (rar("a.txt", b"cipher" * 9, password="file"), "Encrypted"),
    "rar whose list needs a password": (rar("a.txt", b"x", password="list"), "Encrypted"),
    "program in a rar 4": (rar4("a.scr", EXE), "Program"),
    "rar 4 with a password": (rar4("a.txt", b"Bonjour", cipher=b"cipher" * 9), "Encrypted"),
    "rar 4 whose list needs a password": (rar4("a.txt", b"x" * 99, is_list_locked=True), "Encrypted"),
    "mail with a rar with a password": (
        attached_mail(part(rar("a.pdf", bytes(range(99)), password="file"), named("a.rar"))),
        "Encrypted",
    ),
    "program in a document": (
        docx(**{"word/embeddings/oleObject1__bin": package("run.exe", EXE)}),
        "Program",
    ),
    "msi": (msi(), "Program"),
    "program in a zip in a zip": (packed(a__zip=packed(b__exe=EXE)), "Program Nested"),
    "program without a name in a 7z": (made("7zip", "none", {"lisez": EXE}), "Program"),
    "program in a zip behind something": (b"x" * 500 + packed(a__exe=EXE), "Program"),
    "program in a rar": (rar("a.scr", EXE), "Program"),
    "program in a tar.gz": (made("ustar", "gzip", {"a/b.js": b"x"}), "Program"),
    "program as a picture in a zip": (packed(photo__jpg=EXE), "Disguised Program"),
    "shortcut in an iso": (
        made("iso9660", "none", {"scan.lnk": b"L\0\0\0\x01\x14\x02\0" + bytes(99)}),
        "Shortcut DiskImage",
    ),
    "page in a zip": (packed(facture__html=SCRIPT), "ActivePage"),
    "page that makes a file": (SMUGGLES, "ActivePage.PageBuildsFile"),
    "pdf that starts a program": (LAUNCHES, "ActivePdf"),
    "pdf with a link to a program": (LINKED, "ActivePdf"),
    "pdf with a script": (SCRIPTED, "ActivePdf"),
    "pdf with a named script": (NAMED, "ActivePdf"),
    "pdf that carries a program": (CARRIES, "Program"),
    "broken pdf that starts a program": (BROKEN_ACTIVE, "ActivePdf"),
    "document with a template of the web": (
        docx(**{"word/_rels/settings__xml__rels": REMOTE}),
        "Malware.RemoteTemplate",
    ),
    "document with a command": (
        docx(**{"word/footnotes__xml": b"<w:instrText> DDEAUTO cmd</w:instrText>"}),
        "Malware.DdeCommand",
    ),
    "table with a command": (b"nom;prix\n=cmd|' /C calc'!A0;3\n", "Malware.FormulaCommand"),
    "rtf with an object": (b"{\\rtf1{\\object\\objupdate{\\*\\objdata 0105}}}", "Malware.RtfObject"),
    "rtf with a command": (
        b'{\\rtf1{\\field{\\*\\fldinst DDEAUTO c:\\\\cmd.exe "/k calc"}}}',
        "Malware.RtfCommand",
    ),
    "old XML with macros": (b"<?xml?><w:binData>QWN0aXZlTWltZQAAAA==</w:binData>", "Macro.ActiveMime"),
    "sylk with macros": (b'ID;P\r\nC;X1;Y1;K0;EEXEC("CMD.EXE")\r\nE\r\n', "Macro.SylkMacro"),
    "ods with a script of its own": (
        ods(
            Configurations__xml=b"<script:event-listener xlink:href='vnd.sun.star.script:../x.py$f?language=Python'/>"
        ),
        "Macro.OdfScript",
    ),
    "rar that writes elsewhere": (
        rar("a.pdf", pdf()) + b"\x03STM\x07:..\\..\\Startup\\a.lnk",
        "Malware.RarStream",
    ),
    "page as a program": (b"<html><HTA:APPLICATION id=x></html>", "Malware.HtmlApplication"),
    "broken zip": (packed(a__bin=hashlib.shake_128(b"x").digest(4000))[:2000], "Unreadable"),
    "bomb": (bomb(), "Nested Unreadable"),
}

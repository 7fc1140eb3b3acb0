"""Office documents for tests: honest ones of every kind, and such as are made to hurt whoever opens them."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

from beffroi.drive.office import blank

from tests.waiting import PATIENCE_S

_FORMULAS = "urn:oasis:names:tc:opendocument:xmlns:of:1.2"
OFFICE = "/usr/lib/libreoffice/program/soffice.bin"
CONTENT_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns='
    '"http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
    "</Relationships>"
)


def text(*paragraphs: str) -> bytes:
    """odt"""
    inside = "".join(f"<text:p>{escape(one)}</text:p>" for one in paragraphs)
    return blank.document("texte", f"<office:text>{inside}</office:text>")


def sheet(*formulas: str) -> bytes:
    """ods: one column of formulas (``of:=...``)."""
    rows = "".join(
        f'<table:table-row><table:table-cell table:formula="{escape(one)}"/></table:table-row>'
        for one in formulas
    )
    table = f'<table:table table:name="A">{rows}</table:table>'
    return blank.document(
        "tableur", f'<office:spreadsheet xmlns:of="{_FORMULAS}">{table}</office:spreadsheet>'
    )


def bomb(size_bytes: int) -> bytes:
    """A docx of some kilobytes whose text is this long."""
    run = b"<w:p><w:r><w:t>" + b"A" * 100_000 + b"</w:t></w:r></w:p>"
    return _docx([run] * (size_bytes // len(run)))


def _docx(pieces: list[bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        package.writestr("[Content_Types].xml", CONTENT_TYPES)
        package.writestr("_rels/.rels", RELATIONS)
        with package.open("word/document.xml", "w") as part:
            part.write(
                b'<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
                b"<w:body>"
            )
            for one in pieces:
                part.write(one)
            part.write(b"</w:body></w:document>")
    return out.getvalue()


def linked(address: str, *, file: str) -> bytes:
    """An odt with a picture from the network and a section that is another file, both to be fetched when it opens."""
    inside = (
        f'<text:p>Visible.<draw:frame svg:width="2cm" svg:height="2cm"><draw:image xlink:href="{address}"'
        ' xlink:type="simple" xlink:show="embed" xlink:actuate="onLoad"/></draw:frame></text:p>'
        f'<text:section text:name="s"><text:section-source xlink:href="file://{file}" xlink:type="simple"/>'
        "<text:p>Ancien.</text:p></text:section>"
    )
    spaces = (
        '<office:text xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0">'
    )
    return blank.document("texte", f"{spaces}{inside}</office:text>")


def with_macro() -> bytes:
    """An odt whose Basic macro, bound to the opening, writes "Elle a agi." into it."""
    script = (
        '<?xml version="1.0" encoding="UTF-8"?><script:module xmlns:script="http://openoffice.org/2000/script"'
        ' script:name="Module1" script:language="StarBasic">Sub Main\n'
        'ThisComponent.Text.String = "Elle a agi."\nEnd Sub</script:module>'
    )
    library = (
        '<?xml version="1.0" encoding="UTF-8"?><library:{0} xmlns:library="http://openoffice.org/2000/library"'
        ' library:name="Standard" library:readonly="false" library:passwordprotected="false">{1}</library:{0}>'
    )
    content = (
        '<?xml version="1.0" encoding="UTF-8"?><office:document-content'
        ' xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
        ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
        ' xmlns:script="urn:oasis:names:tc:opendocument:xmlns:script:1.0"'
        ' xmlns:dom="http://www.w3.org/2001/xml-events"'
        ' xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.3"><office:scripts><office:event-listeners>'
        '<script:event-listener script:language="ooo:script" script:event-name="dom:load" xlink:href='
        '"vnd.sun.star.script:Standard.Module1.Main?language=Basic&amp;location=document" xlink:type="simple"/>'
        "</office:event-listeners></office:scripts><office:body><office:text><text:p>Macro.</text:p></office:text>"
        "</office:body></office:document-content>"
    )
    parts = {
        "content.xml": content,
        "Basic/Standard/Module1.xml": script,
        "Basic/Standard/script-lb.xml": library.format(
            "library", '<library:element library:name="Module1"/>'
        ),
        "Basic/script-lc.xml": '<?xml version="1.0" encoding="UTF-8"?><library:libraries'
        ' xmlns:library="http://openoffice.org/2000/library" xmlns:xlink="http://www.w3.org/1999/xlink">'
        '<library:library library:name="Standard" library:link="false"/></library:libraries>',
    }
    mime = "application/vnd.oasis.opendocument.text"
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{path}" manifest:media-type="text/xml"/>' for path in parts
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("mimetype", mime)
        for path, value in parts.items():
            package.writestr(path, value)
        package.writestr(
            "META-INF/manifest.xml",
            '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest'
            ' xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.3">'
            f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{mime}"/>{entries}</manifest:manifest>',
        )
    return out.getvalue()


def converted(folder: Path, data: bytes, suffix: str, wanted: str) -> bytes:
    """As another kind, by LibreOffice itself. ``folder``: empty."""
    source = folder / f"source.{suffix}"
    source.write_bytes(data)
    argv = (
        OFFICE,
        "--headless",
        "--norestore",
        f"-env:UserInstallation=file://{folder}/profile",
        "--convert-to",
        wanted,
        "--outdir",
        str(folder / "out"),
        str(source),
    )
    for _ in range(2):  # the first time it makes its profile, and ends
        subprocess.run(argv, check=False, capture_output=True, timeout=PATIENCE_S)
    return (folder / "out" / f"source.{wanted}").read_bytes()

"""New documents: empty OpenDocument files, as small as the format allows. Pure.

Rule:    OpenDocument is what French administrations write for one another (RGI); an editor saves it as it is.
Source:  OpenDocument 1.3, part 2 (packages) and part 3.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Literal, get_args

Kind = Literal["texte", "tableur", "presentation"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SUFFIXES: Mapping[Kind, str] = {"texte": "odt", "tableur": "ods", "presentation": "odp"}
_TYPES: Mapping[Kind, str] = {"texte": "text", "tableur": "spreadsheet", "presentation": "presentation"}
_BODIES: Mapping[Kind, str] = {
    "texte": "<office:text><text:p/></office:text>",
    "tableur": '<office:spreadsheet><table:table table:name="Feuille1"><table:table-row><table:table-cell/>'
    "</table:table-row></table:table></office:spreadsheet>",
    "presentation": '<office:presentation><draw:page draw:name="page1" draw:master-page-name="Standard"/>'
    "</office:presentation>",
}
_NAMESPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (
        ("office", "office"),
        ("text", "text"),
        ("table", "table"),
        ("draw", "drawing"),
        ("style", "style"),
        ("fo", "xsl-fo-compatible"),
    )
)
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_LANGUAGE = (
    '<style:default-style style:family="{family}"><style:text-properties fo:language="fr" fo:country="FR"/>'
    "</style:default-style>"
)
_FAMILIES: Mapping[Kind, str] = {"texte": "paragraph", "tableur": "table-cell", "presentation": "graphic"}
_PAGES: Mapping[Kind, tuple[str, str]] = {
    "texte": ("21cm", "29.7cm"),
    "tableur": ("21cm", "29.7cm"),
    "presentation": ("28cm", "15.75cm"),
}


def document(kind: Kind, body: str = "") -> bytes:
    """An empty document. ``body``: XML inside of office:body, instead of nothing."""
    mime = f"application/vnd.oasis.opendocument.{_TYPES[kind]}"
    width, height = _PAGES[kind]
    head, languages = f"{_HEAD}<office:document-", _LANGUAGE.format(family=_FAMILIES[kind])
    parts = {
        "META-INF/manifest.xml": _manifest(mime),
        "content.xml": f'{head}content {_NAMESPACES} office:version="1.3"><office:body>{body or _BODIES[kind]}'
        "</office:body></office:document-content>",
        "styles.xml": f'{head}styles {_NAMESPACES} office:version="1.3"><office:styles>{languages}</office:styles>'
        '<office:automatic-styles><style:page-layout style:name="page"><style:page-layout-properties'
        f' fo:page-width="{width}" fo:page-height="{height}" fo:margin="2cm"/></style:page-layout>'
        '</office:automatic-styles><office:master-styles><style:master-page style:name="Standard"'
        ' style:page-layout-name="page"/></office:master-styles></office:document-styles>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        # First, and not compressed: by it a file is known for what it is. No part has a time: all new ones are one.
        package.writestr(zipfile.ZipInfo("mimetype"), mime, zipfile.ZIP_STORED)
        for path, text in parts.items():
            package.writestr(zipfile.ZipInfo(path), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _manifest(mime: str) -> str:
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{path}" manifest:media-type="{kind}"/>'
        for path, kind in (("/", mime), ("content.xml", "text/xml"), ("styles.xml", "text/xml"))
    )
    return (
        f'{_HEAD}<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"'
        f' manifest:version="1.3">{entries}</manifest:manifest>'
    )

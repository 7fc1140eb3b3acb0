"""What tests ask the drive's WebDAV for, and how they read its answers."""

from __future__ import annotations

from lxml import etree

from tests.drive_server import Served

HOME = "/remote.php/dav/files/alice"


SYNC = (
    b'<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"><d:prop>'
    b"<d:resourcetype/><d:getlastmodified/><d:getcontentlength/><d:getetag/><d:quota-available-bytes/>"
    b"<d:quota-used-bytes/><oc:id/><oc:fileid/><oc:permissions/><oc:size/><oc:checksums/><oc:data-fingerprint/>"
    b"<nc:is-mount-root/></d:prop></d:propfind>"
)


NS = {
    "d": "DAV:",
    "oc": "http://owncloud.org/ns",
    "nc": "http://nextcloud.org/ns",
    "s": "http://sabredav.org/ns",
}


BODIES = {
    "PROPPATCH": b'<propertyupdate xmlns="DAV:"><set><prop><x xmlns="u:">1</x></prop></set></propertyupdate>',
    "LOCK": b'<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>',
}


def listing(
    drive: Served, path: str, depth: str = "1", body: bytes = SYNC, login: str = "alice"
) -> dict[str, etree._Element]:
    """The response elements by their href."""
    status, headers, answer = drive.ask("PROPFIND", path, body, login, Depth=depth)
    assert status == 207, answer
    assert headers["content-type"] == "application/xml; charset=utf-8"
    return {one.findtext("d:href", namespaces=NS): one for one in etree.fromstring(answer)}


def value(response: etree._Element, name: str) -> str | None:
    return response.findtext(f"d:propstat/d:prop/{name}", namespaces=NS)


def etag(drive: Served, path: str) -> str:
    return next(iter(listing(drive, path, "0").values())).findtext(".//d:getetag", namespaces=NS)

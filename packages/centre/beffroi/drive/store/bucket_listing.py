"""The list of a bucket, past keys that no object of ours has and that obstore refuses.

Purpose: a key with an empty, ``.`` or ``..`` segment, or a control character, which anybody may put there who may write
         in the bucket, makes obstore refuse the page of a thousand keys that it stands in. From the last key that
         obstore gave, the list is then read here, and such keys are left out.
Rule:    each is told to the log once a process: what to remove. It is read and deleted by nobody.
Hostile: keys; the answer of the service, whose pages are bounded and read without entities.
Errors:  OSError and those of obstore, which ``objects.failures`` puts into our words.
Source:  Amazon S3 API, ListObjectsV2; AWS Signature Version 4.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import obstore
from lxml import etree
from obstore.exceptions import InvalidPathError
from obstore.store import S3Store

if TYPE_CHECKING:
    from beffroi.drive.store.objects import S3Place

TIMEOUT_S = 60.0
MOST_PAGE_BYTES = 16 << 20
"""Of a thousand keys of 1,024 bytes each, three signs a byte."""
MOST_TOLD = 100
_REFUSED = re.compile(r"[\x00-\x1f\x7f]|(?:^|/)\.{0,2}(?:/|$)")
_NAMES = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_EMPTY = hashlib.sha256(b"").hexdigest()
_told = set[tuple[str, str]]()
log = logging.getLogger("beffroi.drive.objects")


class Listed(NamedTuple):
    """``modified_s``: by the clock of the service."""

    key: str
    size_bytes: int
    modified_s: float


class PageRefused(OSError):
    """The service did not give a page of its list, or one that cannot be read."""


def listed(store: S3Store, place: S3Place, folder: str) -> Iterator[Listed]:
    """What lies below a folder of the bucket (no slash at its end), in the order of the service."""
    last = ""
    try:
        for batch in obstore.list(store, folder):
            for one in batch:
                last = one["path"]
                yield Listed(last, one["size"], one["last_modified"].timestamp())
    except InvalidPathError:
        pass
    else:
        return
    for page in _pages(place, {"prefix": f"{folder}/", "start-after": last}):
        for found in page.iter(f"{_NAMES}Contents"):
            key = _key(page, found.findtext(f"{_NAMES}Key"))
            if _is_refused(key):
                _tell(place, key)
            else:
                yield Listed(key, _size(found), _modified_s(found))


def folders(store: S3Store, place: S3Place, folder: str) -> list[str]:
    """Names of the folders in a folder; "" for the bucket itself."""
    prefix = f"{folder}/" if folder else ""
    try:
        found = list(obstore.list_with_delimiter(store, prefix or None)["common_prefixes"])
    except InvalidPathError:
        found = []
        for page in _pages(place, {"prefix": prefix, "delimiter": "/"}):
            for tag in (f"{_NAMES}CommonPrefixes/{_NAMES}Prefix", f"{_NAMES}Contents/{_NAMES}Key"):
                for key in (_key(page, one.text) for one in page.iterfind(tag)):
                    if _is_refused(key):
                        _tell(place, key)
                    elif key.endswith("/"):
                        found.append(key)
    return [one.rstrip("/").rpartition("/")[2] for one in found]


def _is_refused(key: str) -> bool:
    return _REFUSED.search(key.removesuffix("/")) is not None


def _tell(place: S3Place, key: str) -> None:
    if len(_told) < MOST_TOLD and (place.bucket, key) not in _told:
        _told.add((place.bucket, key))
        log.warning(
            "remove %a from the bucket %s: no file of ours, and lists are slower by it", key, place.bucket
        )


def _pages(place: S3Place, query: Mapping[str, str]) -> Iterator[etree._Element]:
    """Errors: PageRefused."""
    asked = {"list-type": "2", "encoding-type": "url"} | {
        name: value for name, value in query.items() if value
    }
    while True:
        page = _parsed(_fetched(place, asked))
        yield page
        token = page.findtext(f"{_NAMES}NextContinuationToken")
        if page.findtext(f"{_NAMES}IsTruncated") != "true":
            return
        if not token or token == asked.get("continuation-token"):
            raise PageRefused
        asked["continuation-token"] = token


def _fetched(place: S3Place, query: Mapping[str, str]) -> bytes:
    """Errors: PageRefused, OSError."""
    door = urlsplit(place.endpoint)
    path = f"{door.path.rstrip('/')}/{quote(place.bucket)}"
    question = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(query.items()))
    kind = http.client.HTTPSConnection if door.scheme == "https" else http.client.HTTPConnection
    line = kind(door.hostname or "", door.port, timeout=TIMEOUT_S)
    try:
        line.request("GET", f"{path}?{question}", headers=_signed(place, door.netloc, path, question))
        answer = line.getresponse()
        data = answer.read(MOST_PAGE_BYTES + 1)
    except http.client.HTTPException:
        raise PageRefused from None
    finally:
        line.close()
    if answer.status != http.client.OK or len(data) > MOST_PAGE_BYTES:
        raise PageRefused
    return data


def _signed(place: S3Place, host: str, path: str, question: str) -> dict[str, str]:
    """Headers of a request without a body, signed as the service asks it."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())  # the machine's clock, by which obstore signs, too
    scope = f"{at[:8]}/{place.region}/s3/aws4_request"
    headers = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": at}
    names = ";".join(headers)
    asked = [
        "GET",
        path,
        question,
        *(f"{name}:{value}" for name, value in headers.items()),
        "",
        names,
        _EMPTY,
    ]
    said = ["AWS4-HMAC-SHA256", at, scope, hashlib.sha256("\n".join(asked).encode()).hexdigest()]
    key = f"AWS4{place.secret_key}".encode()
    for step in (*scope.split("/"), "\n".join(said)):
        key = hmac.digest(key, step.encode(), "sha256")
    by = f"AWS4-HMAC-SHA256 Credential={place.access_key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return headers | {"Authorization": by}


def _parsed(data: bytes) -> etree._Element:
    """Errors: PageRefused."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        page = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        raise PageRefused from None
    if page.tag != f"{_NAMES}ListBucketResult":
        raise PageRefused
    return page


def _key(page: etree._Element, text: str | None) -> str:
    """Errors: PageRefused."""
    if not text:
        raise PageRefused
    return unquote(text) if page.findtext(f"{_NAMES}EncodingType") == "url" else text


def _size(found: etree._Element) -> int:
    try:
        return int(found.findtext(f"{_NAMES}Size") or "")
    except ValueError:
        raise PageRefused from None


def _modified_s(found: etree._Element) -> float:
    try:
        return datetime.fromisoformat(found.findtext(f"{_NAMES}LastModified") or "").timestamp()
    except ValueError:
        raise PageRefused from None

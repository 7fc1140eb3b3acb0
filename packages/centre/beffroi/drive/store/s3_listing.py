"""The keys and folders in a folder of a bucket, also where others put keys there that are no paths.

Rule:    obstore lists, until a key with an empty segment, ".", ".." or a control sign ends its list, with all that its
         page of a thousand holds. Then ListObjectsV2 is asked here, from the beginning: such keys are passed over, and
         the log says how many, once a list, and no name. Nobody deletes them. S3 names a key once in a list, and a
         token once: a service that repeats itself would go on without end, and is an error. obstore gives folders only
         when it has them all, so they are always asked for here.
Process: every one that opens files.
Hostile: who may write in the bucket; answers of the service are bounded.
Fails:   as ``objects`` says.
Source:  docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html; Signature Version 4, in headers;
         docs/decisions/0112-keys-of-others-in-a-bucket.md
"""

from __future__ import annotations

import hmac
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit

import obstore
from lxml import etree
from obstore.exceptions import InvalidPathError
from obstore.store import S3Store

from beffroi.drive.store.objects import StoreUnavailable, failures

if TYPE_CHECKING:
    from beffroi.drive.store.s3_objects import S3Place

TIMEOUT_S, TRIES = 60, 3
MOST_ANSWER_BYTES = 16 << 20
"""A thousand keys of 1,024 bytes, each written as %XX, and what stands around them."""
_NOTHING = sha256(b"").hexdigest()
_NO_PATH = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\x00-\x1f\x7f]")
log = logging.getLogger("beffroi.drive.objects")


class Key(NamedTuple):
    """``written``: UTC epoch seconds, by the service's clock."""

    path: str
    size_bytes: int
    written: float


class Page(NamedTuple):
    """``folders``: with a slash at their ends. ``token``: where to go on, empty at the end."""

    keys: list[Key]
    folders: list[str]
    token: str


def below(store: S3Store, place: S3Place, folder: str) -> Iterator[Key]:
    """All in a folder, from the bucket's root, in any order; one may come twice. Errors: StoreUnavailable."""
    with failures():
        try:
            firsts: set[str] = set()
            for batch in obstore.list(store, folder):
                _once(firsts, batch[0]["path"])
                for one in batch:
                    yield Key(one["path"], one["size"], one["last_modified"].timestamp())
            return
        except InvalidPathError:
            pass
    passed = 0
    for part in _pages(place, {"prefix": f"{folder}/"}):
        good = [key for key in part.keys if not _NO_PATH.search(key.path)]
        passed += len(part.keys) - len(good)
        yield from good
    log.warning("%s: %d keys in the bucket are no paths of ours and are passed over", folder, passed)


def folders(place: S3Place, folder: str) -> list[str]:
    """Names of the folders in a folder, in any order. ``folder``: empty for the root. Errors: StoreUnavailable."""
    asked = {"prefix": f"{folder}/" if folder else "", "delimiter": "/"}
    return [one.rstrip("/").rpartition("/")[2] for part in _pages(place, asked) for one in part.folders]


def _pages(place: S3Place, asked: Mapping[str, str]) -> Iterator[Page]:
    """Errors: StoreUnavailable."""
    token, tokens = "", set[str]()
    while True:
        more = {"continuation-token": token} if token else {}
        found = page(_answer(place, {"list-type": "2", "encoding-type": "url", **asked, **more}))
        yield found
        token = found.token
        if not token:
            return
        _once(tokens, token)


def _once(known: set[str], text: str) -> None:
    """Errors: StoreUnavailable, for what is known already."""
    if text in known:
        raise StoreUnavailable("a list that comes again and again")
    known.add(text)


def page(answer: bytes) -> Page:
    """Errors: StoreUnavailable."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(answer, parser)
        plain = unquote_plus if root.findtext("{*}EncodingType") == "url" else str
        keys = [
            Key(
                plain(one.findtext("{*}Key", "")),
                int(one.findtext("{*}Size", "")),
                datetime.fromisoformat(one.findtext("{*}LastModified", "")).timestamp(),
            )
            for one in root.iterfind("{*}Contents")
        ]
    except (etree.XMLSyntaxError, ValueError) as error:
        raise StoreUnavailable("a list that cannot be read") from error
    found = [plain(one.text or "") for one in root.iterfind("{*}CommonPrefixes/{*}Prefix")]
    return Page(keys, found, root.findtext("{*}NextContinuationToken", ""))


def _answer(place: S3Place, asked: Mapping[str, str]) -> bytes:
    """Errors: StoreUnavailable."""
    for tries_left in reversed(range(TRIES)):
        try:
            status, body = _exchange(place, asked)
        except (OSError, HTTPException) as error:
            if not tries_left:
                raise StoreUnavailable(type(error).__name__) from error
        else:
            if status == 200 and len(body) <= MOST_ANSWER_BYTES:
                return body
            if status < 500 or not tries_left:
                raise StoreUnavailable(f"a list with status {status}")
        time.sleep(TRIES - tries_left)
    raise AssertionError("the last try answers or raises")


def _exchange(place: S3Place, asked: Mapping[str, str]) -> tuple[int, bytes]:
    door = urlsplit(place.endpoint)
    path = f"{door.path.rstrip('/')}/{_quoted(place.bucket)}"
    query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(asked.items()))
    kind = HTTPSConnection if door.scheme == "https" else HTTPConnection
    with closing(kind(door.hostname or "", door.port, timeout=TIMEOUT_S)) as line:
        line.request("GET", f"{path}?{query}", headers=_signed(place, door.netloc, path, query))
        answer = line.getresponse()
        return answer.status, answer.read(MOST_ANSWER_BYTES + 1)


def _signed(place: S3Place, host: str, path: str, query: str) -> dict[str, str]:
    """The headers of a GET."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())  # the machine's clock, by which obstore signs
    headers = {"host": host, "x-amz-content-sha256": _NOTHING, "x-amz-date": at}
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    request = "\n".join(("GET", path, query, *lines, "", names, _NOTHING))
    scope = (at[:8], place.region, "s3", "aws4_request")
    said = "\n".join(("AWS4-HMAC-SHA256", at, "/".join(scope), sha256(request.encode()).hexdigest()))
    key = f"AWS4{place.secret_key}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, said.encode(), "sha256").hex()
    by = f"Credential={place.access_key}/{'/'.join(scope)}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 {by}, SignedHeaders={names}, Signature={signature}"
    return headers


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")

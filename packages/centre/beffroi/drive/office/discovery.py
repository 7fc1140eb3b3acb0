"""What the office editor says of itself: which documents it opens and where, and the keys by which it signs.

Process: web (addresses of its pages), drive (keys); each reads it itself, from the one address of the settings.
Hostile: nothing by intent, for the Département chose the editor; yet no answer may bring more than MAX_BYTES, another
         document in, or people's browsers to another origin.
Fails:   what was read last holds while the editor does not answer; Unavailable where nothing was read yet.
Source:  WOPI discovery; Collabora Online and OnlyOffice answer at /hosting/discovery.
"""

from __future__ import annotations

import base64
import http.client
import logging
import re
import ssl
import threading
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from lxml import etree

from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import Unavailable

PATH = "/hosting/discovery"
MAX_BYTES = 2 * 1024 * 1024
PATIENCE_S = 10.0
FRESH_S, AGAIN_S = 3600.0, 15.0
"""How long it holds, and how soon after a read it is read again."""
_LOCAL = ("localhost", "127.0.0.1", "::1")
_PLACEHOLDER = re.compile(r"<([a-z_]+)=([A-Z_]+)(&?)>")
log = logging.getLogger("beffroi.drive.office")


@dataclass(frozen=True)
class Discovery:
    """``actions``: by the ending of a name in small letters, then by what is done ("edit", "view"): an address with
    placeholders. ``keys``: the present one first; () where the editor does not sign."""

    actions: Mapping[str, Mapping[str, str]]
    keys: tuple[RSAPublicKey, ...] = field(default=(), compare=False)

    def page(self, suffix: str, source: str, *, may_write: bool, language: str = "fr") -> str:
        """The address of the editor's page for a file; "" where it opens no such file. ``source``: the file's own
        address at our side (WOPISrc)."""
        known = self.actions.get(suffix, {})
        address = (
            (known.get("edit", "") if may_write else "") or known.get("view", "") or known.get("edit", "")
        )
        if not address:
            return ""
        filled = _PLACEHOLDER.sub(
            lambda one: f"{one[1]}={language}{one[3]}" if one[2] == "UI_LLCC" else "", address
        )
        joint = "" if filled.endswith(("?", "&")) else "&" if "?" in filled else "?"
        return f"{filled}{joint}WOPISrc={quote(source, safe='')}&lang={language}"


def origin(url: str) -> str:
    """Scheme, host and port of an address, in small letters."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def read(data: bytes, own: str) -> Discovery:
    """``own``: the origin that pages must be of. Errors: ValueError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from None
    actions: dict[str, dict[str, str]] = {}
    for one in root.iter("action"):
        suffix, name, address = one.get("ext", "").lower(), one.get("name", ""), one.get("urlsrc", "")
        if suffix and name and origin(address) == own:
            actions.setdefault(suffix, {}).setdefault(name, address)
    keys = [key for one in root.iter("proof-key") for key in _keys(one)]
    return Discovery(actions, tuple(keys))


def _keys(element: etree._Element) -> list[RSAPublicKey]:
    """Errors: ValueError."""
    out = []
    for before in ("", "old"):
        modulus, exponent = element.get(f"{before}modulus", ""), element.get(f"{before}exponent", "")
        if modulus and exponent:
            out.append(RSAPublicNumbers(_number(exponent), _number(modulus)).public_key())
    return out


def _number(text: str) -> int:
    try:
        return int.from_bytes(base64.b64decode(text, validate=True))
    except Base64Error:
        raise ValueError("a key is no base64") from None


class Editor:
    """The editor of this centre; threads may share it. Errors of the constructor: SettingInvalid."""

    def __init__(self, config: Config) -> None:
        self.origin = origin(config.office_editor)
        parts = urlsplit(config.office_editor)
        is_local = parts.hostname in _LOCAL
        if not parts.hostname or parts.scheme not in (("https", "http") if is_local else ("https",)):
            raise SettingInvalid("office_editor", config.state, "must be https://NAME")
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/") + PATH
        self._tls = (
            ssl.create_default_context(cafile=config.office_ca or None) if parts.scheme == "https" else None
        )
        self._lock = threading.Lock()
        self._found: Discovery | None = None
        self._tried_s = float("-inf")

    def discovery(self, *, older: Discovery | None = None) -> Discovery:
        """``older``: one that did not do (None: there was none); it is read again, at most every AGAIN_S.

        Errors: Unavailable.
        """
        with self._lock:
            age_s = clock.steady_s() - self._tried_s
            if age_s > (FRESH_S if self._found is not older else AGAIN_S):
                self._tried_s = clock.steady_s()
                try:
                    self._found = read(self._fetch(), self.origin)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    log.warning("the office editor's discovery cannot be read: %s", type(error).__name__)
            if self._found is None:
                raise Unavailable("The office editor")
            return self._found

    def _fetch(self) -> bytes:
        line: http.client.HTTPConnection
        if self._tls is None:
            line = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE_S)
        else:
            line = http.client.HTTPSConnection(self._host, self._port, timeout=PATIENCE_S, context=self._tls)
        try:
            line.request("GET", self._path, headers={"Accept": "text/xml, application/xml"})
            answer = line.getresponse()
            data = answer.read(MAX_BYTES + 1)
        finally:
            line.close()
        if answer.status != 200 or len(data) > MAX_BYTES:
            raise ValueError("no discovery")
        return data


def editor(config: Config) -> Editor | None:
    """None where no editor is set. Errors: SettingInvalid."""
    return Editor(config) if config.office_editor else None

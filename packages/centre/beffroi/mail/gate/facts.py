"""What rspamd's rule tells about a message, and the indicators in it. Pure.

Hostile: every value was chosen by the sender of the message; all are capped and normalised here.
Fails:   FactsMalformed; the caller answers 400 and rspamd stamps the message as unchecked.
Source:  mail/engines/templates/rspamd/beffroi.lua (the writer).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain, islice, zip_longest
from urllib.parse import urlsplit

import msgspec
from beffroi_protocol.errors import UNDECODABLE, IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise, registered_names

from beffroi.lib import hashed
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id
from beffroi.mail.gate.attachments import Attached
from beffroi.mail.gate.wrapped import led_on
from beffroi.mail.tokens import SENDING_ONLY
from beffroi.scan.kinds import MAX_EXTENSION, File
from beffroi.scan.values import MAX_CODES

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_OBSERVATIONS = 4000
"""Of a mail that has more, which only somebody who hides one link among them writes, a person looks at it."""
MAX_CARRIED = 40
"""Files in attached ones that a mail tells: a sighting has room for them and for links."""
MAX_MESSAGE_ID = 998
_NO_NAME = re.compile(r'[^!-~]|["\\<>]')
_COMMENT = r"\((?:[^()\\]|\\.|\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*+\))*+\))*+\)"
_BLANK = rf"(?:\s|{_COMMENT})*+"
_ATOM = r"[^\s()<>\[\]:;@\\,.\"\x00-\x1f]++"
_ATOMS = rf"{_ATOM}{_BLANK}(?:\.{_BLANK}{_ATOM}{_BLANK})*+"
_COMMENTED = re.compile(
    rf'{_BLANK}(?:"((?:[^"\\]|\\.)*+)"{_BLANK}|({_ATOMS}))@{_BLANK}({_ATOMS})>', re.DOTALL
)
_COMMENTS = re.compile(_COMMENT, re.DOTALL)
_STOP = re.compile(r'[>"(]')
_SITE = re.compile(r"\s*https?:[/\\]*[^/\\?#]+", re.IGNORECASE)
_PLACE = re.compile(r"`(\$[.\w\[\]]*)`\Z")


class FactsMalformed(BeffroiError):
    """The facts about a message do not decode: {}"""

    # What is told of them is a place, never a value: rspamd may log it.
    code = "mail.facts_malformed"
    http_status = 400


class Link(msgspec.Struct, frozen=True):
    """``host``: as rspamd reads it, "" where it does not. ``shown_host``: the host that the link's text shows, when it
    is another one. ``only_shown``: the address is such a text and nothing more: where it leads, no link of the mail
    does. ``in_code``: it stands in a QR code."""

    url: str = ""
    host: str = ""
    shown_host: str = ""
    only_shown: bool = False
    in_code: bool = False


class Attachment(msgspec.Struct, frozen=True):
    """As ``scan.kinds.File`` has it. ``inside``: codes of what the process scan found in it; ``carried``: SHA-256 of
    the files in it, first those in which something was found."""

    sha256: str
    extension: str = ""
    size_bytes: float = 0
    before: str = ""
    detected: str = ""
    flags: list[str] | dict[str, str] | None = None
    inner: list[str] | dict[str, str] | None = None
    inside: list[str] | dict[str, str] | None = None
    carried: list[str] | dict[str, str] | None = None


class Auth(msgspec.Struct, frozen=True):
    spf: str = "none"
    dkim: str = "none"
    dmarc: str = "none"


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message. Numbers are floats because Lua has no others. An empty Lua list arrives as {} or null.

    ``message_id``: its header as it came. ``ibans``: keyed hashes. ``unparseable``: which cap of its shape the message
    passes, or "facts"."""

    v: float
    id: str
    rescan: bool = False
    queue_id: str = ""
    message_id: str = ""
    sender: str = ""
    visible_from: str = ""
    recipients: list[str] | dict[str, str] | None = None
    client_ip: str = ""
    helo: str = ""
    signed_in: bool = False
    user: str = ""
    by_filter: bool = False
    """Sent by delivery for the owner of a mailbox, whose address is the sender."""
    size_bytes: float = 0
    urls: list[Link] | dict[str, str] | None = None
    attachments: list[Attachment] | dict[str, str] | None = None
    auth: Auth = Auth()
    symbols: list[str] | dict[str, str] | None = None
    score: float = 0
    spam: bool = False
    virus: bool = False
    ibans: list[str] | dict[str, str] | None = None
    announces_bank_details: bool = False
    unparseable: str = ""
    text: list[str] | dict[str, str] | None = None
    """The least of each hash function over the text's word triples, as decimal numbers (``texts``)."""

    @property
    def message_id_hash(self) -> str:
        return hash_of_message_id(self.message_id)


class Observation(msgspec.Struct, frozen=True):
    """``role``: link, link_parent, shown, sender, sender_domain, client, attachment, carried (a file in one), text. A
    verdict looks at all of them; ``shown`` is never evidence against whom it names, who may be the one imitated."""

    indicator: Indicator
    role: str


_DECODER = msgspec.json.Decoder(Facts)


def decode(body: bytes) -> Facts:
    """Errors: FactsMalformed."""
    if len(body) > MAX_BODY_BYTES:
        raise FactsMalformed("too long")
    try:
        facts = _DECODER.decode(body)
    except UNDECODABLE as error:
        place = _PLACE.search(str(error)) if isinstance(error, msgspec.ValidationError) else None
        raise FactsMalformed(place[1] if place else "JSON") from None
    if not is_id(facts.id, "msg"):
        raise FactsMalformed("id")
    return facts


def hash_of_message_id(message_id: str) -> str:
    """Hash of a Message-ID, the same for the header as it came and for what Dovecot's journal makes of it."""
    return hashed.sha256(bare_message_id(message_id))


def bare_message_id(message_id: str) -> str:
    """What names the mail in a header, or comes without brackets already. Programs that break the rules put blanks,
    comments, quotes and accents into it, and Dovecot leaves some of them out."""
    return signs_of_name(_bracketed(message_id) or message_id)


def signs_of_name(name: str) -> str:
    """Of what Dovecot's journal says, or of what stands between brackets, the signs that both have."""
    return _NO_NAME.sub("", name)[:MAX_MESSAGE_ID]


def is_named(header: str) -> bool:
    """Whether Dovecot finds a Message-ID in it."""
    return bool(_bracketed(header))


def _bracketed(text: str) -> str:
    """As Dovecot reads it (message-id.c): whatever has an "@" between brackets, but where a quote or a comment is in
    it, only what the grammar allows."""
    at, stop = text.find("<") + 1, None
    while at > 0:
        # Each sign is read once, however many brackets there are.
        if stop is None or stop.start() < at:
            stop = _STOP.search(text, at)
        if stop is None:
            break
        if stop[0] == ">":
            if "@" in (name := text[at : stop.start()]):
                return name
            at = stop.end()
        elif found := _COMMENTED.match(text, at):
            quoted, left, right = found.groups()
            return f"{_COMMENTS.sub('', left) if quoted is None else quoted}@{_COMMENTS.sub('', right)}"
        at = text.find("<", at) + 1
    return ""


def account(facts: Facts) -> str:
    """Who signed in to send it, or whose filter did, in lower case; "" for mail from elsewhere."""
    if facts.rescan or not (facts.signed_in or facts.by_filter):
        return ""
    login = (facts.user or facts.sender).lower()
    # Behind the address stands what opened the session: a relay's token, or an app password.
    return "@".join(login.split("@", 2)[:2])[:320]


def relay_login(facts: Facts) -> str:
    """The login of a boîtier's relay that hands it in; "" for anything else."""
    login = facts.user.lower()[:320]
    return login if facts.signed_in and not facts.rescan and login.endswith(SENDING_ONLY) else ""


def recipients(facts: Facts) -> list[str]:
    """Envelope recipients without their "+detail", in lower case, each once."""
    out: dict[str, None] = {}
    for address in _list(facts.recipients):
        local, at, domain = str(address).lower().rpartition("@")
        if at:
            out[f"{local.partition('+')[0] or local}@{domain}"[:320]] = None
    return list(out)


def observations(facts: Facts) -> list[Observation]:
    """Every indicator of the message with its role, each once, canonical; what is not valid is left out."""
    found: dict[Observation, None] = {}

    def add(kind: Kind, value: str, role: str) -> Indicator | None:
        indicator = _canonical(kind, value)
        if indicator is not None and len(found) < MAX_OBSERVATIONS:
            found[Observation(indicator, role)] = None
        return indicator

    def add_name(name: str, role: str, parent_role: str) -> None:
        known = add(Kind.DOMAIN, name, role)
        for parent in registered_names(known.value)[1:] if known else ():
            if "." in parent:
                add(Kind.DOMAIN, parent, parent_role)

    if facts.client_ip:
        add(Kind.IP, facts.client_ip, "client")
    for address in dict.fromkeys((facts.sender, facts.visible_from)):
        if (sender := add(Kind.SENDER, address, "sender")) is not None:
            add_name(sender.value.rpartition("@")[2], "sender_domain", "sender_domain")
    attached = _list(facts.attachments)
    for attachment in attached:
        add(Kind.SHA256, attachment.sha256, "attachment")
    # The first ones of each: decoys in one archive leave out none of the next.
    by_place = zip_longest(*(_list(attachment.carried) for attachment in attached))
    for sha256 in islice(filter(None, chain.from_iterable(by_place)), MAX_CARRIED):
        add(Kind.SHA256, sha256, "carried")
    known_hosts: set[tuple[str, str]] = set()
    for link in _list(facts.urls):
        role, parent_role = ("shown", "shown") if link.only_shown else ("link", "link_parent")
        url = add(Kind.URL, link.url, role)
        carried = led_on(url.value, link.url.partition("#")[2]) if url else []
        onward = [add(Kind.URL, one, role) for one in carried]
        # rspamd's reading and a browser's, which may be another; and there are links that rspamd does not read.
        hosts = (link.host.strip("[]"), *map(_host_of, (url or _site(link.url), *onward)))
        for host in dict.fromkeys(hosts):
            if not host or (host, role) in known_hosts:
                continue
            known_hosts.add((host, role))  # most links of a mail lead to one site
            if add(Kind.IP, host, role) is None:
                add_name(host, role, parent_role)
    return list(found)


def _site(url: str) -> Indicator | None:
    """The home page of a link that is too long for one of its own: where it leads still counts."""
    return _canonical(Kind.URL, found[0]) if (found := _SITE.match(url)) else None


def _canonical(kind: Kind, value: str) -> Indicator | None:
    try:
        return normalise(kind, value)
    except IndicatorInvalid:
        return None


def _host_of(url: Indicator | None) -> str:
    return (urlsplit(url.value).hostname or "") if url else ""


def is_unparseable(facts: Facts, seen: Sequence[Observation]) -> bool:
    """Whether it has a shape that no two programs read alike, or holds more than is looked at. ``seen``: its
    observations."""
    return bool(facts.unparseable) or len(seen) >= MAX_OBSERVATIONS


def proved_senders(facts: Facts) -> list[str]:
    """The addresses of envelope and From: that a check speaks for, canonical: SPF for the envelope's domain, DMARC for
    the visible one's, either for both where that is one domain. That one stands above the other says nothing: it may be
    a provider's, and the other one a customer's. A signature alone (DKIM) may be anybody's: who writes as a supplier
    without DMARC signs, too."""
    envelope, visible = _sender(facts.sender), _sender(facts.visible_from)
    found = {envelope} if facts.auth.spf == "pass" else set()
    found |= {visible} if facts.auth.dmarc == "pass" else set()
    if envelope.rpartition("@")[2] == visible.rpartition("@")[2]:
        found = {envelope, visible} if found and facts.auth.dmarc != "fail" else set()
    return sorted(found - {""})


def _sender(address: str) -> str:
    known = _canonical(Kind.SENDER, address)
    return known.value if known else ""


def link_mismatch(facts: Facts) -> bool:
    """True when a link shows one host and leads to another."""
    return any(link.shown_host for link in _list(facts.urls))


def in_codes(facts: Facts) -> list[str]:
    """The addresses in QR codes, canonical, the first ones."""
    found = (_canonical(Kind.URL, link.url) for link in _list(facts.urls) if link.in_code)
    return list(dict.fromkeys(url.value for url in islice(found, MAX_CODES) if url))


def attachment_types(facts: Facts) -> list[str]:
    """File extensions of the attachments, each once."""
    found = {a.extension.lower()[:MAX_EXTENSION] for a in _list(facts.attachments)}
    return sorted(t for t in found if t.isascii() and t.isalnum())


def files(facts: Facts) -> list[Attached]:
    """The attached files as the table of rules wants them."""
    return [
        Attached(
            File(
                a.extension[:MAX_EXTENSION].lower(),
                a.before[:MAX_EXTENSION].lower(),
                a.detected[:MAX_EXTENSION].lower(),
                frozenset(_list(a.flags)),
                frozenset(one.lower() for one in _list(a.inner)),
            ),
            frozenset(_list(a.inside)),
        )
        for a in _list(facts.attachments)
    ]


def ibans(facts: Facts) -> list[str]:
    """Keyed hashes of the IBANs in its text and in its documents."""
    return [str(one) for one in _list(facts.ibans)]


def text(facts: Facts) -> list[str]:
    """What is told of its text, for ``texts.sketch``."""
    return [str(one) for one in _list(facts.text)]


def texts(sketches: Iterable[str]) -> list[Observation]:
    """The texts that a message's own is near to."""
    return [Observation(Indicator(Kind.SKETCH, one), "text") for one in sketches]


def symbols(facts: Facts) -> list[str]:
    return [str(s)[:80] for s in _list(facts.symbols)][:100]


def _list[T](value: list[T] | dict[str, str] | None) -> list[T]:
    return value if isinstance(value, list) else []

"""How new and how widely spread the names of a message are among the members' mail. Counts only, no content.

Process: web, when a person reports a message; worker and console, when an address of a lure is judged.
Cost:    bounded, whatever a name's history: one look-up for the first message with it, and at most ``ROWS`` rows on
         either side of this one, by index.
Fails:   towards silence: a centre that has not watched mail for ``LEARNING`` knows no "never seen before".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from beffroi_protocol.indicators import Indicator, Kind, registered_names
from django.db.models import QuerySet, Subquery

from beffroi.core.communes import row_security
from beffroi.core.communes.queries import collectivite_of_domain
from beffroi.core.decisions import protected, shared, warning_lists
from beffroi.core.decisions.queries import naming_blocked, were_blocked
from beffroi.lib import clock, hashed
from beffroi.mail.clients import MANY_SENDERS, Client
from beffroi.mail.models import Mailbox, MailMessage, MailObservation, MailRecipient
from beffroi.mail.queries import verdict_of

WINDOW = timedelta(hours=1)
LEARNING = timedelta(days=7)
ROWS = 500
CLIENT_ROWS = 300
MAX_NAMES = 16
SENDERS = 3
"""So many who wrote below a name within its first week in mail are no person who was taken over."""
CANDIDATES = 1000
"""Of more indicators nobody asks since when mail knows them: a query each."""


@dataclass(frozen=True)
class Spread:
    """``age_s``: since this centre first saw it, when the message came; None: cannot say.
    ``communes``: collectivités that got it within an hour of the message."""

    age_s: int | None
    communes: int


def telling(spreads: Iterable[Spread]) -> Spread | None:
    """The one that says most: what is new, then what is widely spread. Pure."""
    window_s = WINDOW.total_seconds()
    return max(
        spreads,
        key=lambda s: (s.age_s is not None and s.age_s <= window_s, s.communes, -(s.age_s or 0)),
        default=None,
    )


@row_security.unlimited()
def evidence(message: MailMessage) -> dict[str, int]:
    """Return ``sender_age_s``, ``sender_communes``, ``link_age_s``, ``link_communes``, ``url_communes``; what
    cannot be said is left out."""
    seen = list(
        MailObservation.objects.filter(message_id=message.id, role__in=("sender", "link"))
        .order_by("kind", "value")
        .values_list("role", "kind", "value")[:1000]
    )
    senders = {
        value.rpartition("@")[2] for role, kind, value in seen if (role, kind) == ("sender", Kind.SENDER)
    }
    links = {value for role, kind, value in seen if (role, kind) == ("link", Kind.DOMAIN)}
    urls = [value for _, kind, value in seen if kind == Kind.URL][:MAX_NAMES]
    found: dict[str, int] = {}
    for key, names in (("sender", senders), ("link", links)):
        one = telling(spread(Kind.DOMAIN, name, message) for name in _foreign(names))
        if one is not None and one.age_s is not None:
            found[f"{key}_age_s"] = one.age_s
        if one is not None:
            found[f"{key}_communes"] = one.communes
    if urls:
        found["url_communes"] = max(communes(Kind.URL, url, message) for url in urls)
    return found


@row_security.unlimited()
def past(message: MailMessage, indicators: Iterable[Sequence[str]]) -> tuple[list[str], bool]:
    """What mail knew before a message (``known_before``), and whether any of it was blocked for all, or its words came
    with what was, and nobody took that back: a lure of old comes again."""
    values = _telling_values(indicators)
    blocked, limit = were_blocked(values), message.received_at - LEARNING
    known, decided = list[str](), bool(blocked)
    for kind, value in sorted(values - blocked.keys()):
        if kind == Kind.SKETCH:
            first, came_in_lures = _past_of_text(value)
            decided |= came_in_lures
            is_old = first is not None and _is_acquaintance(first, limit)
        else:
            at = _first_seen(kind, value)
            is_old = at is not None and at <= limit
        if is_old:
            known.append(value)
    return known, decided


def _past_of_text(text: str) -> tuple[MailMessage | None, bool]:
    """The first mail with a text that bears nothing that was blocked for all, more than to show it, and whether others
    do: those are lures, and make their words no acquaintance. It says so of their words alone: a page or a file may be
    of whom they imitate."""
    messages = list(_seen(Kind.SKETCH.value, text).order_by("id").values_list("message_id", flat=True)[:ROWS])
    borne = MailObservation.objects.filter(message_id__in=messages).exclude(role="shown")
    lures = set(naming_blocked(borne).values_list("message_id", flat=True).distinct())
    honest = next((one for one in messages if one not in lures), "")
    return MailMessage.objects.filter(pk=honest).first(), bool(lures)


def _is_acquaintance(first: MailMessage, limit: datetime) -> bool:
    """Whether a text is old that came first in this mail: as old as who wrote it, since a lure may copy the circular of
    today."""
    proved = verdict_of(first).get("proved_senders", [])
    return first.received_at <= limit or any(_had_written(str(one), limit) for one in proved)


def _had_written(sender: str, limit: datetime) -> bool:
    """Whether mail knew by then what somebody registered above the sender's domain; of a provider's customer, the
    address."""
    domain = sender.rpartition("@")[2]
    known = (str(Kind.SENDER), sender) if _is_provider(domain) else (str(Kind.DOMAIN), registrable(domain))
    at = _first_seen(*known)
    return at is not None and at <= limit and not were_blocked([known])


def known_before(message: MailMessage, indicators: Iterable[Sequence[str]]) -> list[str]:
    """The files, texts, web addresses, names and senders among them that this centre saw ``LEARNING`` before the
    message: a logo, a form of the State, the notice of a bank and its site. Whoever imitates somebody sends the real
    one along. Also what somebody registered above one of the names: a provider's customers have a name each. Not what
    was blocked for all: it was in mail as a lure."""
    return past(message, indicators)[0]


def _telling_values(indicators: Iterable[Sequence[str]]) -> set[tuple[str, str]]:
    """(kind, value) of files, links, names, senders and texts, and of what somebody registered above the names."""
    kinds = (Kind.SHA256, Kind.URL, Kind.DOMAIN, Kind.SENDER, Kind.SKETCH)
    values = {(str(kind), value) for kind, value, *_ in indicators if kind in kinds}
    return values | {(str(Kind.DOMAIN), registrable(value)) for kind, value in values if kind == Kind.DOMAIN}


@row_security.unlimited()
def new_sender_name(message: MailMessage, verdict: Mapping[str, object]) -> str:
    """What somebody registered above the senders of a message, envelope and From: alike, where a check spoke for them,
    mail did not know it long before, and ``SENDERS`` wrote below it: who registers a name for a campaign writes as
    whomever they like. Of a firm whose mailbox was taken over one writes. "" where there is none."""
    if not verdict.get("proved_senders") or is_learning(message):
        return ""
    rows = MailObservation.objects.filter(message_id=message.id, kind=Kind.SENDER.value, role="sender")
    names = {registrable(value.rpartition("@")[2]) for value in rows.values_list("value", flat=True)}
    if len(names) != 1 or not _foreign(names):
        return ""
    (name,) = names
    if name in known_before(message, [(Kind.DOMAIN, name)]):
        return ""
    return name if len(_visible_senders(name)) >= SENDERS else ""


def _visible_senders(name: str) -> set[str]:
    """Who wrote the last messages of senders below a name, by their From:. The envelope of a newsletter is another one
    for each reader."""
    rows = _seen(Kind.DOMAIN.value, name).filter(role="sender_domain").order_by("-id")
    messages = list(rows.values_list("message_id", flat=True)[:ROWS])
    envelopes = dict(MailMessage.objects.filter(pk__in=messages).values_list("id", "sender"))
    told: dict[str, set[str]] = defaultdict(set)
    seen = MailObservation.objects.filter(message_id__in=messages, kind=Kind.SENDER.value, role="sender")
    for message_id, value in seen.values_list("message_id", "value"):
        if registrable(value.rpartition("@")[2]) == name:
            told[message_id].add(value)
    return {one for id_, few in told.items() for one in (few - {envelopes.get(id_, "").lower()} or few)}


def foremost(message: MailMessage, pairs: Sequence[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """The ``most`` of these (kind, value) that say most about a message: senders and files, then links that mail did
    not know long before and that may be blocked at all. Of too many such links each message has a choice of its own:
    whoever hides one among decoys does not choose which are left out."""
    if len(pairs) <= most:
        return list(pairs)
    check, links = protected.current().check, (Kind.URL, Kind.DOMAIN)

    def order(pair: tuple[str, str]) -> tuple[bool, bool, str, str]:
        kind, value = pair
        place = urlsplit(value).netloc if kind == Kind.URL else value
        kept = bool(check(Indicator(Kind(kind), value)))
        return kind in links, kept, hashed.sha256(f"{message.id} {place}"), kind

    found = sorted(pairs, key=order)[:CANDIDATES]
    old = set(known_before(message, found))
    return sorted(found, key=lambda pair: (*order(pair)[:2], pair[1] in old))[:most]


@shared.mail_hosts
@row_security.unlimited()
def mail_hosts(addresses: Collection[str]) -> set[str]:
    """Those that handed in mail ``LEARNING`` ago, or for many senders: a provider's servers, or a correspondent's."""
    rows = MailObservation.objects.filter(kind=Kind.IP.value, value__in=addresses, role="client").order_by()
    limit = clock.now() - LEARNING
    found = rows.values_list("value", flat=True).distinct()
    return {one for one in found if _handed_in_by(one, limit) or _sender_domains(one) >= MANY_SENDERS}


def _handed_in_by(address: str, limit: datetime) -> bool:
    first = MailObservation.objects.filter(kind=Kind.IP.value, value=address, role="client").order_by("id")
    return MailMessage.objects.filter(
        pk=Subquery(first.values("message_id")[:1]), received_at__lte=limit
    ).exists()


@row_security.unlimited()
def is_learning(message: MailMessage) -> bool:
    """Whether this centre had not watched mail for ``LEARNING`` then: what it did not know, nobody would have."""
    start = MailMessage.objects.order_by("received_at").values_list("received_at", flat=True).first()
    return start is None or message.received_at - start < LEARNING


def spread(kind: Kind, value: str, message: MailMessage) -> Spread:
    since = _first_seen(kind.value, value)
    age_s = None
    if since is not None and not is_learning(message):
        age_s = max(0, int((message.received_at - since).total_seconds()))
    return Spread(age_s, communes(kind, value, message))


def communes(kind: Kind, value: str, message: MailMessage) -> int:
    """How many collectivités got it within an hour before or after this message."""
    rows = _seen(kind.value, value)
    own = rows.filter(message_id=message.id).order_by("id").values_list("id", flat=True).first()
    if own is None:
        return 0
    near = {*rows.filter(id__lte=own).order_by("-id").values_list("message_id", flat=True)[:ROWS]}
    near |= {*rows.filter(id__gt=own).order_by("id").values_list("message_id", flat=True)[:ROWS]}
    span = (message.received_at - WINDOW, message.received_at + WINDOW)
    within = MailMessage.objects.filter(pk__in=near, received_at__range=span).values("id")
    addresses = MailRecipient.objects.filter(message_id__in=within).values("address")
    return Mailbox.objects.filter(address__in=addresses).values("collectivite_id").distinct().count()


def client_of(message: MailMessage, verdict: dict[str, object]) -> Client:
    """What is known of the host that handed the message in, for ``clients.refusal``."""
    auth = verdict.get("auth")
    return Client(
        address=message.client_ip,
        spf=str(auth.get("spf", "none")) if isinstance(auth, dict) else "none",
        signed_in=bool(verdict.get("signed_in")),
        rescanned=bool(verdict.get("rescan")),
        provider_sender=_is_provider(message.sender.rpartition("@")[2]),
        provider_helo=_is_provider(message.helo),
        sender_domains=_sender_domains(message.client_ip),
    )


def _sender_domains(address: str) -> int:
    """How many sender domains this host's last messages had."""
    rows = MailObservation.objects.filter(kind=Kind.IP.value, value=address, role="client").order_by("-id")
    messages = list(rows.values_list("message_id", flat=True)[:CLIENT_ROWS])
    senders = MailMessage.objects.filter(pk__in=messages).values_list("sender", flat=True)
    return len({registrable(s.rpartition("@")[2]) for s in senders if "@" in s})


def _is_provider(name: str) -> bool:
    """Whether a name, or the registrable one above it, is on the list of what everyone depends on."""
    suffixes, check = warning_lists.load().suffixes, protected.current().check
    text = name.strip().lower().rstrip(".")
    parents = [n for n in registered_names(text) if "." in n and not suffixes.is_public(n)]
    return any(check(Indicator(Kind.DOMAIN, n)) for n in parents)


def _foreign(names: Iterable[str]) -> list[str]:
    """The registrable names, without the members' own and what can never be blocked."""
    check = protected.current().check
    free = {registrable(n) for n in names if not check(Indicator(Kind.DOMAIN, n))}
    return sorted(n for n in free if collectivite_of_domain(n) is None)[:MAX_NAMES]


def registrable(name: str) -> str:
    """The name that somebody registered: an attacker makes as many names below it as they like."""
    return warning_lists.load().suffixes.privatesuffix(name) or name


def _seen(kind: str, value: str) -> QuerySet[MailObservation]:
    """What is only shown is no sight: whoever means to use a name later may show it anywhere beforehand."""
    return MailObservation.objects.filter(kind=kind, value=value).exclude(role="shown")


def _first_seen(kind: str, value: str) -> datetime | None:
    """When this centre first got a message with it."""
    first = _seen(kind, value).order_by("id").values("message_id")[:1]
    return MailMessage.objects.filter(pk=Subquery(first)).values_list("received_at", flat=True).first()

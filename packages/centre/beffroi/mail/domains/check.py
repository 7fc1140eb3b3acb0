"""Compare a domain's records, as DNS answers them now, with what they should be.

Purpose: one result an item, with a code that ``portal.domain_words`` turns into a diagnosis and what to do.
Input:   hostile: every answer of DNS; ``asking`` fetched it.
Order:   the items of what stops mail come first.
Source:  RFC 7208, 6376, 7489, 8461, 8460, 7672 (DANE); internet.nl's mail test, as in ``scores``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from beffroi.mail.domains import asking, delegation, meeting, records, rpki, site
from beffroi.mail.domains import declared as declarations
from beffroi.mail.domains.asking import Answer, Asker
from beffroi.mail.domains.records import Purpose, Record
from beffroi.mail.domains.results import Result

SPF_LOOKUPS = 10
_SEEN_CHARS = 400
_LOOKING = ("include", "a", "mx", "ptr", "exists", "redirect")


@dataclass(frozen=True)
class Subject:
    """What is checked. ``waiting``: selectors of keys that do not sign yet. ``smtp_port``: of our server, where the
    check meets it. ``authorities``: a file of certificates to trust besides the public ones (laboratory). ``way``:
    to the website, which is left out without it. ``declared``: to Service-Public, for enrolled domains; ``country``:
    where our servers stand; ``name_servers``: that a domain may be delegated to; ``dns``: the way to name servers, the
    internet's without it. ``dns_port``, ``private``: of name servers in a laboratory."""

    domain: str
    servers: records.Servers
    choices: records.Choices
    keys: Sequence[records.PublicKey]
    waiting: frozenset[str] = frozenset()
    smtp_port: int = 25
    authorities: str | None = None
    way: site.Way | None = None
    declared: declarations.Declared | None = None
    country: str = ""
    routing: rpki.Sources = field(default_factory=rpki.Sources)
    dns_port: int = 53
    private: bool = False
    name_servers: tuple[str, ...] = ()
    dns: delegation.Way | None = None


def check(subject: Subject, asker: Asker) -> list[Result]:
    """Every item of the domain. A resolver that does not answer gives one result, "resolver", and no more."""
    if (
        asker.ask(subject.domain, "SOA").status == "unanswered"
        and asker.ask(".", "NS").status == "unanswered"
    ):
        return [Result("resolver", "unknown", "unanswered", asker.address)]
    planned = records.plan(subject.domain, subject.servers, subject.choices, subject.keys)
    found = [_clip(one) for one in _records(subject, asker, planned)]
    return [
        *found,
        *(_clip(one) for one in (*_delegation(subject, asker, planned), *_around(subject, asker))),
    ]


def _clip(one: Result) -> Result:
    return Result(one.item, one.state, one.code, one.seen[:_SEEN_CHARS], one.wanted)


def _records(subject: Subject, asker: Asker, planned: Sequence[Record]) -> Iterator[Result]:
    by_purpose: dict[Purpose, list[Record]] = {}
    for one in planned:
        by_purpose.setdefault(one.purpose, []).append(one)
    for purpose, ours in by_purpose.items():
        if purpose is Purpose.MX:
            yield _mx(asker, ours)
        elif purpose is Purpose.SPF:
            yield from _spf(asker, ours[0])
        elif purpose is Purpose.DKIM:
            yield from (_dkim(subject, asker, key) for key in subject.keys)
        elif purpose is Purpose.DMARC:
            yield from _dmarc(subject, asker, ours[0])
        elif purpose in (Purpose.STS, Purpose.TLS_RPT):
            yield _text(asker, ours[0])
        elif purpose in (Purpose.STS_HOST, Purpose.AUTOCONFIG, Purpose.AUTODISCOVER):
            yield _host(subject, asker, ours[0])
        elif purpose is Purpose.CAA:
            yield _caa(asker, ours)
        else:
            yield _service(asker, ours[0])
    if Purpose.STS_HOST in by_purpose:
        yield _policy(subject, asker)


def _unless(item: str, answer: Answer, wanted: str, *, state: str = "bad") -> Result | None:
    """The result for what is not there, or not known."""
    if answer.status == "unanswered":
        return Result(item, "unknown", "unanswered", "", wanted)
    return None if answer.rows else Result(item, state, "absent", "", wanted)


def _mx(asker: Asker, ours: Sequence[Record]) -> Result:
    name, wanted = ours[0].name, " / ".join(one.data for one in ours)
    answer = asker.ask(name, "MX")
    if missing := _unless("mx", answer, wanted):
        return missing
    hosts = [
        row.split()[-1].rstrip(".").lower()
        for row in sorted(answer.rows, key=lambda row: int(row.split()[0]))
    ]
    known = [one.data.split()[-1].rstrip(".") for one in ours]
    seen = " / ".join(sorted(answer.rows))
    if known[0] not in hosts:
        return Result("mx", "bad", "elsewhere", seen, wanted)
    if set(hosts) - set(known):
        return Result("mx", "bad", "others", seen, wanted)
    return Result("mx", "ok", "ok", seen, wanted)


def _spf(asker: Asker, ours: Record) -> Iterator[Result]:
    answer = asker.ask(ours.name, "TXT")
    texts = [one for one in answer.rows if one.lower().split(" ")[0] == "v=spf1"]
    seen = " / ".join(texts)
    if answer.status == "unanswered":
        yield Result("spf", "unknown", "unanswered", "", ours.data)
        return
    if not texts:
        yield Result("spf", "bad", "absent", "", ours.data)
        return
    if len(texts) > 1:
        yield Result("spf", "bad", "several", seen, ours.data)
        return
    had, wanted = texts[0].lower().split(), ours.data.lower().split()
    if not set(wanted[1:-1]) <= {one.lstrip("+") for one in had}:
        yield Result("spf", "bad", "without_us", seen, ours.data)
    elif had[-1] not in ("-all", "~all") and not had[-1].startswith("redirect="):
        yield Result("spf", "bad", "open", seen, ours.data)
    elif had != wanted:
        yield Result("spf", "warn", "differs", seen, ours.data)
    else:
        yield Result("spf", "ok", "ok", seen, ours.data)
    count = _lookups(asker, texts[0], set())
    state = "ok" if count <= SPF_LOOKUPS else "bad"
    yield Result("spf_lookups", state, "ok" if state == "ok" else "too_many", str(count), str(SPF_LOOKUPS))


def _lookups(asker: Asker, text: str, met: set[str]) -> int:
    """Terms that make a receiver ask DNS, also of what is included; more than a few times ten is not counted on."""
    count = 0
    for term in text.lower().split()[1:]:
        bare = term.lstrip("+-~?")
        word, _, value = bare.replace("=", ":", 1).partition(":")
        if word.partition("/")[0] not in _LOOKING:
            continue
        count += 1
        if word in ("include", "redirect") and value not in met and len(met) < 3 * SPF_LOOKUPS:
            met.add(value)
            rows = asker.ask(value.rstrip("."), "TXT").rows
            count += sum(_lookups(asker, one, met) for one in rows if one.lower().startswith("v=spf1"))
    return count


def _tags(text: str) -> dict[str, str]:
    """``a=b; c=d`` as a dictionary; the first of two wins."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, sign, value = part.partition("=")
        if sign:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _dkim(subject: Subject, asker: Asker, key: records.PublicKey) -> Result:
    item, wanted = f"dkim:{key.selector}", records.dkim(key)
    state = "warn" if key.selector in subject.waiting else "bad"
    answer = asker.ask(f"{key.selector}._domainkey.{subject.domain}", "TXT")
    if missing := _unless(item, answer, wanted, state=state):
        return missing
    if not any(_is_key(one) for one in answer.rows):  # what a wildcard of the zone shows at every name
        return Result(item, state, "absent", " / ".join(answer.rows), wanted)
    seen = answer.rows[0]
    if len(answer.rows) > 1:
        return Result(item, state, "several", seen, wanted)
    # Forms of providers put blanks between the strings, which is allowed, or cut the key, which is not.
    shown = "".join(_tags(seen).get("p", "").split())
    if shown == key.text:
        return Result(item, "ok", "ok", seen, wanted)
    return Result(item, state, "cut" if shown and key.text.startswith(shown) else "differs", seen, wanted)


def _is_key(text: str) -> bool:
    """RFC 6376 3.6.1: the version may be left out, the key may not."""
    tags = _tags(text)
    return tags.get("v", "DKIM1").upper() == "DKIM1" and ("v" in tags or "p" in tags)


def _dmarc(subject: Subject, asker: Asker, ours: Record) -> Iterator[Result]:
    answer = asker.ask(ours.name, "TXT")
    texts = [one for one in answer.rows if one.lower().startswith("v=dmarc1")]
    if answer.status == "unanswered":
        yield Result("dmarc", "unknown", "unanswered", "", ours.data)
        return
    if len(texts) != 1:
        yield Result("dmarc", "bad", "several" if texts else "absent", " / ".join(texts), ours.data)
        return
    tags, seen = _tags(texts[0]), texts[0]
    policy = tags.get("p", "").lower()
    first = texts[0].split(";")[1].strip().lower() if ";" in texts[0] else ""
    if policy not in ("none", "quarantine", "reject"):
        yield Result("dmarc", "bad", "no_policy", seen, ours.data)
    elif not first.startswith("p"):
        yield Result("dmarc", "warn", "p_not_first", seen, ours.data)
    elif tags.get("t", "").lower() == "y":
        yield Result("dmarc", "warn", "testing", seen, ours.data)
    elif (
        subject.servers.reports
        and f"mailto:{subject.servers.reports}".lower() not in tags.get("rua", "").lower()
    ):
        yield Result("dmarc", "warn", "no_reports", seen, ours.data)
    elif policy != subject.choices.dmarc:
        yield Result("dmarc", "warn", "differs", seen, ours.data)
    else:
        yield Result("dmarc", "ok", "ok", seen, ours.data)
    strong = policy == "reject" or (policy == "quarantine" and tags.get("pct", "100") == "100")
    yield Result("dmarc_strong", "ok" if strong else "warn", "ok" if strong else "weak", policy)
    report_domain = subject.servers.reports.rpartition("@")[2]
    if report_domain and report_domain != subject.domain:
        name = f"{subject.domain}._report._dmarc.{report_domain}"
        allowed = asker.ask(name, "TXT")
        good = any(one.lower().startswith("v=dmarc1") for one in allowed.rows)
        if allowed.status == "unanswered":
            yield Result("reports", "unknown", "unanswered", "", name)
        else:
            yield Result("reports", "ok" if good else "warn", "ok" if good else "absent", name, "v=DMARC1")


def _text(asker: Asker, ours: Record) -> Result:
    """A TXT record that has its name for itself."""
    item = str(ours.purpose)
    answer = asker.ask(ours.name, "TXT")
    if missing := _unless(item, answer, ours.data, state="warn"):
        return missing
    version = ours.data.partition(";")[0].lower()
    texts = [one for one in answer.rows if one.lower().startswith(version)]
    seen = " / ".join(answer.rows)
    if len(texts) != 1:
        return Result(item, "warn", "several" if texts else "absent", seen, ours.data)
    same = _tags(texts[0]) == _tags(ours.data)
    return Result(item, "ok" if same else "warn", "ok" if same else "differs", seen, ours.data)


def _host(subject: Subject, asker: Asker, ours: Record) -> Result:
    """A name that must lead to our front door, by CNAME or by address."""
    item, front = str(ours.purpose), subject.servers.front.lower()
    answer = asker.ask(ours.name, "A")
    if answer.status in ("absent", "no_name"):
        answer = asker.ask(ours.name, "AAAA")
    if answer.status == "unanswered":
        return Result(item, "unknown", "unanswered", "", ours.data)
    if answer.name == front or (answer.rows and asker.addresses(ours.name) <= asker.addresses(front)):
        return Result(item, "ok", "ok", answer.name, ours.data)
    seen = " / ".join(answer.rows)
    return Result(item, "warn", "elsewhere" if seen else "absent", seen, ours.data)


def _service(asker: Asker, ours: Record) -> Result:
    item = str(ours.purpose)
    answer = asker.ask(ours.name, "SRV")
    if missing := _unless(item, answer, ours.data, state="warn"):
        return missing
    seen = " / ".join(answer.rows)
    good = ours.data.lower().split()[2:] in [row.lower().split()[2:] for row in answer.rows]
    return Result(item, "ok" if good else "warn", "ok" if good else "differs", seen, ours.data)


def _caa(asker: Asker, ours: Sequence[Record]) -> Result:
    wanted = " / ".join(one.data for one in ours)
    answer = asker.ask(ours[0].name, "CAA")
    if missing := _unless("caa", answer, wanted, state="warn"):
        return missing
    seen = " / ".join(answer.rows)
    issuers = {
        row.split('"')[1].split(";")[0].strip() for row in answer.rows if " issue " in row and '"' in row
    }
    mine = {one.data.split('"')[1] for one in ours}
    good = not issuers or bool(issuers & mine)
    return Result("caa", "ok" if good else "bad", "ok" if good else "without_us", seen, wanted)


def _policy(subject: Subject, asker: Asker) -> Result:
    """The policy as a sender fetches it, where its name leads to our front door."""
    wanted = records.sts_policy(subject.servers, subject.choices)
    name = f"mta-sts.{subject.domain}"
    ours = asker.addresses(subject.servers.front)
    addresses = sorted(asker.addresses(name) & ours, key=lambda one: ":" in one)
    if not addresses:
        return Result("mta_sts_policy", "unknown", "no_host", "", wanted)
    problem, text = asking.fetch_policy(
        name, addresses[0], subject.servers.front_port, authorities=subject.authorities
    )
    if problem:
        # This machine may not reach its own public address.
        state = "unknown" if problem == "silent" else "bad"
        return Result("mta_sts_policy", state, problem, "", wanted)
    good = text.splitlines() == wanted.splitlines()
    return Result("mta_sts_policy", "ok" if good else "bad", "ok" if good else "differs", text, wanted)


def _delegation(subject: Subject, asker: Asker, planned: Sequence[Record]) -> Iterator[Result]:
    if subject.name_servers:
        names = {one.name: None for one in delegation.delegable(subject.domain, planned)}
        found = delegation.look(
            subject.domain, names, subject.name_servers, asker, subject.dns or delegation.Way()
        )
        wanted = " / ".join(subject.name_servers)
        yield Result("delegation", found.state, found.code, found.seen, wanted)


def _around(subject: Subject, asker: Asker) -> Iterator[Result]:
    """What internet.nl looks at besides: IPv6, DNSSEC, TLS and DANE of our own server, RPKI."""
    mx = subject.servers.mx
    # RFC 8020: "no such name" for a parent says that nothing stands below it.
    parent = asker.ask(f"_domainkey.{subject.domain}", "TXT")
    state = {"unanswered": "unknown", "no_name": "bad"}.get(parent.status, "ok")
    yield Result("domainkey", state, "ok" if state == "ok" else parent.status)
    for item, name in (("dnssec", subject.domain), ("dnssec_mx", mx)):
        yield _signed(asker, item, name)
    yield meeting.name_servers(asker, subject.domain, port=subject.dns_port, private=subject.private)
    yield from meeting.meet(meeting.Server(mx, subject.smtp_port, subject.authorities), asker)
    yield from rpki.look(subject.domain, mx, asker, subject.routing)
    if subject.way is not None:
        host = subject.declared.host if subject.declared else ""
        visited = site.look(host or subject.domain, asker, subject.way)
        yield from (Result(item, state, code) for item, (state, code) in visited.items())
    if subject.declared is not None:
        told = declarations.items(subject.declared, subject.domain, subject.country)
        yield from (Result(item, state, code, seen) for item, state, code, seen in told)


def _signed(asker: Asker, item: str, name: str) -> Result:
    answer = asker.ask(name, "SOA")
    if answer.status == "unanswered":
        answer = asker.ask(name, "A")
    if answer.status == "unanswered":
        return Result(item, "unknown", "unanswered", name)
    if answer.authentic:
        return Result(item, "ok", "ok", name)
    signer = asker.ask(name, "DS")
    if signer.rows:
        return Result(item, "unknown", "not_validated", name)
    return Result(item, "warn", "absent", name)


def states(found: Iterable[Result]) -> dict[str, tuple[str, str]]:
    """item -> (state, code and what was seen), as ``actions.store_check`` keeps it."""
    return {one.item: (one.state, f"{one.code}|{one.seen}") for one in found}

"""Read mail domains on someone's behalf, and the keys that sign for the engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from django.conf import settings
from django.db.models import Max, QuerySet

from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.lib import envelopes
from beffroi.lib.config import Config
from beffroi.mail import keys
from beffroi.mail.domains import declared as declarations
from beffroi.mail.domains import records
from beffroi.mail.domains.declared import Declared
from beffroi.mail.domains.models import DkimKey, DomainCheck, MailDomain
from beffroi.mail.engines import pools
from beffroi.mail.signing import SigningKey


def servers(config: Config) -> records.Servers:
    """The centre's own side of every record."""
    return records.Servers(
        mx=config.mail_name,
        front=config.portal_name,
        front_port=config.portal_port,
        imaps_port=config.imaps_port,
        submission_port=config.submission_port,
        submissions_port=config.submissions_port,
        sieve_port=config.sieve_port,
        spf=_spf(config),
        reports=config.reports_address,
        caa=tuple(config.mail_caa.split()),
        dkim_zone=config.mail_dkim_zone,
    )


def _spf(config: Config) -> str:
    """The setting, and the further addresses that our mail leaves from; a record of ours that is included names them
    itself, so that no commune's zone changes."""
    told = config.mail_spf.split()
    if any(one.lstrip("+").lower().startswith(("include:", "redirect=")) for one in told):
        return config.mail_spf
    more = [address for one in pools.exits(config)[1:] for address in one.addresses]
    return " ".join(dict.fromkeys([*told, *(f"ip{6 if ':' in one else 4}:{one}" for one in more)]))


def access_domain(actor: Actor, domain_id: str) -> Domain:
    """Errors: NotFound, for absent and forbidden alike."""
    return communes.access_domain(actor, domain_id)


def choices(domain_id: str) -> records.Choices:
    row = MailDomain.objects.filter(pk=domain_id).first()
    if row is None:
        return records.Choices()
    return records.Choices(row.dmarc, row.sts, tuple(row.also_sends.split()), row.old_mx)


def declared(domain_id: str) -> Declared:
    """What Service-Public says of the commune, as far as the Département told it here."""
    row = MailDomain.objects.filter(pk=domain_id).first()
    return Declared(row.declared_site, row.declared_address) if row else Declared()


def declaration(domain_id: str) -> AuditEntry | None:
    """Who declared it and when, as the audit log knows it; None where nobody did, or so long ago that it was pruned."""
    return AuditEntry.objects.filter(object_id=domain_id, verb=declarations.VERB).order_by("-id").first()


def moving(config: Config) -> dict[str, str]:
    """Domain -> the server that still has some of its mailboxes; none while mail does not leave the centre."""
    if not config.outgoing_mail:
        return {}
    hosts = dict(MailDomain.objects.exclude(old_mx="").values_list("domain_id", "old_mx"))
    return {one.name: hosts[one.id] for one in communes.current_domains().filter(pk__in=hosts)}


def published_keys(domain_id: str) -> list[DkimKey]:
    """Those that DNS must show, by selector."""
    return list(DkimKey.objects.filter(domain_id=domain_id, gone_at=None).order_by("selector"))


def public_keys(domain_id: str) -> list[records.PublicKey]:
    return [records.PublicKey(one.selector, one.public_key) for one in published_keys(domain_id)]


def plan(domain: Domain) -> list[records.Record]:
    """Every record of the domain as it should be today."""
    centre = servers(settings.BEFFROI)
    return records.plan(domain.name, centre, choices(domain.id), public_keys(domain.id))


def own_records(domain: Domain) -> list[records.Record]:
    """What the Département's own zones must say about the domain."""
    return records.own_records(
        [domain.name], servers(settings.BEFFROI), {domain.name: public_keys(domain.id)}
    )


def sts_policy(name: str) -> str:
    """The MTA-STS policy of an enrolled domain; empty for any other name."""
    domain = communes.current_domains().filter(name=name).first()
    return records.sts_policy(servers(settings.BEFFROI), choices(domain.id)) if domain else ""


def is_enrolled(name: str) -> bool:
    return communes.collectivite_of_domain(name) is not None


def signing_keys(config: Config) -> Iterator[SigningKey]:
    """The key that signs now, for each domain that has one, by domain; without its private half where it does not
    open."""
    names = dict(communes.current_domains().values_list("id", "name"))
    rows = DkimKey.objects.filter(state=DkimKey.State.ACTIVE)
    for row in sorted(rows, key=lambda one: names.get(one.domain_id, "")):
        if row.domain_id not in names:
            continue
        private = None
        with suppress(envelopes.KeyUnreadable):
            private = private_key(config, row)
        yield SigningKey(names[row.domain_id], row.selector, private)


def private_key(config: Config, row: DkimKey) -> str:
    """PEM. Errors: KeyUnreadable."""
    outer = keys.commune_key(config, row.collectivite_id)
    return envelopes.unwrap(outer, row.wrapped, row.id).decode()


def last_check(domain_id: str) -> DomainCheck | None:
    return DomainCheck.objects.filter(domain_id=domain_id).order_by("-day").first()


def is_delegated(domain_id: str) -> bool:
    """The last check saw the delegation to the Département's name servers in place."""
    last = last_check(domain_id)
    return last is not None and last.items.get("delegation", [""])[0] == "ok"


def visible_checks(actor: Actor) -> QuerySet[DomainCheck]:
    """The last check of each domain that the actor may see."""
    owned = communes.visible_domains(actor).values("id")
    last = DomainCheck.objects.filter(domain_id__in=owned).values("domain_id").annotate(last=Max("pk"))
    return DomainCheck.objects.filter(pk__in=last.values("last"))


def alarms(actor: Actor) -> list[DomainCheck]:
    """The last checks of domains that lost something that had been well."""
    return [one for one in visible_checks(actor) if one.lost]

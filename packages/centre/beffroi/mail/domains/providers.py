"""Providers of domains whose interface dns-lexicon speaks, and what each asks for. Pure.

Purpose: one row a provider: words for its form, what lexicon needs, and where its interface differs.
Limits:  only those whose driver can say every record of our plan (MX and SRV with their numbers). Ionos is not here:
         its driver sets every priority to 0.
Source:  dns-lexicon 3.25, ``lexicon/_private/providers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MAX_SECRET_CHARS = 400


class Apex(StrEnum):
    """How a driver wants the name of the zone itself, and of what stands below."""

    FULL = "full"
    AT_SIGN = "@"
    EMPTY = ""


@dataclass(frozen=True)
class Field:
    """``key``: lexicon's; ``label``: as the provider's own pages call it."""

    key: str
    label: str


@dataclass(frozen=True)
class Provider:
    """``where``: the page that makes a key; ``fixed``: options that are always the same; ``quoted``: a TXT is handed
    over in quotes; ``sets``: its interface replaces all records of a name and type at once."""

    name: str
    label: str
    fields: tuple[Field, ...]
    where: str
    fixed: Mapping[str, str]
    apex: Apex = Apex.FULL
    quoted: bool = True
    sets: bool = False


PROVIDERS = {
    one.name: one
    for one in (
        Provider(
            "ovh",
            "OVHcloud",
            (
                Field("auth_application_key", "Application Key"),
                Field("auth_application_secret", "Application Secret"),
                Field("auth_consumer_key", "Consumer Key"),
            ),
            "https://eu.api.ovh.com/createToken/?GET=/domain/zone/*&POST=/domain/zone/*&PUT=/domain/zone/*"
            "&DELETE=/domain/zone/*",
            {"auth_entrypoint": "ovh-eu"},
        ),
        Provider(
            "gandi",
            "Gandi",
            (Field("auth_token", "Personal Access Token"),),
            "https://admin.gandi.net/organizations/account/pat",
            {"api_protocol": "rest"},
            apex=Apex.AT_SIGN,
            sets=True,
        ),
        Provider(
            "infomaniak",
            "Infomaniak",
            (Field("auth_token", "Token d’API (domain)"),),
            "https://manager.infomaniak.com/v3/ng/accounts/token/list",
            {},
            quoted=False,
        ),
        Provider(
            "scaleway",
            "Scaleway",
            (Field("auth_secret_key", "Secret Key"),),
            "https://console.scaleway.com/iam/api-keys",
            {},
            apex=Apex.EMPTY,
        ),
        Provider("powerdns", "PowerDNS", (Field("auth_token", "X-API-Key"),), "", {}),
    )
}


def offered(*, powerdns: bool) -> list[Provider]:
    """``powerdns``: the centre knows a server of that kind (setting ``powerdns_api``)."""
    return [one for one in PROVIDERS.values() if powerdns or one.name != "powerdns"]


def credentials(provider: Provider, given: Mapping[str, object]) -> dict[str, str]:
    """What the form asked for and nothing else; empty where something is missing or cannot be a key."""
    found = {}
    for field in provider.fields:
        value = given.get(field.key)
        text = value.strip() if isinstance(value, str) else ""
        if not text or len(text) > MAX_SECRET_CHARS or not text.isascii() or not text.isprintable():
            return {}
        found[field.key] = text
    return found

"""What packages for the archives say of a sealed folder: of a SEDA transfer what a form says, as a commune and its
archive service agreed upon.

Process: web, which says at the field what is wrong; drive, which makes the package of it.
Hostile: the form.
Source:  docs/internals/drive-archives.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal, cast

from beffroi.drive.archives import bagit, retention, seda
from beffroi.drive.store.seals import Seal
from beffroi.lib import clock

MOST_CHARS = 200
VERSIONS = ("2.2", "2.1", "2.3")
"""The usual one first."""
_SCHEMES = ("SIREN", "INSEE", "agreed")

type Fault = seda.Fault | Literal["unknown"]


def typed(form: Mapping[str, str]) -> dict[str, str]:
    """Each field as it counts."""
    return {name: value.strip()[:MOST_CHARS] for name, value in form.items()}


def wrong(about: Mapping[str, str]) -> dict[str, Fault]:
    """Fields that no transfer can be made with, by name, and why; "unknown": none of those there are."""
    own_scheme, version = about.get("own_scheme", ""), about.get("version", VERSIONS[0])
    found: dict[str, Fault] = {
        "own_scheme": "" if own_scheme in _SCHEMES else "unknown",
        "own": _own(about).fault if own_scheme in _SCHEMES else "",
        **_wrong_producer(about),
        "service": _service(about).fault,
        "version": "" if version in VERSIONS else "unknown",
    }
    return {name: why for name, why in found.items() if why}


def of(seal: Seal, about: Mapping[str, str], first: date, last: date) -> seda.Transfer:
    """``first``, ``last``: days of the documents. Errors: TransferInvalid."""
    faults = wrong(about)
    if faults:
        raise seda.TransferInvalid(", ".join(f"{name} ({why})" for name, why in faults.items()))
    rule = retention.TABLE.get(seal.rule)
    return seda.Transfer(
        identifier=seal.id,
        at=clock.now(),
        title=seal.name,
        document_type=rule.title if rule else seal.name,
        first=first,
        last=last,
        archival=_service(about),
        transferring=_own(about),
        originating=_producer(about),
        agreement=about.get("agreement", ""),
        appraisal=seda.Rule(about["dua"], last) if about.get("dua") else None,
        final="Destroy" if rule is not None and rule.final == "destroy" else "Keep",
        access=seda.Rule(about["access"], last) if about.get("access") else None,
        version=cast(seda.Version, about.get("version", VERSIONS[0])),
    )


def bag(seal: Seal, organisation: str, producer: str = "") -> bagit.About:
    """``producer``: who made the documents, where that is called otherwise than who transfers them; else ""."""
    description = f"{seal.name} (producteur : {producer})" if producer else seal.name
    return bagit.About(seal.name, organisation, description, seal.id, clock.now().date())


def _own(about: Mapping[str, str]) -> seda.Agency:
    scheme = cast(seda.Scheme, about.get("own_scheme", ""))
    return seda.Agency(about.get("own", ""), scheme, about.get("organisation", ""))


def _wrong_producer(about: Mapping[str, str]) -> dict[str, Fault]:
    if "producer_scheme" not in about:
        return {}
    if about["producer_scheme"] not in _SCHEMES:
        return {"producer_scheme": "unknown"}
    return {"producer": _producer(about).fault}


def _producer(about: Mapping[str, str]) -> seda.Agency:
    """Who made the documents, where that is called otherwise than who transfers them: a commune was renamed since."""
    if "producer_scheme" not in about:
        return _own(about)
    scheme = cast(seda.Scheme, about["producer_scheme"])
    return seda.Agency(about.get("producer", ""), scheme, about.get("producer_name", ""))


def _service(about: Mapping[str, str]) -> seda.Agency:
    return seda.Agency(about.get("service", ""), "agreed", about.get("service_name", ""))

"""The floor list as a table of cases: what may be blocked, and what never."""

from __future__ import annotations

import hashlib
import ipaddress

import pytest
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.protected import Floor, reason_protected
from beffroi_protocol.protected_lists import GIANTS, PLATFORMS, PUBLIC_SERVICES, SHARED_SERVICES
from hypothesis import given, settings
from hypothesis import strategies as st

NEVER = [
    ("domain", "gouv.fr"),
    ("domain", "impots.gouv.fr"),
    ("domain", "cfspro.impots.gouv.fr"),
    ("domain", "service-public.fr"),
    ("domain", "ameli.fr"),
    ("domain", "caf.fr"),
    ("domain", "francetravail.fr"),
    ("domain", "urssaf.fr"),
    ("domain", "mon-entreprise.fr"),
    ("domain", "www.dsn-info.fr"),
    ("domain", "chorus-pro.gouv.fr"),
    ("domain", "legifrance.gouv.fr"),
    ("domain", "www.laposte.fr"),
    ("domain", "cnil.fr"),
    ("domain", "cert.ssi.gouv.fr"),
    ("domain", "banque-france.fr"),
    ("domain", "sdis21.fr"),
    ("domain", "ac-dijon.fr"),
    ("domain", "megalis.bretagne.bzh"),
    ("domain", "bretagne.bzh"),  # a parent of a protected name
    ("domain", "co.uk"),
    ("domain", "com.fr"),
    ("domain", "uk.com"),
    ("domain", "fonts.googleapis.com"),
    ("domain", "login.microsoftonline.com"),
    ("domain", "windows.net"),
    ("domain", "core.windows.net"),
    ("domain", "blob.core.windows.net"),
    ("domain", "s3.eu-west-3.amazonaws.com"),
    ("domain", "sqs.eu-west-3.amazonaws.com"),
    ("domain", "cloudfront.net"),
    ("domain", "e123.a.akamaiedge.net"),
    ("domain", "github.com"),
    ("domain", "orange.fr"),
    ("domain", "free.fr"),
    ("domain", "smtp.free.fr"),
    ("domain", "blogspot.com"),
    ("domain", "azurewebsites.net"),
    ("domain", "weebly.com"),
    ("domain", "yousign.app"),
    ("domain", "app.yousign.com"),
    ("domain", "www.swisstransfer.com"),
    ("domain", "www.grosfichiers.com"),
    ("domain", "app.panneaupocket.com"),
    ("domain", "station.illiwap.com"),
    ("domain", "www.doctolib.fr"),
    ("domain", "www.marches-securises.fr"),
    ("domain", "www.e-marchespublics.com"),
    ("domain", "app.ar24.fr"),
    ("domain", "framaforms.org"),
    ("domain", "mensuel.framapad.org"),
    ("domain", "frama.space"),
    ("domain", "dl.free.fr"),
    ("domain", "form.jotform.com"),
    ("domain", "eu.docusign.net"),
    ("domain", "app.box.com"),
    ("domain", "us13.list-manage.com"),
    ("domain", "r.us-east-1.awstrack.me"),
    ("domain", "linkprotect.cudasvc.com"),
    ("domain", "www.demarches-simplifiees.fr"),
    ("url", "https://www.swisstransfer.com/"),
    ("url", "https://www.impots.gouv.fr/particulier"),
    ("url", "https://www.laposte.fr/"),
    ("url", "https://filesender.renater.fr"),
    ("domain", "filesender.renater.fr"),
    ("sender", "ne-pas-repondre@laposte.fr"),
    ("url", "https://user@ameli.fr/x"),
    ("url", "https://github.com/"),  # the home page is the site
    ("url", "https://blogspot.com"),
    ("url", "http://192.168.1.1/admin"),
    ("url", "http://2130706433/"),
    ("sender", "ne-pas-repondre@dgfip.finances.gouv.fr"),
    ("sender", "noreply@wetransfer.com"),
    ("sender", "comments-noreply@docs.google.com"),
    ("ip", "10.1.2.3"),
    ("ip", "127.0.0.1"),
    ("ip", "0.0.0.0"),
    ("ip", "100.64.3.4"),
    ("ip", "169.254.169.254"),
    ("ip", "192.0.2.7"),
    ("ip", "224.0.0.251"),
    ("ip", "255.255.255.255"),
    ("ip", "1.1.1.1"),
    ("ip", "194.0.9.1"),
    ("ip", "192.5.6.30"),
    ("ip", "2001:503:a83e::2:30"),
    ("cidr", "199.19.56.0/24"),
    ("ip", "80.67.169.12"),
    ("ip", "::1"),
    ("ip", "::ffff:10.0.0.1"),
    ("ip", "fe80::1"),
    ("ip", "fd00::1"),
    ("ip", "ff02::1"),
    ("ip", "64:ff9b::808:808"),
    ("ip", "2002:808:808::1"),
    ("ip", "2001:db8::1"),
    ("ip", "2001:4860:4860::8888"),
    ("cidr", "0.0.0.0/0"),
    ("cidr", "51.15.0.0/16"),
    ("cidr", "51.15.0.0/23"),
    ("cidr", "1.1.1.0/24"),
    ("cidr", "8.8.8.8/31"),
    ("cidr", "::/0"),
    ("cidr", "2a01:e0a::/32"),
    ("cidr", "2001:500:2::/48"),
    ("sha256", hashlib.sha256(b"").hexdigest()),
    ("sketch", "0" * 16),
]
FREE = [
    ("domain", "impots-gouv.fr"),
    ("domain", "gouv.fr.secure-login.com"),
    ("domain", "ameli-remboursement.com"),
    ("domain", "lure.azurewebsites.net"),
    ("domain", "lure.blogspot.com"),
    ("domain", "a.b.weebly.com"),
    ("domain", "lure.z6.web.core.windows.net"),
    ("domain", "bucket.s3.eu-west-3.amazonaws.com"),
    ("domain", "d111111abcdef8.cloudfront.net"),
    ("domain", "monmail.free.fr"),
    ("domain", "mairie.example.co.uk"),
    ("domain", "notgithub.com"),
    ("domain", "leurre.frama.space"),
    ("domain", "leurre.us13.list-manage.com"),
    ("domain", "contoso.sharepoint.com"),
    ("domain", "swisstransfer.example.com"),
    ("url", "https://www.swisstransfer.com/d/0b1c"),
    ("url", "https://yousign.app/signatures/0b1c?s=1"),
    ("url", "https://www.canva.com/design/DAF/view"),
    ("sender", "comptabilite@segilog.com"),
    ("url", "https://docs.google.com/forms/d/e/1FAI/viewform"),
    ("url", "https://lure.blogspot.com/"),
    ("url", "https://gouv.fr.evil.com/x"),
    ("url", "https://www.laposte.fr/redirection?u=https://evil.example.com/"),
    ("url", "https://filesender.renater.fr/?s=download&token=0b1c"),
    ("url", "https://nuage.ac-dijon.fr/s/0b1c"),
    ("url", "http://51.15.3.2/"),
    ("sender", "facture@gmail.com"),
    ("sender", "a@gouv.fr.evil.com"),
    ("ip", "51.15.3.2"),
    ("ip", "2a01:e0a::1"),
    ("cidr", "51.15.3.0/24"),
    ("cidr", "2a01:e0a:1::/48"),
    ("sha256", "a" * 64),
    ("sketch", "0123456789abcdef"),
]


@pytest.mark.parametrize(("kind", "value"), NEVER)
def test_a_protected_indicator_is_refused_with_a_reason(kind: str, value: str) -> None:
    assert reason_protected(normalise(kind, value))


@pytest.mark.parametrize(("kind", "value"), FREE)
def test_an_attackers_indicator_may_be_blocked(kind: str, value: str) -> None:
    assert reason_protected(normalise(kind, value)) == ""


@pytest.mark.parametrize("name", ["fr", "com", "localhost", ""])
def test_a_name_of_one_label_is_never_blocked(name: str) -> None:
    assert reason_protected(Indicator(Kind.DOMAIN, name))


@pytest.mark.parametrize(
    ("kind", "value", "refused"),
    [
        ("domain", "cloud.cotedor.fr", True),
        ("domain", "mx.cloud.cotedor.fr", True),
        ("domain", "cotedor.fr", True),
        ("domain", "loud.cotedor.fr", False),
        ("url", "https://cloud.cotedor.fr/page", True),
        ("url", "https://cotedor.fr/page", False),
        ("sender", "mairie@sub.cloud.cotedor.fr", True),
        ("domain", "mairie-dété.fr", True),
        ("domain", "rue-straße.fr", True),
        ("domain", "rue-strasse.fr", False),  # somebody else's since IDNA 2008
        ("ip", "51.15.9.9", True),
        ("cidr", "51.15.9.0/24", True),
        ("ip", "51.15.10.9", False),
        ("ip", "2a01:e0a:5::1", True),
    ],
)
def test_extra_names_and_networks_are_protected_too(kind: str, value: str, refused: bool) -> None:
    reason = reason_protected(
        normalise(kind, value),
        extra_names=("Cloud.CoteDor.fr.", "mairie-dété.fr", "rue-straße.fr", "localhost"),
        extra_networks=("51.15.9.8/29", "2a01:e0a:5::/48"),
    )
    assert bool(reason) is refused


@pytest.mark.parametrize(
    "extra", [{"extra_names": ["a..b"]}, {"extra_names": [""]}, {"extra_networks": ["x"]}]
)
def test_an_unreadable_extra_is_an_error_not_a_hole(extra: dict[str, list[str]]) -> None:
    with pytest.raises(IndicatorInvalid):
        reason_protected(Indicator(Kind.IP, "51.15.3.2"), **extra)


def test_what_cannot_be_read_is_not_enforced() -> None:
    for kind in (Kind.IP, Kind.CIDR, Kind.URL):
        assert reason_protected(Indicator(kind, "evil")) == "cannot be read"


def test_every_listed_name_is_spelt_as_indicators_are() -> None:
    for name in PUBLIC_SERVICES | GIANTS | PLATFORMS:
        assert name == "bnpparibas" or normalise(Kind.DOMAIN, name).value == name


names = st.sampled_from(sorted(PUBLIC_SERVICES | GIANTS | PLATFORMS))
labels = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)


@given(names, st.lists(labels, max_size=3))
@settings(deadline=None)
def test_no_block_takes_a_listed_name_with_it(name: str, above: list[str]) -> None:
    """Whatever domain is free, no listed name is it or stands under it."""
    labels_of_name = name.split(".")
    for i in range(len(labels_of_name)):
        assert reason_protected(Indicator(Kind.DOMAIN, ".".join(labels_of_name[i:])))
    under = ".".join((*above, name))
    if name in PUBLIC_SERVICES:
        assert reason_protected(Indicator(Kind.DOMAIN, under))


@given(st.integers(0, 2**32 - 1), st.integers(24, 32))
@settings(deadline=None)
def test_a_free_network_holds_no_special_address(number: int, length: int) -> None:
    network = ipaddress.ip_network((number, length), strict=False)
    if reason_protected(Indicator(Kind.CIDR, str(network))) == "":
        assert network.is_global
        assert not network.is_multicast
        for text, _ in SHARED_SERVICES:
            listed = ipaddress.ip_network(text)
            assert listed.version != 4 or not listed.overlaps(network)


@given(st.integers(0, 2**128 - 1))
@settings(deadline=None)
def test_a_free_address_of_the_sixth_version_is_global(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    if reason_protected(Indicator(Kind.IP, str(address))) == "":
        assert address.is_global


@given(st.sampled_from(list(Kind)), st.text(max_size=40))
@settings(deadline=None)
def test_hostile_values_never_raise(kind: Kind, value: str) -> None:
    assert isinstance(Floor(["a.fr"]).reason(Indicator(kind, value)), str)

"""The records of a mail domain: what they say, how they are written out, and that a zone file reads back."""

from __future__ import annotations

import re
from dataclasses import replace

import dns.rdatatype
import dns.zone
import pytest
from beffroi.mail.domains import dkim, records, zone
from beffroi.mail.domains.records import Choices, PublicKey, Purpose, Record, Servers

CENTRE = Servers(
    mx="mx.cloud.example",
    front="portail.cloud.example",
    imaps_port=993,
    submission_port=587,
    submissions_port=465,
    sieve_port=4190,
    reports="rapports@cloud.example",
    caa=("letsencrypt.org",),
)
FIRST = Choices()
KEYS = [PublicKey("beffroi1", "A" * 392), PublicKey("beffroi2", "B" * 392)]


def plan(choices: Choices = FIRST, servers: Servers = CENTRE) -> dict[Purpose, list[Record]]:
    found: dict[Purpose, list[Record]] = {}
    for one in records.plan("mairie.example", servers, choices, KEYS):
        found.setdefault(one.purpose, []).append(one)
    return found


def _read(text: str) -> dns.zone.Zone:
    return dns.zone.from_text(text, relativize=False, check_origin=False)


def test_a_domain_has_a_record_for_every_purpose() -> None:
    found = plan()
    assert set(found) == set(Purpose) - {Purpose.REPORTS, Purpose.DELEGATION}
    assert found[Purpose.MX][0].data == "10 mx.cloud.example."
    assert found[Purpose.SPF][0].data == "v=spf1 mx -all"
    assert [one.name for one in found[Purpose.DKIM]] == [
        "beffroi1._domainkey.mairie.example",
        "beffroi2._domainkey.mairie.example",
    ]
    assert found[Purpose.STS_HOST][0].data == "portail.cloud.example."
    assert found[Purpose.SRV_IMAPS][0].data == "0 1 993 mx.cloud.example."
    assert found[Purpose.SRV_SUBMISSIONS][0].data == "0 1 465 mx.cloud.example."
    assert found[Purpose.SRV_SIEVE][0].rdata == "0 1 4190 mx.cloud.example."
    assert found[Purpose.SRV_SIEVE][0].name == "_sieve._tcp.mairie.example"
    assert found[Purpose.CAA][0].data == '0 issue "letsencrypt.org"'


@pytest.mark.parametrize("policy", ["none", "quarantine", "reject"])
def test_the_policy_stands_first_in_dmarc(policy: str) -> None:
    text = plan(Choices(dmarc=policy))[Purpose.DMARC][0].data
    assert text == f"v=DMARC1; p={policy}; rua=mailto:rapports@cloud.example"


def test_while_mailboxes_are_moved_our_server_alone_takes_mail_and_doubt_is_soft() -> None:
    found = plan(Choices(old_mx="mx.old.example", also_sends=("include:spf.old.example",)))
    assert [one.data for one in found[Purpose.MX]] == ["10 mx.cloud.example."]
    assert found[Purpose.SPF][0].data == "v=spf1 mx include:spf.old.example ~all"
    policy = records.sts_policy(CENTRE, Choices(old_mx="mx.old.example"))
    assert "mx: mx.cloud.example\r\nmax_age:" in policy


def test_the_id_of_the_policy_changes_with_the_policy_alone() -> None:
    ids = {plan(Choices(sts=mode))[Purpose.STS][0].data for mode in ("testing", "enforce")}
    assert len(ids) == 2
    assert plan(Choices(dmarc="reject"))[Purpose.STS][0].data in ids
    assert all(re.fullmatch(r"v=STSv1; id=[A-Za-z0-9]{1,32};", one) for one in ids)
    assert Purpose.STS not in plan(Choices(sts="none"))
    assert Purpose.STS_HOST not in plan(Choices(sts="none"))


def test_where_our_zone_holds_the_keys_the_commune_only_points_to_it() -> None:
    ours = replace(CENTRE, dkim_zone="dkim.cloud.example")
    found = plan(servers=ours)
    assert {one.type for one in found[Purpose.DKIM]} == {"CNAME"}
    held = records.own_records(["mairie.example"], ours, {"mairie.example": KEYS})
    assert {one.data.rstrip(".") for one in found[Purpose.DKIM]} == {
        one.name for one in held if one.purpose is Purpose.DKIM
    }
    assert [(one.name, one.data) for one in held if one.purpose is Purpose.REPORTS] == [
        ("mairie.example._report._dmarc.cloud.example", "v=DMARC1")
    ]


def test_the_zone_file_reads_back_as_the_records_say() -> None:
    planned = records.plan("mairie.example", CENTRE, Choices(), KEYS)
    read = _read(zone.zone_file("mairie.example", planned))
    for one in planned:
        found = read.find_rdataset(f"{one.name}.", one.type)
        assert found.ttl == one.ttl_s
        if one.type == "TXT":
            texts = [b"".join(row.strings).decode() for row in found]
            assert one.data in texts
            assert all(len(part) <= 255 for row in found for part in row.strings)
        else:
            assert one.data in [row.to_text() for row in found]
    assert sum(len(found) for _, found in read.iterate_rdatasets()) == len(planned)


def test_a_long_text_is_shown_whole_and_in_strings_that_forms_take() -> None:
    lines = zone.lines("mairie.example", records.plan("mairie.example", CENTRE, Choices(), KEYS))
    key = next(one for one in lines if one.host == "beffroi1._domainkey")
    assert key.value == f"v=DKIM1; k=rsa; p={'A' * 392}"
    parts = re.findall(r'"([^"]*)"', key.strings)
    assert [len(part) for part in parts] == [255, len(key.value) - 255]
    assert "".join(parts) == key.value
    assert next(one for one in lines if one.type == "MX").host == "@"
    assert not next(one for one in lines if one.value.startswith("v=spf1")).strings


def test_a_key_pair_is_rsa_of_2048_bits_and_fits_its_column() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pair = dkim.new_pair()
    private = load_pem_private_key(pair.private, None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.key_size == 2048
    assert len(pair.public) < 600


def test_quotes_and_backslashes_cannot_leave_a_string() -> None:
    record = Record("a.example", "TXT", 'say "so" \\ more', Purpose.SPF)
    found = _read(zone.zone_file("a.example", [record])).find_rdataset("a.example.", "TXT")
    assert [b"".join(row.strings).decode() for row in found] == ['say "so" \\ more']
    assert dns.rdatatype.to_text(found.rdtype) == "TXT"

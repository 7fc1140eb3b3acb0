"""Which validated ROA payloads lie over an address."""

from __future__ import annotations

from beffroi.mail.domains.rpki import covering

CSV = """ASN,IP Prefix,Max Length,Trust Anchor,Expires
AS64500,9.9.9.0/24,24,ripe,1790000000
AS64501,9.0.0.0/8,9,arin,1790000000
AS64502,9.9.8.0/24,24,ripe,1790000000
64503,2620:fe::/48,48,arin,1790000000
AS64504,2620:fe:0:1::/64,64,arin,1790000000
AS64505,0.0.0.0/0,0,x,1
ASx,9.9.9.0/24,24,x,1
AS64506,9.9.9.0/24,many,x,1
AS64507
"""


def test_every_prefix_over_the_address_is_found_and_no_other() -> None:
    found = covering(["9.9.9.9", "2620:fe::9", "192.0.32.1"], CSV.splitlines())
    assert {
        address: {(one.asn, str(one.prefix), one.longest) for one in over} for address, over in found.items()
    } == {
        "9.9.9.9": {(64500, "9.9.9.0/24", 24), (64501, "9.0.0.0/8", 9), (64505, "0.0.0.0/0", 0)},
        "2620:fe::9": {(64503, "2620:fe::/48", 48)},
        "192.0.32.1": {(64505, "0.0.0.0/0", 0)},
    }

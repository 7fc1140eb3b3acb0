"""Wrote the golden files of version 1, once. Not run by tests: the files stand as they were written.

A change of the protocol that makes these files unreadable breaks every box in the field. For version 2, add
a directory beside this one; never write these files anew.
"""

from __future__ import annotations

from pathlib import Path

from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.messages import Action, Batch, BulkList, Entry, Policy, PolicyMessage, Snapshot
from beffroi_protocol.signing import Signer, delegate, payload_hash, public_bytes, split_line
from beffroi_protocol.table import DecisionTable
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

T0 = 1_800_000_000
END = T0 + 365 * 86400
ROOT, FEED = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))


def entry(number: int, kind: Kind, value: str, action: Action = Action.BLOCK) -> Entry:
    return Entry(f"dec_{number:026}", Indicator(kind, value), action, END, "campaign")


def main() -> None:
    here = Path(__file__).parent
    signer = Signer(FEED)
    every_kind = (
        entry(1, Kind.IP, "51.15.3.2"),
        entry(2, Kind.CIDR, "2a01:e0a:1::/48"),
        entry(3, Kind.DOMAIN, "evil.com"),
        entry(4, Kind.URL, "https://evil.com/x?y=1"),
        entry(5, Kind.SHA256, "ab" * 32, Action.QUARANTINE),
        entry(6, Kind.SENDER, "facture@evil.com", Action.WARN),
        entry(7, Kind.SKETCH, "0123456789abcdef", Action.THROTTLE),
    )
    lists = (BulkList("urlhaus", Kind.DOMAIN, "cd" * 32, 1234, 56),)
    snapshot = signer.line(
        Snapshot(1, "mail", 3, 10, T0, T0 + 86400, "ef" * 32, every_kind, lists, "aa" * 32)
    )
    batch = signer.line(
        Batch(1, "mail", 3, 10, 11, T0 + 1, T0 + 86401, "ef" * 32,
              (entry(8, Kind.IP, "2a01:e0a:2::1"),), (every_kind[0].id,), lists, "bb" * 32)
    )  # fmt: skip
    head = payload_hash(split_line(batch)[2])
    beat = signer.line(Batch(1, "mail", 3, 11, 11, T0 + 21, T0 + 86421, head, audit_head="cc" * 32))
    policy = signer.line(
        PolicyMessage(1, "col_00000000000000000000000001", 4, T0, Policy(
            "router", True, True, ("192.168.1.9",), (443,), ("cloud.cotedor.fr",), ("51.15.9.9",),
            ("mairie-a.fr",), ("51.15.9.0/29",)), "adm_00000000000000000000000001")
    )  # fmt: skip
    table = DecisionTable("mail")
    files = {
        "delegation": delegate(ROOT, public_bytes(FEED), serial=1, not_before=T0 - 3600, not_after=END),
        "snapshot": snapshot,
        "batch": batch,
        "heartbeat": beat,
        "policy": policy,
    }
    for name, line in files.items():
        (here / f"{name}.line").write_bytes(line + b"\n")
    from beffroi_protocol.messages import decode_feed

    for line in (snapshot, batch, beat):
        payload = split_line(line)[2]
        message = decode_feed(payload)
        assert isinstance(message, Batch | Snapshot)
        table.apply(message, payload)
    (here / "mail.state").write_bytes(table.dump())


if __name__ == "__main__":
    main()

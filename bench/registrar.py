"""`python -m bench.registrar COUNT`: enter simulated boxes in the centre's database, each in a collectivité of its own.

Process: the centre's Python user, once, before `bench fanout`; prints one JSON object: the pinned root of the feed, and
         a box a row with its private key. Keys exist for this run alone.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django

django.setup()

from beffroi.boxes.models import Box
from beffroi.core.planes.follower import pinned_root
from beffroi.lib.config import load
from beffroi.lib.ids import new_id
from beffroi_protocol.signing import b64, fingerprint, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def register(count: int) -> dict[str, Any]:
    rows, boxes = [], []
    for number in range(count):
        key = Ed25519PrivateKey.generate()
        public = public_bytes(key)
        row = Box(
            id=new_id("box"),
            collectivite_id=new_id("col"),
            serial=f"bench-{number}",
            public_key=b64(public),
            fingerprint=fingerprint(public),
            state=Box.State.ACTIVE,
        )
        rows.append(row)
        boxes.append((row.id, row.collectivite_id, b64(key.private_bytes_raw())))
    Box.objects.bulk_create(rows, batch_size=500)
    return {"root": b64(pinned_root(load())), "boxes": boxes}


if __name__ == "__main__":
    print(json.dumps(register(int(sys.argv[1]))))

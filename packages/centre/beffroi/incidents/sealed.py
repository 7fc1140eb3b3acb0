"""A file of an incident, or of an erased mailbox, that can be checked without this centre: parts, their SHA-256, a
signed manifest. Pure.

Purpose: a complaint needs to show that nothing was changed since; ``sha256sum -c`` and ``openssl`` are enough for it.
Format:  ZIP. ``empreintes.sha256`` as sha256sum writes it; ``manifeste.json`` names every part with size and hash, the
         incident, the time, and the head of the audit log; ``manifeste.sig`` is Ed25519 over the manifest's bytes, by
         the centre's audit key. A manifest begins with its own mark, so it is no statement about the log.
Fails:   closed: without the key there is no file.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MARK = "incident-file/1"
MANIFEST, SIGNATURE, KEY, SUMS = "manifeste.json", "manifeste.sig", "cle-publique.pem", "empreintes.sha256"


def pack(
    parts: Mapping[str, bytes],
    *,
    subject: Mapping[str, str],
    at: datetime,
    audit_head: str,
    key: Ed25519PrivateKey,
    mark: str = MARK,
) -> bytes:
    """Return the ZIP. ``parts``: content by name; ``subject``: of what it is the file, by a name of its identifier;
    ``mark``: what kind of file."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(parts.items())}
    manifest = {
        "beffroi": mark,
        **subject,
        "made_at": at.isoformat(timespec="seconds"),
        "audit_head": audit_head,
        "parts": [
            {"name": name, "sha256": digest, "size_bytes": len(parts[name])}
            for name, digest in hashes.items()
        ],
    }
    signed = (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    sums = "".join(f"{digest}  {name}\n" for name, digest in hashes.items()).encode()
    whole = {**parts, MANIFEST: signed, SIGNATURE: key.sign(signed), KEY: public, SUMS: sums}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(whole):
            info = zipfile.ZipInfo(name, at.timetuple()[:6])
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, whole[name])
    return out.getvalue()

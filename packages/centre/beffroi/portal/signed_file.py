"""A file that is checked without this centre: a page to print, the same as data, their SHA-256, a signed manifest.

Purpose: a complaint, or the record of an erasure, needs to show that nothing was changed since; ``sha256sum -c`` and
         ``openssl`` are enough for it.
Format:  ZIP. ``empreintes.sha256`` as sha256sum writes it; ``manifeste.json`` names every part with size and hash, of
         what it is the file, the time, and the head of the audit log; ``manifeste.sig`` is Ed25519 over the manifest's
         bytes, by the centre's audit key. A manifest begins with its own mark, so it is no statement about the log.
Fails:   closed: without the key there is no file.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from beffroi.core.audit import queries as audit
from beffroi.core.audit import signing
from beffroi.lib.unseen import CONTROLS, DIRECTION, HALVES, LINE_ENDS, TURNING, ZERO_WIDTH

MANIFEST, SIGNATURE, KEY, SUMS = "manifeste.json", "manifeste.sig", "cle-publique.pem", "empreintes.sha256"
VERIFY = """
Vérifier que rien n'a changé depuis :
  sha256sum -c empreintes.sha256
  openssl pkeyutl -verify -pubin -inkey cle-publique.pem -rawin -in manifeste.json -sigfile manifeste.sig
La clé publique est celle du journal du centre ; le Département la confirme par un autre moyen.
"""
"""What every LISEZMOI.txt says of these names."""


_UNSEEN = re.compile(rf"(?![\t\n])[{CONTROLS}{LINE_ENDS}{DIRECTION}{TURNING}{ZERO_WIDTH}{HALVES}]")


def _seen(data: Any) -> Any:
    """For a page that is printed, where nothing is looked at twice: what is not seen is named. The data has it as it
    is."""
    if isinstance(data, str):
        return _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", data)
    if isinstance(data, Mapping):
        return {_seen(name): _seen(value) for name, value in data.items()}
    return [_seen(one) for one in data] if isinstance(data, list | tuple) else data


def pack(
    mark: str,
    subject: Mapping[str, str],
    data: Mapping[str, Any],
    *,
    name: str,
    read_me: str,
    at: datetime,
    template: str = "",
    evidence: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return the ZIP. ``mark``: what kind of file; ``subject``: of what it is the file, by a name of its identifier;
    ``name``: of the parts that hold ``data``, as JSON and, where there is a ``template``, as a page in French.

    Errors: SettingInvalid (no key).
    """
    key = signing.private_key(settings.BEFFROI)
    parts = {"LISEZMOI.txt": read_me.encode(), f"{name}.json": _json(data), **(evidence or {})}
    if template:
        with translation.override("fr"):
            parts[f"{name}.html"] = render_to_string(template, {"file": _seen(data)}).encode()
    hashes = {part: hashlib.sha256(content).hexdigest() for part, content in sorted(parts.items())}
    signed = _json(
        {
            "beffroi": mark,
            **subject,
            "made_at": at.isoformat(timespec="seconds"),
            "audit_head": audit.head(),
            "parts": [
                {"name": part, "sha256": digest, "size_bytes": len(parts[part])}
                for part, digest in hashes.items()
            ],
        }
    )
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    sums = "".join(f"{digest}  {part}\n" for part, digest in hashes.items()).encode()
    whole = {**parts, MANIFEST: signed, SIGNATURE: key.sign(signed), KEY: public, SUMS: sums}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in sorted(whole):
            info = zipfile.ZipInfo(part, at.timetuple()[:6])
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, whole[part])
    return out.getvalue()


def _json(data: Mapping[str, Any]) -> bytes:
    # A name may hold half of a pair of UTF-16: JSON has a spelling for it, UTF-8 has none.
    return (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode(errors="backslashreplace")

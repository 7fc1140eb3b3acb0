"""Configuration, rules and files of names of the inspection engine (Suricata 7). Pure but for the files it is given.

Purpose: the name in the first packets of a TLS, HTTP or QUIC connection is compared with the names that the resolver
         refuses: who has an address from elsewhere comes no further.
Names:   a name counts with all below it, so the last 2 to ``DEEPEST`` labels are looked up one after the other, and
         the whole name. A local exception wins over every listed parent, as in the resolver.
Records: of these rules only, over a datagram socket that the agent reads; no other log of Suricata is on.
Fails:   every ``exception-policy`` is "ignore": what the engine cannot read, it lets pass.
Source:  docs.suricata.io 7.0, "Datasets", "Transformations", "Exception policies"; docs/decisions/0021.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

DEEPEST = 8
REFUSED, SPARED, WATCHED, BULK = "refused", "spared", "watched", "bulk"
OWN_SETS = (REFUSED, SPARED, WATCHED)
"""Written by the agent; ``BULK`` is written by the loader."""
REJECT_SID, WATCH_SID = 1000, 2000
_BUFFERS = (("tls", "tls.sni"), ("http", "http.host"), ("quic", "quic.sni"))
QUEUE = 7
"""Number of the kernel's queue."""
_LINE = re.compile(rb"[A-Za-z0-9+/]{4,400}={0,2}\n")


class Order(msgspec.Struct, frozen=True):
    """What the agent wants of the engine. ``sets``: name -> file; ``records``: the socket that takes the records.
    ``turn`` grows with each change of a file."""

    wanted: bool = False
    engine: str = ""
    sets: dict[str, str] = {}
    records: str = ""
    turn: int = 0


class Report(msgspec.Struct, frozen=True):
    """``state``: off, starting, on, or waiting (for the next start). ``damaged``: sets whose file is not sound."""

    state: str = "off"
    trouble: str = ""
    damaged: tuple[str, ...] = ()


def encode_name(name: bytes) -> bytes:
    """Return a canonical name as Suricata reads it from a file and from its socket."""
    return base64.b64encode(name)


def write_set(path: Path, names: Iterable[bytes]) -> int:
    """Replace a file of names by canonical ones; return how many. Errors: OSError, old file kept."""
    temporary, count = path.with_name(path.name + ".new"), 0
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)  # the engine reads it as its own user
            for name in names:
                file.write(encode_name(name) + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)
    return count


def read_set(path: Path) -> Iterator[bytes]:
    """Yield each encoded name. Errors: OSError, ValueError (damaged: Suricata itself would end)."""
    with path.open("rb") as file:
        for line in file:
            if len(line) % 4 != 1 or not _LINE.fullmatch(line):
                raise ValueError("a damaged line")
            yield line[:-1]


def rules() -> str:
    """One rule for each protocol, set and depth: refused ones are reset, observed ones are told."""
    lines: list[str] = []
    for protocol, buffer in _BUFFERS:
        spared = "".join(f" {look}; dataset:isnotset,{SPARED};" for look in _looks(buffer))
        for look in _looks(buffer):
            for name in (REFUSED, BULK):
                sid = REJECT_SID + len(lines)
                lines.append(
                    f'reject {protocol} any any -> any any (msg:"{name}"; {look}; dataset:isset,{name};{spared}'
                    f" sid:{sid};)"
                )
            sid = WATCH_SID + len(lines)
            lines.append(
                f'alert {protocol} any any -> any any (msg:"{WATCHED}"; {look}; dataset:isset,{WATCHED};'
                f" sid:{sid};)"
            )
    return "\n".join(lines) + "\n"


def _looks(buffer: str) -> tuple[str, ...]:
    """The buffer's last labels, in lower case, without a final dot. The dot put in front stays where the pattern does
    not fit, and so equals no name of a set: each listed name is found at its own depth and only there."""
    counts = (*(f"{{{depth - 1}}}" for depth in range(2, DEEPEST + 1)), f"{{{DEEPEST},}}")
    starts = (*("" for _ in range(2, DEEPEST + 1)), "^")
    return tuple(
        rf'{buffer}; dotprefix; to_lowercase; pcrexform:"{start}\.((?:[^.]+\.){count}[^.]+)\.?$"'
        for start, count in zip(starts, counts, strict=True)
    )


def configuration(*, sets: dict[str, Path], directory: Path, records: Path, bulk: int) -> str:
    """Return suricata.yaml. ``sets``: the file of each set; ``bulk``: how many names the lists' set holds."""
    slots = 1 << max(12, min(22, bulk.bit_length()))
    loaded = "".join(
        f"  {name}: {{ type: string, load: {path}, hashsize: {slots if name == BULK else 4096}, memcap: 512mb }}\n"
        for name, path in sets.items()
    )
    return f"""%YAML 1.1
---
# Written by beffroi-box; changes are lost.
default-log-dir: {directory}
default-rule-path: {directory}
rule-files: [ names.rules ]
stats: {{ enabled: no }}
outputs:
  - eve-log:
      enabled: yes
      filetype: unix_dgram
      filename: {records}
      types:
        - alert: {{ metadata: {{ app-layer: yes, flow: no, rule: {{ metadata: no, raw: no }} }}, tagged-packets: no }}
logging:
  default-log-level: warning
  outputs: [ {{ console: {{ enabled: yes }} }} ]
unix-command: {{ enabled: yes, filename: {directory}/command.sock }}
nfq: {{ mode: accept, fail-open: yes, batchcount: 1 }}
max-pending-packets: 1024
exception-policy: ignore
app-layer:
  error-policy: ignore
  protocols:
    tls: {{ enabled: yes, ja3-fingerprints: no, ja4-fingerprints: no, encryption-handling: bypass }}
    http:
      enabled: yes
      libhtp: {{ default-config: {{ personality: IDS, request-body-limit: 4kb, response-body-limit: 4kb }} }}
    quic: {{ enabled: yes }}
stream:
  memcap: 32mb
  checksum-validation: no
  inline: auto
  midstream: yes
  midstream-policy: ignore
  memcap-policy: ignore
  reassembly: {{ memcap: 48mb, depth: 64kb, memcap-policy: ignore }}
flow: {{ memcap: 32mb, hash-size: 16384, prealloc: 500, emergency-recovery: 30, memcap-policy: ignore }}
defrag: {{ memcap: 4mb, memcap-policy: ignore }}
host: {{ hash-size: 1024, prealloc: 100, memcap: 4mb }}
detect: {{ profile: low }}
threading: {{ set-cpu-affinity: no }}
datasets:
  defaults: {{ memcap: 512mb, hashsize: 4096 }}
  limits: {{ total-hashsizes: 16777216, single-hashsize: 8388608 }}
{loaded}security: {{ limit-noproc: true, landlock: {{ enabled: no }} }}
"""

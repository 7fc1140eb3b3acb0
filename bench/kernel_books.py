"""What the kernel has counted for a program and all that it started."""

from __future__ import annotations

import os
from pathlib import Path

from beffroi_lab.topology import memory_bytes

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def named(pids: list[int], name: str) -> list[int]:
    """Those that run under this name."""
    return [pid for pid in pids if _name(pid) == name]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def own_cpu_s(pid: int) -> float:
    """Processor seconds of one process alone. Errors: IndexError when it has ended."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_s(pid: int) -> float:
    """Processor seconds of a family, those included that were waited for."""
    return sum(sum(map(int, fields[11:15])) for one in family(pid) if (fields := _stat(one))) / _TICKS


def mebibytes(pids: list[int]) -> float:
    return round(sum(map(memory_bytes, pids)) / 1024 / 1024, 1)

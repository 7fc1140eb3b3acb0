"""Write docs/reference/errors.md and settings.md from the code; a test fails when they are behind.

    python -m beffroi.lib.reference docs/reference

Process: a developer's machine.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from beffroi_protocol.errors import ProtocolError

from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

_HEAD = (
    "<!-- Written by `python -m beffroi.lib.reference docs/reference`; change the code, not this page. -->\n"
)


def import_all(package: str) -> None:
    """Import every module, so that every error class is known; Django must be set up."""
    root = importlib.import_module(package)
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        parts = found.name.split(".")
        if "migrations" not in parts and "settings" not in parts and parts[-1] != "__main__":
            importlib.import_module(found.name)


def errors_page() -> str:
    """The Markdown page of all error codes, in order of code."""
    lines = [
        _HEAD,
        "# Error codes\n",
        "Codes are stable. `{}` in a message stands for an identifier or a value, never for content.",
        "Retryable: the same request may succeed later without a change.\n",
        "| code | HTTP | retryable | message |",
        "|---|---|---|---|",
    ]
    own: list[type[BeffroiError]] = list(_subclasses(BeffroiError))
    foreign: list[type[ProtocolError]] = list(_subclasses(ProtocolError))
    rows: set[tuple[str, str, int | None, bool]] = {
        (kind.code, _message(kind), kind.http_status, kind.retryable) for kind in own
    } | {(kind.code, _message(kind), None, False) for kind in foreign}
    for code, message, status, retryable in sorted(rows, key=lambda row: row[:2]):
        lines.append(f"| `{code}` | {status or ''} | {'yes' if retryable else ''} | {message} |")
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """The Markdown page of all settings, in order of definition."""
    lines = [
        _HEAD,
        "# Settings\n",
        "In `STATE/beffroi.toml`; every setting has a default. Secrets are files in `STATE/secrets`.\n",
        "| setting | default | bounds | meaning |",
        "|---|---|---|---|",
    ]
    for one in fields(Config):
        meta = one.metadata
        bounds = f"{meta['low']} to {meta['high']}" if meta["low"] is not None else ""
        unit = f" {meta['unit']}" if meta["unit"] else ""
        lines.append(f"| `{one.name}` | `{_shown(one.default)}` | {bounds}{unit} | {meta['doc']} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str | Path) else str(value)


def _message(kind: type[Exception]) -> str:
    return " ".join((kind.__doc__ or "").split()).replace("|", "\\|")


def _subclasses[E: Exception](root: type[E]) -> Iterator[type[E]]:
    yield root
    for child in root.__subclasses__():
        yield from _subclasses(child)


def main(target: Path) -> None:
    import_all("beffroi")
    import_all("beffroi_protocol")
    target.mkdir(parents=True, exist_ok=True)
    (target / "errors.md").write_text(errors_page(), "utf-8")
    (target / "settings.md").write_text(settings_page(), "utf-8")


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beffroi.settings.base")
    django.setup()
    main(Path(sys.argv[1]))

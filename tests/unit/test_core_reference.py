"""The reference pages say what the code says."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from beffroi.lib import reference
from beffroi.lib.config import Config

PAGES = Path(__file__).resolve().parents[2] / "docs" / "reference"
MEND = (
    "run: python -m beffroi.lib.reference docs/reference (with BEFFROI_STATE and DJANGO_SETTINGS_MODULE set)"
)


def test_page_of_error_codes_is_current() -> None:
    reference.import_all("beffroi")
    reference.import_all("beffroi_protocol")
    assert (PAGES / "errors.md").read_text("utf-8") == reference.errors_page(), MEND


def test_page_of_settings_is_current() -> None:
    assert (PAGES / "settings.md").read_text("utf-8") == reference.settings_page(), MEND


def test_every_setting_is_documented() -> None:
    for one in fields(Config):
        assert one.metadata.get("doc", "").endswith("."), one.name


def test_every_error_has_a_code_of_its_own_and_a_sentence() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (\d*) \| (yes|) \| (.+) \|$", reference.errors_page(), re.MULTILINE)
    codes = [code for code, _, _, _ in rows]
    assert len(codes) > 20
    assert len(codes) == len(set(codes))
    for code, _, _, message in rows:
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", code), code
        assert message[0].isupper() or message.startswith("{}"), code

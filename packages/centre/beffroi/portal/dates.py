"""Dates as the language writes them: in French the first of a month is "1er mai", which no format of Django says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime

from django.utils import formats
from django.utils.translation import get_language

from beffroi.mail.filters.errors import SettingRefused

_EARLIEST = 1970
_FIRST = re.compile(r"(?<!\d)1(?= [^\W\d])")


def date_format(value: date | datetime, form: str) -> str:
    """As Django's."""
    return written(formats.date_format(value, form))


def written(text: str) -> str:
    """A date that Django wrote, in the language of now. A 1 before a word is the day: hours stand before a colon."""
    return _FIRST.sub("1er", text) if is_french() else text


def is_french() -> bool:
    """The language of now, or of who has none."""
    return (get_language() or "fr").startswith("fr")


def day(text: str) -> date | None:
    """What a field of the type "date" sends; None for what is no day, and for one that other programs have no word
    for."""
    try:
        found = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None
    return found if found is not None and _EARLIEST <= found.year < 9999 else None


def day_of(form: Mapping[str, str], name: str) -> date:
    """The day of this field of a form of settings. Errors: SettingRefused."""
    try:
        return date.fromisoformat(form.get(name, ""))
    except ValueError:
        raise SettingRefused(name, "day") from None

"""Columns that every table of the centre spells in the same way."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import models

from beffroi.lib.ids import new_id

ID_LENGTH = 40


def id_field(prefix: str) -> models.CharField[str, str]:
    """Primary key: an opaque identifier with this prefix."""
    return models.CharField(
        primary_key=True, max_length=ID_LENGTH, default=partial(new_id, prefix), editable=False
    )


def reference(**options: Any) -> models.CharField[str, str]:
    """The identifier of an object in another application: a plain string, never a foreign key."""
    return models.CharField(max_length=ID_LENGTH, **options)


def optional_reference() -> models.CharField[str | None, str | None]:
    """The same where there may be none."""
    return models.CharField(max_length=ID_LENGTH, null=True, default=None)

"""Whether what happens is taken in, looked at by worker."""

from __future__ import annotations

from django.conf import settings

from beffroi.core.events import periodic, told, waiting


@periodic("events.told", every_s=told.EVERY_S)
def tell() -> None:
    told.write(settings.BEFFROI, waiting.look())

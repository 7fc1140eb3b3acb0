"""The work of drive-keeper on ways back, over the centre's real database."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from beffroi.core.planes.db import connect
from beffroi.drive.past_worker import WaysBack
from beffroi.drive.standing import Standing
from beffroi.drive.store.commune import Communes
from beffroi.drive.telling import tell
from django.conf import settings


def ways_back(communes: Communes, url: str) -> WaysBack:
    """``url``: of the database (``committed``)."""
    config = replace(settings.BEFFROI, database_url=url)
    return WaysBack(communes, Standing(partial(connect, url)), partial(tell, config))

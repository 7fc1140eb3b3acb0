"""How long departures that were taken back, and requests that came to nothing, are kept. What was done is the proof of
an elimination, and never deleted."""

from __future__ import annotations

from django.db.models import Q

from beffroi.core.retention.registry import Before, Category, category
from beffroi.leaving.models import CommuneErasure, Leaving

_taken_back = Q(state=Leaving.State.TAKEN_BACK)
_came_to_nothing = Q(state__in=(CommuneErasure.State.REFUSED, CommuneErasure.State.WITHDRAWN))
_leavings = Before(Leaving, "changed_at", _taken_back)
_requests = Before(CommuneErasure, "changed_at", _came_to_nothing)

category(Category("commune_leavings", 150, "retention_accounts_days", _leavings))
category(Category("commune_erasure_requests", 151, "retention_accounts_days", _requests))

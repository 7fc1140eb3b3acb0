"""Who is in the demonstration: people of each role, so that each of its pages can be looked at."""

from __future__ import annotations

import pytest
from beffroi.core.identity.models import Membership
from beffroi.supervise.demo import DEMONSTRATION, plant
from django.conf import settings

pytestmark = pytest.mark.django_db


def test_each_role_has_somebody_and_one_data_protection_officer_serves_all_communes() -> None:
    planted = plant(settings.BEFFROI, DEMONSTRATION)
    assert set(Membership.Role.values) == {one.role for one in planted.accounts if not one.console}
    served = Membership.objects.filter(role="dpo")
    assert {one.person.email for one in served} == {"dpo@saulieu.test"}
    assert served.count() == len(DEMONSTRATION.communes)
    [told] = [one for one in planted.accounts if one.role == "dpo"]
    assert sorted(told.communes) == ["Arnay-le-Duc", "Saulieu", "Semur-en-Auxois"]
    assert Membership.objects.filter(person__email="secretariat@saulieu.test", role="agent").count() == 2

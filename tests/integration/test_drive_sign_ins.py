"""Sign-ins to the drive over the real feed and the real mailgate: refused addresses, failures, who came from where."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from beffroi.core.decisions import exceptions
from beffroi.core.identity.actor import Actor
from beffroi.core.planes import db as planes
from beffroi.drive.sign_ins import SignIns
from beffroi.lib.ids import new_id
from beffroi_protocol.indicators import normalise

from tests import front_planes
from tests.fixtures_stream import Centre, block, eventually, running_centre

__all__ = ["running_centre"]
ADDRESS, OTHER = "185.203.116.77", "45.155.204.9"
_PERSON = """
import django
django.setup()
from beffroi.core.communes import actions as communes
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
system = Actor.system("tests")
beaune = communes.create_collectivite(actor=system, kind="commune", name="Beaune")
person = identity.create_person(actor=system, email="agent@beaune.test", name="Claire")
membership = identity.add_membership(actor=system, person=person, collectivite=beaune, role="agent")
actor = Actor("person", person.id, beaune.id, "agent")
issued = identity.issue_app_password(actor=actor, membership=membership, protocol_set="dav", label="T")
print(issued.record.id, person.id)
"""


def test_an_address_that_the_login_door_refuses_is_refused_before_the_password(centre: Centre) -> None:
    counted = SignIns(centre.config, "calendars")
    counted.start()
    assert not counted.refuses(ADDRESS)
    block(ADDRESS)
    eventually(lambda: counted.refuses(ADDRESS), "refused")
    assert not counted.refuses(OTHER)
    for hostile in ("", "unknown", f"{ADDRESS}, 10.0.0.1", "1" * 5000):
        assert not counted.refuses(hostile)
    # Whoever starts while the stream is away enforces the last list.
    centre.stop()
    assert counted._follower is not None
    counted._follower.stop()
    later = SignIns(centre.config, "calendars")
    later.start()
    assert later.refuses(ADDRESS)
    assert later._follower is not None
    later._follower.stop()


def test_what_a_commune_lets_through_is_refused_to_people_of_others_alone(centre: Centre) -> None:
    counted = SignIns(centre.config, "calendars")
    counted.start()
    block(ADDRESS)
    block(OTHER)
    eventually(lambda: counted.refuses(ADDRESS) and counted.refuses(OTHER), "refused")
    ours, theirs = new_id("col"), new_id("col")
    administrator = Actor("administrator", "adm_1", None, "administrator")
    made = exceptions.allow_locally(
        actor=administrator,
        collectivite_id=ours,
        indicator=normalise("ip", ADDRESS),
        ttl_s=600,
        reason="notre mairie",
    )
    eventually(lambda: not counted.refuses(ADDRESS), "one has to know who it is")
    assert (counted.refuses(ADDRESS, ours), counted.refuses(ADDRESS, theirs)) == (False, True)
    assert counted.refuses(OTHER) and counted.refuses(OTHER, ours)
    exceptions.end(actor=administrator, exception_id=made.id)
    eventually(lambda: counted.refuses(ADDRESS) and counted.refuses(ADDRESS, ours), "refused again")
    assert counted._follower is not None
    counted._follower.stop()


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="the planes start as root")
def test_mailgate_hears_of_failures_and_of_who_came_from_where() -> None:
    with front_planes.running("bfg-", 23220, {"mailgate_port": 23230}, "mailgate") as gate:
        config = gate.config
        environment = os.environ | {
            "BEFFROI_STATE": str(config.state),
            "DJANGO_SETTINGS_MODULE": "beffroi.settings.base",
        }
        argv = (sys.executable, "-c", _PERSON)
        made = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
        app_password_id, person_id = made.stdout.split()
        counted = SignIns(config, "calendars")
        counted.start()
        counted.failed(OTHER, "maire@beaune.test")
        for _ in range(3):
            counted.succeeded(OTHER, "agent@beaune.test", app_password_id)
        database = planes.connect(config.database)
        told = "SELECT payload FROM outbox WHERE kind = 'identity:sign_in_failed'"
        eventually(lambda: len(database.execute(told)) == 1, "the failure is an event")
        (row,) = database.execute(told)
        assert json.loads(row[0])["door"] == "dav" and "maire@" not in row[0]
        came = "SELECT person_id, door, address, count FROM sign_in"
        eventually(lambda: len(database.execute(came)) == 1, "the sign-in is evidence")
        assert [tuple(one) for one in database.execute(came)] == [(person_id, "dav", OTHER, 1)]
        used = "SELECT id FROM app_password WHERE last_used_at IS NOT NULL"
        assert [tuple(one) for one in database.execute(used)] == [(app_password_id,)]
        database.close()
        assert counted._follower is not None
        counted._follower.stop()

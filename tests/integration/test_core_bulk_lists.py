"""Bulk lists on the database: what may be published, who may, and when a file is deleted."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import lists, queries
from beffroi.core.decisions.models import IndicatorList
from beffroi.core.events.models import OutboxEvent
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid, NotAllowed, NotFound

from tests.conftest import Commune
from tests.fixtures_lists import SYSTEM, publish, stored
from tests.fixtures_stream import Answer, BoxClient, Centre, block, eventually, running_centre  # noqa: F401


@pytest.mark.usefixtures("database")
def test_values_are_normalised_sorted_and_counted(config: Config) -> None:
    made = lists.publish_list(
        actor=SYSTEM,
        name="urlhaus",
        kind="domain",
        values=["Evil.example.NET.", "b.lure.fr", "evil.example.net", "not a name", "1.2.3.4", "impots.gouv.fr", "fr"],
        source="https://urlhaus.abuse.ch",
        licence="CC0",
        ttl_s=3600,
    )  # fmt: skip
    assert (made.kept, made.invalid, made.protected) == (2, 3, 1)
    data = zlib.decompress(stored(config, made.row).read_bytes())
    assert data == b"b.lure.fr\nevil.example.net\n"
    assert (made.row.sha256, made.row.size_bytes, made.row.count) == (
        hashlib.sha256(data).hexdigest(),
        len(data),
        2,
    )
    entry = AuditEntry.objects.get(verb="list:published")
    assert (entry.object_id, json.loads(entry.details)["count"]) == (made.row.id, 2)


@pytest.mark.usefixtures("database")
def test_a_list_of_which_nothing_is_left_is_refused_and_the_one_in_force_stays() -> None:
    before = publish("scanners", "185.203.116.1")
    with pytest.raises(lists.ListEmpty, match="1 values are invalid and 1 protected"):
        publish("scanners", "none", "10.0.0.1")
    assert IndicatorList.objects.get().sha256 == before.sha256
    assert OutboxEvent.objects.filter(kind="list:published").count() == 1


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "wrong",
    [{"name": "../x"}, {"name": "A"}, {"name": ""}, {"kind": "colour"}, {"source": " "}, {"ttl_s": -1}],
)
def test_what_cannot_be_a_list_is_refused_before_anything_is_written(wrong: dict[str, object]) -> None:
    right: dict[str, object] = {
        "actor": SYSTEM, "name": "a", "kind": "ip", "values": ["185.203.116.1"], "source": "s", "licence": "l",
    }  # fmt: skip
    with pytest.raises(Invalid):
        lists.publish_list(**{**right, **wrong})  # type: ignore[arg-type]
    assert not IndicatorList.objects.exists()


def test_only_the_departement_publishes_and_a_commune_sees_what_applies_to_it(
    beaune: Commune, nuits: Commune
) -> None:
    for act in (
        lambda: lists.withdraw_list(actor=beaune.referent, name="a"),
        lambda: lists.publish_list(
            actor=beaune.referent, name="a", kind="ip", values=["185.203.116.1"], source="s", licence="l"
        ),
    ):
        with pytest.raises(NotAllowed):
            act()
    publish("for.all", "185.203.116.1")
    publish("of.nuits", "185.203.116.2", scope=nuits.id)
    assert [row.name for row in queries.visible_lists(beaune.agent)] == ["for.all"]
    assert [row.name for row in queries.visible_lists(nuits.agent)] == ["for.all", "of.nuits"]
    for name in ("of.nuits", "nothing"):
        with pytest.raises(NotFound):
            queries.access_list(beaune.agent, name)


@pytest.mark.usefixtures("database")
def test_a_file_is_deleted_when_no_list_names_it_the_feed_moved_on_and_hours_passed(config: Config) -> None:
    from beffroi.core.decisions.models import PublishCursor

    old, new = publish("a", "185.203.116.1"), publish("a", "185.203.116.2")
    paths = [stored(config, row) for row in (old, new)]
    assert old.sha256 != new.sha256
    assert lists.prune_files() == 0  # the feed has not read the events
    PublishCursor.objects.create(name="stream", position=OutboxEvent.objects.latest("id").id)
    lists.prune_files()
    assert all(path.exists() for path in paths)  # just now replaced
    long_ago = time.time() - lists.KEEP_FILES_S - 1
    for path in paths:
        os.utime(path, (long_ago, long_ago))
    assert lists.prune_files() == 0  # remembered: it says since when a value is listed
    with clock.shifted(31 * 86400):
        assert lists.prune_files() >= 1
    assert [path.exists() for path in paths] == [False, True]

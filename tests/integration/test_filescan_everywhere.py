"""What one commune's file is known for is blocked in all: from the scan to the decision, the feed, the other drives,
and back. Alarms of devices name addresses, which nothing but a second commune or a person blocks."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity import sign_ins
from beffroi.core.identity.actor import Actor
from beffroi.drive.door import FileDoor
from beffroi.drive.scanning.__main__ import tell_found
from beffroi.drive.scanning.engines import Engines
from beffroi.drive.scanning.scanner import Scanner
from beffroi.drive.store import findings, frozen, schema, tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.model import Act, Content, Node
from beffroi.drive.store.stock import stocks
from beffroi.drive.telling import tell
from beffroi.drive.web.bodies import SealedStore
from beffroi.incidents.models import Encounter, Incident
from beffroi.incidents.rules import Kind
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.watch import actions as watch
from beffroi.watch.models import Campaign, Sighting
from beffroi_protocol.indicators import normalise
from django.db import transaction

from tests.conftest import Commune
from tests.file_scanning import ScanProcess, scan_process
from tests.fixtures_stream import Centre, eventually, running_centre  # noqa: F401
from tests.mail_files import packed

pytestmark = pytest.mark.slow
BODY = b"a program with a sign: verymalicioussign"
SHA = hashlib.sha256(BODY).hexdigest()
RULE = 'rule Wolf { strings: $a = "verymalicioussign" condition: $a }'
ADDRESS = "185.203.116.9"


@pytest.fixture(scope="module")
def process() -> Iterator[ScanProcess]:
    with scan_process() as one:
        one.rule(RULE)
        yield one


@dataclass
class Drives:
    communes: Communes
    bodies: SealedStore
    scanner: Scanner

    def taken(self, owner: str, data: bytes) -> Content:
        async def pieces() -> AsyncIterator[bytes]:
            yield data

        return asyncio.run(self.bodies(owner).receive(pieces(), len(data)))

    def put(self, owner: str, name: str, data: bytes) -> Node:
        content, database = self.taken(owner, data), self.communes.metadata(owner)
        root = database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=clock.epoch_s()))
        act = Act("per_a", "app_a", clock.epoch_s())
        return database.write(lambda w: tree.put(w, act, root.id, name, content))[0]

    def read(self, owner: str, node: Node) -> bytes:
        async def whole() -> bytes:
            return b"".join([piece async for piece in self.bodies(owner).read(node, 0, node.size_bytes)])

        return asyncio.run(whole())

    def is_refused(self, owner: str) -> bool:
        try:
            self.taken(owner, BODY)
        except Frozen:
            return True
        return False


@pytest.fixture
def drives(centre: Centre, process: ScanProcess, committed: str) -> Iterator[Drives]:
    for name in ("commune-master.key", "drive-grant.key"):
        (centre.config.state / "secrets" / name).write_text(secrets.token_hex(32))
    with ThreadPoolExecutor(2) as pool, ThreadPoolExecutor(2) as workers:
        communes = Communes(centre.config.state / "drive", pool)
        door = FileDoor(
            centre.config, communes, partial(tell, replace(centre.config, database_url=committed))
        )
        door.start()
        eventually(lambda: door.follower is not None and door.follower.connected, "connected")
        yield Drives(
            communes,
            SealedStore(centre.config, communes, workers, door.require),
            Scanner(
                communes,
                stocks(centre.config),
                Engines(Config(state=process.state)),
                partial(tell_found, centre.config),
            ),
        )
        door.stop()
        communes.close()


def settled() -> None:
    while run_pending("main"):
        pass


def test_a_file_found_in_one_commune_is_refused_and_frozen_in_all_and_undo_gives_it_back(
    drives: Drives, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    lying = drives.put(nuits.id, "ancien.exe", BODY)
    assert drives.read(nuits.id, lying) == BODY
    node = drives.put(beaune.id, "nouveau.exe", BODY)
    while drives.scanner.follow(beaune.id):
        pass
    with pytest.raises(findings.Found):
        drives.read(beaune.id, node)
    settled()
    decision = Decision.objects.get(value=SHA)
    assert (decision.state, decision.rule, decision.scope) == ("active", "one_proof", "all")
    eventually(lambda: drives.is_refused(nuits.id), "refused where it comes")
    eventually(
        lambda: OutboxEvent.objects.filter(kind="drive:frozen", collectivite_id=nuits.id).exists(), "frozen"
    )
    with pytest.raises(Frozen, match=decision.id):
        drives.read(nuits.id, lying)
    settled()
    campaign = Campaign.objects.get()
    assert campaign.communes == 2, "where it lies is a sighting, too"
    assert {one.detector for one in Sighting.objects.all()} == {"file_scan", "file_frozen"}
    assert {one.collectivite_id: one.count for one in Encounter.objects.filter(door="file")} == {
        beaune.id: 1,
        nuits.id: 1,
    }
    incidents = {one.collectivite_id: one for one in Incident.objects.filter(kind=Kind.MALICIOUS_FILE)}
    assert set(incidents) == {beaune.id, nuits.id}
    assert incidents[beaune.id].decision_id == "" and incidents[nuits.id].decision_id == decision.id
    assert {one.subject for one in incidents.values()} == {"by:app_a"}, "who brought it"
    payloads = " ".join(OutboxEvent.objects.values_list("payload", flat=True))
    assert ".exe" not in payloads, "no name of a file"

    watch.undo_campaign(actor=administrator, campaign=campaign)
    eventually(lambda: not drives.is_refused(nuits.id), "free again")
    eventually(
        lambda: OutboxEvent.objects.filter(kind="drive:thawed", collectivite_id=nuits.id).exists(), "thawed"
    )
    assert drives.read(nuits.id, lying) == BODY
    settled()
    assert Incident.objects.get(pk=incidents[nuits.id].id).state == "closed"
    assert Incident.objects.get(pk=incidents[beaune.id].id).state == "open", "its own finding stands"
    with pytest.raises(findings.Found):
        drives.read(beaune.id, node)
    database = drives.communes.metadata(beaune.id)
    assert database.write(lambda w: findings.release(w, SHA, person_id="per_r", now_s=1))
    assert drives.read(beaune.id, node) == BODY
    while drives.scanner.follow(nuits.id):
        pass
    settled()
    assert not Decision.objects.filter(value=SHA, state="active").exists(), "what was undone stays so"


def test_malware_in_an_archive_is_known_by_itself_in_the_archives_of_the_others(
    drives: Drives, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    """Each is packed anew, so that its own hash says nothing to anybody."""
    text = b"an innocent text " * 9
    lying = drives.put(nuits.id, "ancien.zip", packed(other__txt=text[::-1], nouveau__exe=BODY))
    database = drives.communes.metadata(nuits.id)
    result = findings.Result(lying.sha256, "of rules before", {}, True, (SHA,))
    database.write(lambda w: findings.keep(w, [result], now_s=1))
    node = drives.put(beaune.id, "nouveau.zip", packed(nouveau__exe=BODY, notice__txt=text))
    while drives.scanner.follow(beaune.id):
        pass
    settled()
    assert {one.value for one in Decision.objects.filter(state="active")} == {SHA, node.sha256}
    decision = Decision.objects.get(value=SHA)

    def held() -> str:
        with database.reading() as reading:
            return frozen.decision_of(reading, lying.sha256)

    eventually(lambda: held() == decision.id, "frozen with what is in it")
    eventually(
        lambda: OutboxEvent.objects.filter(kind="drive:frozen", collectivite_id=nuits.id).exists(), "told"
    )
    settled()
    campaign = Campaign.objects.get()
    assert campaign.communes == 2
    assert Encounter.objects.get(decision_id=decision.id, collectivite_id=nuits.id).count == 1
    assert [one.sha256 for one in Incident.objects.get(collectivite_id=nuits.id).files.all()] == [SHA]
    assert Incident.objects.filter(collectivite_id=beaune.id).count() == 1, "of the archive and what is in it"
    watch.undo_campaign(actor=administrator, campaign=campaign)
    eventually(lambda: not held(), "free again")


# -- alarms of devices -----------------------------------------------------------------------------------------


def alarm(commune: Commune) -> None:
    with transaction.atomic():
        outbox.publish(
            "drive:alarm",
            {
                "app_password_id": "apw_x",
                "person_id": commune.agent.id,
                "files": 4,
                "reasons": {"lost": 4},
            },
            collectivite_id=commune.id,
        )
    settled()


def active_addresses() -> set[str]:
    return set(Decision.objects.filter(state="active", kind="ip").values_list("value", flat=True))


def test_an_address_from_which_devices_of_two_communes_encrypted_is_blocked(
    database: str, beaune: Commune, nuits: Commune
) -> None:
    sign_ins.record(beaune.agent_membership, ADDRESS, door="dav")
    alarm(beaune)
    assert active_addresses() == set() and Campaign.objects.get().state == "open", "the word of one commune"
    sign_ins.record(nuits.agent_membership, ADDRESS, door="dav")
    alarm(nuits)
    campaign = Campaign.objects.get()
    assert campaign.communes == 2 and active_addresses() == {ADDRESS}
    assert Decision.objects.get(kind="ip").rule == "two_communes"


def test_a_town_hall_s_own_address_is_never_told(database: str, beaune: Commune) -> None:
    sign_ins.record(beaune.agent_membership, ADDRESS, door="dav")
    sign_ins.record(beaune.colleague_membership, ADDRESS, door="portal")
    alarm(beaune)
    assert Sighting.objects.count() == 0


def test_what_a_list_named_is_no_campaign(database: str, beaune: Commune) -> None:
    with transaction.atomic():
        outbox.publish(
            "drive:frozen",
            {"decision_id": "lst_x", "sha256": SHA, "files": 1, "versions": 0},
            collectivite_id=beaune.id,
        )
    settled()
    assert Sighting.objects.count() == 0 and Encounter.objects.count() == 0


def test_a_decided_file_that_is_packed_anew_is_refused_while_the_decision_stands(
    drives: Drives, nuits: Commune
) -> None:
    lure = b"a document that leads somewhere " * 9
    archive, other = packed(facture__txt=lure), packed(facture__txt=lure[::-1])
    nodes = {data: drives.put(nuits.id, f"{n}.zip", data) for n, data in enumerate((archive, other))}
    while drives.scanner.follow(nuits.id):
        pass
    assert {data: drives.read(nuits.id, node) for data, node in nodes.items()} == {d: d for d in nodes}
    decision = decisions.activate(
        actor=Actor.system("tests"),
        indicator=normalise("sha256", hashlib.sha256(lure).hexdigest()),
        action="block",
        scope="all",
        reason="malware",
        evidence={},
        rule="test",
        ttl_s=3600,
    )

    def is_refused() -> bool:
        try:
            drives.read(nuits.id, nodes[archive])
        except Frozen:
            return True
        return False

    eventually(is_refused, "refused")
    assert drives.read(nuits.id, nodes[other]) == other
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="mistake")
    eventually(lambda: not is_refused(), "free again")

"""Boîtiers on the console: the fleet stays usable, and settings change with a reason, a difference and a way back."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import timedelta

import pytest
from beffroi.boxes import actions, fleet, queries
from beffroi.boxes.models import (
    Box,
    BoxAck,
    BoxBypass,
    BoxDiagnosis,
    BoxNotice,
    BoxPolicy,
    BoxRelease,
    LearnedFlow,
)
from beffroi.core.decisions import door
from beffroi.core.decisions.models import FeedBatch
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.portal import places
from beffroi.portal.web import home
from beffroi_protocol.messages import InboundRule, Policy
from django.core.cache import cache
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import on_listener, portal_client
from tests.markup import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(door, "blocked_address", lambda address: None)
    with on_listener("console"):
        yield
    cache.clear()


def made(commune: Commune, number: int, **changes: object) -> Box:
    values: dict[str, object] = {"state": "active", "last_seen_at": clock.now(), "agent_version": "0.3.0"}
    return Box.objects.create(
        collectivite_id=commune.id,
        serial=f"BF-{number:04d}",
        public_key=f"key{number}",
        fingerprint=f"{number:04d} K7QD",
        **{**values, **changes},
    )


@pytest.fixture
def box(administrator: Actor, beaune: Commune) -> Box:
    """With a policy that observes."""
    found = made(beaune, 1, policy_version=1)
    actions.set_policy(
        actor=administrator,
        collectivite=beaune.collectivite,
        policy=Policy(observe_until=clock.epoch_s() + 86400, centre_names=("boitiers.cotedor.fr",)),
        reason="Installation",
    )
    return found


def current(administrator: Actor, commune: Commune) -> Policy:
    found = queries.current_policy(administrator, commune.id)
    assert found is not None
    return found[1]


def test_a_commune_is_not_told_that_its_box_enforces_what_it_does_not(
    administrator: Actor, beaune: Commune
) -> None:
    box = made(beaune, 1)

    def said() -> str:
        (line,) = places.own_boxes(beaune.agent)
        return f"{line.state}: {line.sentence}".replace("\u00a0", " ").partition(" ;")[0]

    assert said() == "box_active: Votre boîtier applique la liste commune"
    FeedBatch.objects.create(
        channel="box", epoch=1, to_version=7, line=b"", created_at=clock.now() - timedelta(minutes=2)
    )
    assert said() == "behind: Votre boîtier n’applique pas encore les dernières décisions"
    BoxAck.objects.create(box_id=box.id, channel="box", epoch=1, version=7, enforced_at_ms=1)
    for enforce, words in (
        (False, "observing: Votre boîtier compte ce qui est sur la liste commune et le laisse passer"),
        (True, "box_active: Votre boîtier applique la liste commune"),
    ):
        actions.set_policy(
            actor=administrator, collectivite=beaune.collectivite, policy=Policy(enforce=enforce)
        )
        assert said() == words


def test_698_boxes_are_counted_filtered_searched_and_paged(
    console: Client, beaune: Commune, nuits: Commune
) -> None:
    late = clock.now() - timedelta(hours=2)
    for number in range(1, 699):
        silent = number <= 60
        made((beaune, nuits)[number % 2], number, last_seen_at=late if silent else clock.now())
    shown = text_of(console.get("/boitiers/"))
    assert "60 boîtiers ne répondent plus" in shown
    assert shown.count("<tr>") == 51
    assert "page 1 sur 14" in shown
    assert "BF-0698" not in shown  # the silent ones come first
    assert "BF-0698" in text_of(console.get("/boitiers/?page=14")) + text_of(console.get("/boitiers/?page=8"))
    assert text_of(console.get("/boitiers/?etat=silent&page=2")).count("<tr>") == 11
    assert text_of(console.get("/boitiers/?q=bf-0042")).count("<tr>") == 2
    assert text_of(console.get("/boitiers/?q=NUITS saint&etat=silent")).count("<tr>") == 31
    assert "Aucun boîtier ne répond à cette recherche" in text_of(console.get("/boitiers/?q=nowhere"))
    for odd in ("?page=0", "?page=-1", "?page=99999", "?page=x", "?etat=<b>", "?q=" + "é" * 500):
        assert console.get("/boitiers/" + odd).status_code == 200


def test_the_page_of_a_box_shows_its_state_its_history_and_what_it_learned(
    console: Client, box: Box, beaune: Commune, administrator: Actor
) -> None:
    now = clock.now()
    LearnedFlow.objects.create(
        collectivite_id=beaune.id, direction="in", protocol="tcp", port=8443, remote="82.64.10.0/24",
        service="<b>cameras</b>", count=12, first_at=now, last_at=now,
    )  # fmt: skip
    for kind in ("foreign_dns", "cleartext_password"):
        BoxBypass.objects.create(
            collectivite_id=beaune.id, kind=kind, machine="poste-7KQ2A", first_at=now, last_at=now
        )
    BoxNotice.objects.create(
        id="n1", box_id=box.id, collectivite_id=beaune.id, kind="entry_refused",
        indicator_value="impots.gouv.fr", reason="a public service", at=now,
    )  # fmt: skip
    answer = console.get(f"/boitiers/{box.id}/").content.decode()
    assert "&lt;b&gt;cameras&lt;/b&gt;" in answer
    shown = text_of(console.get(f"/boitiers/{box.id}/"))
    for said in (
        "tcp 8443",
        "depuis 82.64.10.0/24",
        "à un autre service que le boîtier",
        "poste-7KQ2A se connecte à un service sans chiffrement",
        "Blocage de impots.gouv.fr refusé",
        "Installation",
        "1 connexion attend votre réponse",
        "Prolonger de 14 jours",
    ):
        assert said in shown, said


def test_settings_are_sent_only_after_their_difference_was_shown_and_a_reason_given(
    console: Client, box: Box, beaune: Commune, administrator: Actor
) -> None:
    path = f"/boitiers/{box.id}/reglages/"
    # The centre's own names are not for editing.
    assert "boitiers.cotedor.fr" not in text_of(console.get(path))
    typed = {
        "base": "1",
        "enforce": "on",
        "redirect_dns": "on",
        "mode": "bridge",
        "inbound": "TCP 443 82.64.10.7/24, 192.0.2.7 # Télémaintenance",
        "inbound_tcp_ports": "",
        "honeyports": "23, 3389",
        "canary_names": "Coffre.Interne.example",
        "protected_names": "",
        "protected_networks": "",
        "allow_addresses": "",
        "leak_megabytes": "500",
        "beacon_from_s": "30",
        "observe_until": "",
    }
    shown = text_of(console.post(path, typed))
    for said in ("Pont transparent", "tcp 443 82.64.10.0/24, 192.0.2.7 # Télémaintenance", "23, 3389",
                 "aucune observation", "L’observation se termine"):  # fmt: skip
        assert said in shown, said
    assert BoxPolicy.objects.count() == 1
    assert "Écrivez une raison" in console.post(path, {**typed, "send": "1", "reason": " "}).content.decode()
    assert BoxPolicy.objects.count() == 1
    assert "Envoyer" not in console.post(path, {**typed, "edit": "1"}).content.decode()

    sent = console.post(path, {**typed, "send": "1", "reason": "Réunion du 3"})
    assert sent.status_code == 302
    policy = current(administrator, beaune)
    assert policy == Policy(
        mode="bridge",
        unlock=False,
        inbound=(InboundRule("tcp", 443, ("82.64.10.0/24", "192.0.2.7"), "Télémaintenance"),),
        honeyports=(23, 3389),
        canary_names=("coffre.interne.example",),
        leak_bytes_hour=500_000_000,
        beacon_from_s=30,
        centre_names=("boitiers.cotedor.fr",),
    )
    assert "Réunion du 3" in text_of(console.get(f"/boitiers/{box.id}/"))
    # Someone else's page is older than this change: nothing is overwritten.
    assert console.post(path, {**typed, "mode": "router", "send": "1", "reason": "x"}).status_code == 409

    back = console.post(f"/boitiers/{box.id}/reprendre/", {"version": "1"})
    assert back.status_code == 302
    assert current(administrator, beaune).mode == "router"
    assert fleet.policy_history(administrator, beaune.id)[0].restores == 1


def test_what_is_typed_unchanged_changes_nothing(
    console: Client, box: Box, beaune: Commune, administrator: Actor
) -> None:
    from beffroi.portal.policies import PolicyForm

    policy = Policy(
        observe_until=clock.epoch_s() + 86400,
        inbound=(InboundRule("udp", 51820, (), "VPN"), InboundRule("tcp", 443, ("192.0.2.7",))),
        inbound_tcp_ports=(25, 80),
        honeyports=(23,),
        allow_addresses=("192.0.2.0/24",),
        leak_bytes_hour=1_234_567,
        protected_names=("beaune.fr",),
    )
    initial = PolicyForm.initial_of(policy)
    form = PolicyForm({name: value for name, value in initial.items() if value not in (False, None)})
    assert form.is_valid(), form.errors
    assert form.policy(policy) == policy


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("inbound", "443", "écrivez tcp ou udp"),
        ("inbound", "tcp 0", "n’est pas un port"),
        ("inbound", "tcp 443 0.0.0.0/0", "trop large"),
        ("honeyports", "99999999999", "n’est pas un port"),
        ("allow_addresses", "<script>", "n’est pas une adresse"),
        ("allow_addresses", "fe80::1%eth0", "n’est pas une adresse"),
        ("canary_names", "pas un nom", "n’est pas un nom de domaine"),
        ("mode", "hub", "hub"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field_and_nothing_is_lost(
    console: Client, box: Box, field: str, typed: str, said: str
) -> None:
    answer = console.post(
        f"/boitiers/{box.id}/reglages/",
        {
            "base": "1",
            "mode": "router",
            "protected_names": "gardé.fr",
            field: typed,
            "send": "1",
            "reason": "x",
        },
    )
    shown = answer.content.decode()
    assert said in html.unescape(shown)
    assert "gardé.fr" in shown
    assert "<script>" not in shown.partition("<main")[2].partition("</main")[0]
    assert BoxPolicy.objects.count() == 1


def test_proposals_are_answered_and_observation_is_prolonged_and_ended(
    console: Client, box: Box, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    now = clock.now()
    flows = [
        LearnedFlow.objects.create(
            collectivite_id=owner.id, direction="in", protocol="tcp", port=port, remote="82.64.10.0/24",
            first_at=now, last_at=now,
        )
        for owner, port in ((beaune, 443), (beaune, 22), (nuits, 8080))
    ]  # fmt: skip
    answer = lambda flow, word: console.post(  # noqa: E731
        f"/boitiers/{box.id}/proposition/", {"flow": str(flow.id), "word": word, "label": "Caméras"}
    )
    assert answer(flows[0], "accept").status_code == 302
    assert answer(flows[1], "ignore").status_code == 302
    assert answer(flows[1], "accept").status_code == 409
    assert answer(flows[2], "accept").status_code == 404  # of another commune than this box's
    assert current(administrator, beaune).inbound == (InboundRule("tcp", 443, ("82.64.10.0/24",), "Caméras"),)
    before = current(administrator, beaune).observe_until
    console.post(f"/boitiers/{box.id}/observation/", {"word": "more"})
    assert current(administrator, beaune).observe_until == before + 14 * 86400
    console.post(f"/boitiers/{box.id}/observation/", {"word": "end"})
    assert current(administrator, beaune).observe_until == 0
    assert "Terminée" in text_of(console.get(f"/boitiers/{box.id}/"))


def test_a_diagnosis_is_asked_shown_in_words_and_says_when_nobody_answers(console: Client, box: Box) -> None:
    path = f"/boitiers/{box.id}/diagnostic/"
    assert "Aucun diagnostic" in text_of(console.get(path))
    assert console.post(path).status_code == 302
    assert "en quelques secondes" in text_of(console.get(path))
    BoxDiagnosis.objects.update(asked_at=clock.now() - timedelta(minutes=2))
    assert "sans réponse" in text_of(console.get(path))
    hostile = {"rules": "missing", "uptime_s": "9" * 200, "disk_free_bytes": "-5", "disk_total_bytes": "x",
               "wan_link": "<script>alert(1)</script>", "clock_offset_s": "-400", "agent": "<b>1</b>",
               "memory_total_kib": "0", "memory_available_kib": ""}  # fmt: skip
    BoxDiagnosis.objects.update(answered_at=clock.now(), report=hostile)
    shown = console.get(path).content.decode()
    assert "<script>alert(1)" not in shown
    assert "<b>1</b>" not in shown
    said = html.unescape(shown)
    assert "Les règles de blocage ne sont pas en place" in said
    assert "Son horloge est fausse" in said
    assert "disque" not in said.partition("<dl")[0]
    sound = {
        "rules": "loaded",
        "wan_link": "up 1000",
        "lan_link": "up",
        "resolver": "ok",
        "uptime_s": "90000",
    }
    BoxDiagnosis.objects.update(report=sound)
    said = text_of(console.get(path))
    assert "ne se trouve aucun défaut" in said
    assert "1 j 1 h" in said
    assert "branché, 1000 Mbit/s" in said
    states = {
        "on": "En marche",
        "off: the policy does not ask for it": "Non demandée par les réglages",
        "off: it ended (1): <i>": "Le moteur qui lit le début des connexions ne marche pas",
    }
    for state, words in states.items():
        BoxDiagnosis.objects.update(report={**sound, "inspection": state})
        shown = console.get(path).content.decode()
        assert words in html.unescape(shown) and "<i>" not in shown
    Box.objects.update(state="revoked")
    assert console.post(path).status_code == 409


def test_a_code_for_a_replacement_is_shown_once_and_bound_to_the_old_box(
    console: Client, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.boxes.models import EnrolmentCode

    monkeypatch.setattr(actions, "pinned_root", lambda config: bytes(range(32)))
    path = f"/boitiers/{box.id}/remplacer/"
    assert "l’ancien est révoqué à ce moment" in text_of(console.get(path))
    assert EnrolmentCode.objects.count() == 0
    assert 'id="code"' in console.post(path).content.decode()
    assert EnrolmentCode.objects.get().replaces == box.id
    Box.objects.update(state="revoked")
    assert console.post(path).status_code == 409


def test_a_release_is_started_stopped_and_resumed_in_the_console(
    console: Client, box: Box, beaune: Commune
) -> None:
    from beffroi.boxes.models import BoxRelease, BoxUpdate

    path = "/boitiers/logiciel/"
    assert "Aucune version reçue" in text_of(console.get(path))
    BoxRelease.objects.create(
        number=4, version="0.4.0", sha256="ab" * 32, size_bytes=1, line="-",
        expires_at=clock.now() + timedelta(days=9),
    )  # fmt: skip
    assert "Quelle commune d’abord" in text_of(console.get(path))
    said = lambda **typed: console.post(path, {"number": "4", **typed}).status_code  # noqa: E731
    assert said(word="start", canary="col_nothing") == 404
    assert said(word="resume") == 409
    assert said(word="start", canary=beaune.id) == 302
    assert "Beaune d’abord" in text_of(console.get(path))
    BoxUpdate.objects.create(
        box_id=box.id,
        collectivite_id=beaune.id,
        number=4,
        outcome="rolled_back",
        reason="<b>x</b>",
        told_at=clock.now(),
    )
    assert "&lt;b&gt;x&lt;/b&gt;" in console.get(path).content.decode()
    assert said(word="stop") == 302
    assert "j’ai regardé les échecs" in text_of(console.get(path))
    assert said(word="resume") == 302
    assert BoxRelease.objects.get().state == "running"
    assert said(word="erase") == 400
    assert said(word="stop", number="x") == 400


def test_a_commune_reads_of_its_own_box_only(
    box: Box, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    now = clock.now()
    times = {"first_at": now, "last_at": now}
    BoxBypass.objects.create(collectivite_id=beaune.id, kind="doh", count=2, **times)
    BoxBypass.objects.create(collectivite_id=beaune.id, kind="other_dhcp", count=1, **times)
    BoxBypass.objects.create(collectivite_id=beaune.id, kind="dns_flood", machine="poste-7KQ2A", **times)
    for kind in ("newcomers_flood", "flows_full"):
        BoxBypass.objects.create(collectivite_id=beaune.id, kind=kind, count=1, **times)
    for kind in ("gateway_spoof", "flow_flood", "dhcp_flood"):
        BoxBypass.objects.create(collectivite_id=beaune.id, kind=kind, machine="poste-4XW9B", **times)
    with on_listener("web"):
        own = text_of(portal_client(beaune.agent_membership).get("/boitier/"))
        other = text_of(portal_client(nuits.agent_membership).get("/boitier/"))
        assert portal_client(beaune.referent_membership).post("/boitier/").status_code == 405
    dhcp, flood = "Un autre appareil de la mairie donne", "poste-7KQ2A demande plus de 200"
    assert (
        own.index("service chiffré") < own.index("Reliez-les au réseau du boîtier") < own.index("À regarder")
    )
    spoof, worm = "poste-4XW9B se fait passer pour la box internet", "poste-4XW9B ouvre des milliers"
    for said in (
        box.serial,
        "Installation",
        "service chiffré",
        "poste-4XW9B demande bien plus d’adresses",
        dhcp,
        flood,
        spoof,
        worm,
        "un appareil qui arrive peut rester sans internet",
        "presque plus de place pour de nouvelles connexions",
        "Il apprend vos connexions",
    ):
        assert said in own, said
        assert said not in other, said
    assert "n’a pas de boîtier" in other


def test_the_overview_names_what_waits_of_the_fleet(
    console: Client, administrator: Actor, box: Box, beaune: Commune
) -> None:
    assert "Rien n’attend votre avis" in text_of(console.get("/"))
    LearnedFlow.objects.create(
        collectivite_id=beaune.id, direction="in", protocol="tcp", port=443, remote="82.64.10.0/24",
        count=9, first_at=clock.now(), last_at=clock.now(),
    )  # fmt: skip
    Box.objects.update(policy_version=0, rolled_back_version=1)
    BoxRelease.objects.create(
        number=1, version="0.4", sha256="x", size_bytes=1, line="x", expires_at=clock.now() + timedelta(days=9),
        state="stopped", stopped_because="1 of 1: silent",
    )  # fmt: skip
    page = text_of(console.get("/"))
    assert "Rien n’attend votre avis" not in page
    for said in ("finit d’observer", "a refusé ses réglages", "mise à jour des boîtiers s’est arrêtée"):
        assert said in page, said
    BoxRelease.objects.update(stopped_because="")  # a person stopped it
    assert "s’est arrêtée" not in text_of(console.get("/"))


def test_the_referent_hears_of_the_end_of_observation_three_days_before(
    administrator: Actor, box: Box, beaune: Commune
) -> None:
    LearnedFlow.objects.create(
        collectivite_id=beaune.id, direction="in", protocol="tcp", port=443, remote="82.64.10.0/24",
        count=9, first_at=clock.now(), last_at=clock.now(),
    )  # fmt: skip
    assert [one["url"] for one in home.closing(beaune.referent)] == ["own_boxes"]
    assert home.closing(beaune.agent) == []
    fleet.observe(actor=administrator, collectivite=beaune.collectivite, days=14, reason="x")
    assert home.closing(beaune.referent) == []
    with clock.shifted(13 * 86400):
        assert len(home.closing(beaune.referent)) == 1
        LearnedFlow.objects.update(state="ignored")
        assert home.closing(beaune.referent) == []

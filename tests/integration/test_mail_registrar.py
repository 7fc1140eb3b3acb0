"""A zone at a provider, by dns-lexicon against a real PowerDNS: the difference is shown, written, and taken back."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Domain
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.lib import config as config_module
from beffroi.lib.config import Config
from beffroi.mail.domains import queries, records, registrar, registrar_asking
from beffroi.mail.domains.records import Choices, PublicKey, Record, Servers
from beffroi.mail.domains.registrar_asking import RegistrarRefused
from django.test import Client

from tests import pdns
from tests.conftest import Commune
from tests.fixtures_dns import CENTRE
from tests.fixtures_portal import console_client, no_door, on_listener
from tests.pdns import PowerDns
from tests.waiting import PATIENCE_S, until

__all__ = ["no_door"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(pdns.PROGRAM).exists(), reason="needs pdns-server"),
]
KEYS = [PublicKey("beffroi1", "A/b+" * 98), PublicKey("beffroi2", "B" * 392)]
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PowerDns]:
    with pdns.running() as found:
        yield found


@pytest.fixture(scope="module")
def config(server: PowerDns) -> Iterator[Config]:
    state = Path(tempfile.mkdtemp(prefix="bfreg-"))
    (state / "registrar" / "keys").mkdir(parents=True)
    environment = os.environ | {"BEFFROI_STATE": str(state)}
    with pdns.gate() as api, (state / "out.log").open("ab") as log:
        (state / "beffroi.toml").write_text(f'powerdns_api = "{api}"\nresolver_port = {pdns.PORT}\n')
        made = config_module.load(state)
        process = subprocess.Popen(
            (sys.executable, "-m", "beffroi.mail.domains.registrar"), env=environment, stdout=log, stderr=log
        )
        try:
            until(lambda: registrar_asking.answers(made), "the registrar answers")
            yield made
            assert pdns.KEY not in (state / "out.log").read_text()
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
            shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def cut_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """So many changes more, and the provider takes no more; None: as many as there are."""
    return lambda left: monkeypatch.setattr(pdns.Gate, "left", left)


@pytest.fixture
def zone(server: PowerDns, config: Config) -> str:
    """A zone of its own, whose key we have."""
    name = f"mairie{next(_NUMBERS)}.example"
    server.add_zone(name)
    registrar_asking.keep(config, name, "powerdns", {"auth_token": pdns.KEY})
    return name


def plan(domain: str, choices: Choices | None = None, servers: Servers = CENTRE) -> list[Record]:
    return records.plan(domain, servers, choices or Choices(), KEYS)


def write(config: Config, domain: str, wanted: list[Record], *keys: str) -> registrar_asking.Done:
    found = registrar_asking.look(config, domain, wanted)
    return registrar_asking.apply(config, domain, wanted, mark=found.mark, replace=keys)


def test_every_record_of_the_plan_comes_in_and_the_second_look_finds_nothing_to_do(
    server: PowerDns, config: Config, zone: str
) -> None:
    wanted = plan(zone)
    found = registrar_asking.look(config, zone, wanted)
    assert (len(found.adds), found.removes, found.clashes) == (len(wanted), (), ())
    assert server.ask(zone, "MX") == [], "looking changes nothing"
    done = write(config, zone, wanted)
    assert (done.left.empty, done.refused) == (True, {})
    for one in wanted:
        assert one.rdata in server.ask(one.name, one.type), one
    assert registrar_asking.look(config, zone, wanted).empty


def test_what_is_anothers_stays_unless_a_person_says_so(server: PowerDns, config: Config, zone: str) -> None:
    server.put(zone, zone, "MX", "5 mx.old.example.")
    server.put(zone, zone, "TXT", '"v=spf1 include:spf.old.example -all"', '"site-verification=a b"')
    server.put(zone, zone, "CAA", '0 issue "other-ca.example"')
    server.put(zone, f"autoconfig.{zone}", "A", "192.0.2.81")
    server.put(zone, f"www.{zone}", "A", "192.0.2.80")
    found = registrar_asking.look(config, zone, plan(zone))
    assert {one.key for one in found.clashes} == {f"{zone} MX", f"{zone} TXT", f"autoconfig.{zone} CNAME"}
    done = write(config, zone, plan(zone), f"{zone} MX")
    assert {one.key for one in done.left.clashes} == {f"{zone} TXT", f"autoconfig.{zone} CNAME"}
    assert server.ask(zone, "MX") == ["10 mx.cloud.example."]
    texts = ['"site-verification=a b"', '"v=spf1 include:spf.old.example -all"']
    assert sorted(server.ask(zone, "TXT")) == texts
    assert server.ask(f"autoconfig.{zone}", "A") == ["192.0.2.81"]
    write(config, zone, plan(zone), f"{zone} TXT", f"autoconfig.{zone} CNAME")
    assert sorted(server.ask(zone, "TXT")) == ['"site-verification=a b"', '"v=spf1 mx -all"']
    assert server.ask(f"autoconfig.{zone}", "CNAME") == ["portail.cloud.example."]
    assert sorted(server.ask(zone, "CAA")) == ['0 issue "letsencrypt.org"', '0 issue "other-ca.example"']
    assert server.ask(f"www.{zone}", "A") == ["192.0.2.80"]


def test_our_own_records_follow_the_plan_without_a_question(
    server: PowerDns, config: Config, zone: str
) -> None:
    write(config, zone, plan(zone))
    changed = plan(zone, Choices(dmarc="reject", sts="none"), replace(CENTRE, dkim_zone="cles.cloud.example"))
    found = registrar_asking.look(config, zone, changed)
    assert found.clashes == ()
    assert write(config, zone, changed).left.empty
    assert server.ask(f"_dmarc.{zone}", "TXT") == ['"v=DMARC1; p=reject; rua=mailto:rapports@cloud.example"']
    assert server.ask(f"mta-sts.{zone}", "CNAME") == []
    target = f"beffroi1.{zone}.cles.cloud.example."
    assert server.ask(f"beffroi1._domainkey.{zone}", "CNAME") == [target]


def test_the_last_change_is_taken_back(server: PowerDns, config: Config, zone: str) -> None:
    before = ["5 mx.old.example."]
    server.put(zone, zone, "MX", *before)
    server.put(zone, f"autoconfig.{zone}", "A", "192.0.2.81")
    write(config, zone, plan(zone), f"{zone} MX", f"autoconfig.{zone} CNAME")
    assert registrar_asking.state(config, zone).changed_at is not None
    assert registrar_asking.undo(config, zone).refused == {}
    assert server.ask(zone, "MX") == before
    assert server.ask(f"autoconfig.{zone}", "A") == ["192.0.2.81"]
    assert server.ask(f"_dmarc.{zone}", "TXT") == []
    with pytest.raises(RegistrarRefused, match="nothing"):
        registrar_asking.undo(config, zone)
    again = registrar_asking.look(config, zone, plan(zone))
    assert {one.key for one in again.clashes} == {f"{zone} MX", f"autoconfig.{zone} CNAME"}, "not ours"


def test_what_is_switched_off_in_the_zone_does_not_stand_there(
    server: PowerDns, config: Config, zone: str
) -> None:
    server.put(zone, zone, "MX", "10 mx.cloud.example.", off=True)
    server.put(zone, zone, "CAA", '0 issue "other-ca.example"', off=True)
    server.put(zone, f"autoconfig.{zone}", "A", "192.0.2.81", off=True)
    assert registrar_asking.look(config, zone, plan(zone)).clashes == ()
    done = write(config, zone, plan(zone))
    assert (done.left.empty, done.refused) == (True, {})
    assert server.ask(zone, "MX") == ["10 mx.cloud.example."]
    assert server.ask(zone, "CAA") == ['0 issue "letsencrypt.org"'], "and what is off stays off"
    assert server.ask(f"autoconfig.{zone}", "CNAME") == ["portail.cloud.example."]


def test_a_zone_that_changed_meanwhile_is_not_written(server: PowerDns, config: Config, zone: str) -> None:
    found = registrar_asking.look(config, zone, plan(zone))
    server.put(zone, zone, "MX", "5 mx.new.example.")
    with pytest.raises(RegistrarRefused, match="changed"):
        registrar_asking.apply(config, zone, plan(zone), mark=found.mark, replace=())
    assert server.ask(zone, "MX") == ["5 mx.new.example."]


def test_a_refused_change_leaves_the_former_one_to_be_taken_back_and_one_cut_off_goes_back_whole(
    server: PowerDns, config: Config, zone: str
) -> None:
    write(config, zone, plan(zone))
    with pytest.raises(RegistrarRefused, match="changed"):
        registrar_asking.apply(config, zone, plan(zone), mark="0" * 32, replace=())
    journal = registrar.folder(config.state) / "keys" / f"{zone}.last"
    steps = registrar_asking.state(config, zone).steps
    # As after a power cut in the middle of a line.
    journal.write_text(journal.read_text().replace('{"end": true}\n', '{"doing": "re'))
    write(config, zone, plan(zone, Choices(dmarc="reject")))
    assert registrar_asking.state(config, zone).steps == steps + 2
    assert registrar_asking.undo(config, zone).refused == {}
    assert server.ask(f"_dmarc.{zone}", "TXT") == []
    assert registrar_asking.look(config, zone, plan(zone)).clashes == ()


def test_what_is_anothers_and_put_back_is_still_anothers(server: PowerDns, config: Config, zone: str) -> None:
    name = f"autoconfig.{zone}"
    server.put(zone, name, "CNAME", "www.old.example.")
    refused = plan(zone, servers=replace(CENTRE, front="portail..example"))
    assert f"{name} CNAME" in write(config, zone, refused, f"{name} CNAME").refused
    assert server.ask(name, "CNAME") == ["www.old.example."]
    [clash] = registrar_asking.look(config, zone, plan(zone)).clashes
    assert [one.data for one in clash.goes] == ["www.old.example."]


def test_what_could_not_be_put_back_is_put_back_later_whatever_was_written_meanwhile(
    server: PowerDns, config: Config, zone: str
) -> None:
    name = f"autoconfig.{zone}"
    server.put(zone, name, "A", "192.0.2.7")
    write(config, zone, plan(zone), f"{name} CNAME")
    server.put(zone, name, "CNAME", "www.other.example.")
    assert f"{name} A" in registrar_asking.undo(config, zone).refused
    write(config, zone, plan(zone))
    assert server.ask(zone, "MX") == ["10 mx.cloud.example."]
    server.put(zone, name, "CNAME")
    assert registrar_asking.undo(config, zone).refused == {}
    assert server.ask(name, "A") == ["192.0.2.7"]
    assert server.ask(zone, "MX") == []


def test_a_wrong_key_is_not_kept_and_a_former_one_stays(config: Config, zone: str) -> None:
    with pytest.raises(RegistrarRefused, match="key"):
        registrar_asking.keep(config, zone, "powerdns", {"auth_token": "wrong"})
    assert registrar_asking.look(config, zone, plan(zone)).adds
    with pytest.raises(RegistrarRefused, match="request"):
        registrar_asking.keep(config, zone, "powerdns", {"auth_token": "line\nfeed"})
    with pytest.raises(RegistrarRefused, match="request"):
        registrar_asking.keep(config, zone, "elsewhere", {"auth_token": pdns.KEY})


def test_a_domain_that_dns_does_not_know_and_one_without_a_key_are_said(config: Config) -> None:
    with pytest.raises(RegistrarRefused, match="zone"):
        registrar_asking.keep(config, "ailleurs.example", "powerdns", {"auth_token": pdns.KEY})
    with pytest.raises(RegistrarRefused, match="none"):
        registrar_asking.look(config, "ailleurs.example", plan("ailleurs.example"))
    for name in ("../../etc", "a", "A.example", ".example"):
        with pytest.raises(RegistrarRefused, match="request"):
            registrar_asking.state(config, name)


def test_keys_are_for_the_process_alone_and_forgotten_on_demand(config: Config, zone: str) -> None:
    path = registrar.folder(config.state) / "keys" / f"{zone}.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert registrar_asking.state(config, zone).provider == "powerdns"
    registrar_asking.forget(config, zone)
    assert registrar_asking.state(config, zone).provider == ""
    assert not list(path.parent.glob(f"{zone}.*"))


@pytest.fixture
def domain(server: PowerDns, beaune: Commune) -> Iterator[Domain]:
    server.add_zone(beaune.domain)
    yield Domain.objects.get(name=beaune.domain)
    server.call("DELETE", f"/zones/{beaune.domain}.")


@pytest.fixture
def console(config: Config, administrator: Actor, settings: object) -> Iterator[Client]:
    settings.BEFFROI = replace(  # type: ignore[attr-defined]
        settings.BEFFROI,  # type: ignore[attr-defined]
        state=config.state,
        powerdns_api=config.powerdns_api,
        resolver_port=config.resolver_port,
    )
    with on_listener("console"):
        yield console_client(administrator.id)


def said(answer: object, status: int = 200) -> str:
    assert answer.status_code == status  # type: ignore[attr-defined]
    text: str = answer.content.decode()  # type: ignore[attr-defined]
    assert pdns.KEY not in text
    return text


def test_an_administrator_gives_a_key_sees_what_differs_writes_it_and_takes_it_back(
    server: PowerDns, domain: Domain, console: Client
) -> None:
    server.put(domain.name, domain.name, "MX", "5 mx.old.example.")
    page = f"/domaines/{domain.id}/fournisseur/"
    assert "OVHcloud" in said(console.get(page))
    assert 'name="auth_token"' in said(console.get(page + "?chez=powerdns"))
    key = {"word": "keep", "provider": "powerdns", "auth_token": "wrong"}
    assert "a refusé ces identifiants" in said(console.post(page, key), 409)
    assert console.post(page, {**key, "auth_token": pdns.KEY}).status_code == 302
    seen = said(console.post(page, {"word": "look"}))
    assert "5 mx.old.example." in seen
    mark = seen.partition('name="mark" value="')[2].partition('"')[0]
    wrong = said(console.post(page, {"word": "apply", "mark": "0" * 32}), 409)
    assert mark in wrong, "the present difference is shown again"
    given = {"word": "apply", "mark": mark, "replace": [f"{domain.name} MX"]}
    assert "C’est écrit" in said(console.post(page, given))
    assert server.ask(domain.name, "MX") == ["10 mx.beffroi.test."]
    assert OutboxEvent.objects.filter(kind="mail:domain_published").count() == 1
    assert "est annulé" in said(console.post(page, {"word": "undo"}))
    assert server.ask(domain.name, "MX") == ["5 mx.old.example."]
    assert console.post(page, {"word": "forget"}).status_code == 302
    verbs = AuditEntry.objects.filter(object_id=domain.id).order_by("pk").values_list("verb", flat=True)
    assert [one.rpartition(":")[2] for one in verbs if "registrar" in one or "published" in one] == [
        "kept",
        "published",
        "undone",
        "forgotten",
    ]


def test_what_was_written_or_taken_back_before_a_cut_is_in_the_audit_log_and_nothing_else_is(
    server: PowerDns,
    config: Config,
    domain: Domain,
    console: Client,
    cut_after: Callable[[int | None], None],
) -> None:
    registrar_asking.keep(config, domain.name, "powerdns", {"auth_token": pdns.KEY})

    def act(status: int, word: str) -> list[str]:
        mark = registrar_asking.look(config, domain.name, queries.plan(domain)).mark
        said(console.post(f"/domaines/{domain.id}/fournisseur/", {"word": word, "mark": mark}), status)
        rows = AuditEntry.objects.filter(object_id=domain.id).order_by("pk").values_list("verb", flat=True)
        return [one.rpartition(":")[2] for one in rows if one.endswith((":published", ":undone"))]

    assert act(409, "undo") == [], "nothing is there to take back"
    cut_after(3)
    assert act(409, "apply") == ["published"]
    cut_after(None)
    assert act(200, "apply") == ["published", "published"]
    assert act(200, "apply") == ["published", "published"], "nothing was left to do"
    assert server.ask(domain.name, "MX") == ["10 mx.beffroi.test."]
    cut_after(2)
    assert act(409, "undo") == ["published", "published", "undone"]
    cut_after(None)
    assert act(200, "undo") == ["published", "published", "undone", "undone"]
    assert server.ask(domain.name, "MX") == []
    assert act(409, "undo") == ["published", "published", "undone", "undone"], "nothing is left to take back"


def test_a_stopped_service_is_said_with_what_to_do(domain: Domain, console: Client, settings: object) -> None:
    settings.BEFFROI = replace(settings.BEFFROI, state=Path("/nonexistent"))  # type: ignore[attr-defined]
    assert "./beffroi status" in said(console.get(f"/domaines/{domain.id}/fournisseur/"))

"""Collectivités and domains: enrolment, and what one commune sees of another."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes import actions, queries
from beffroi.core.communes.models import Collectivite, CollectiviteCode
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound

from tests.conftest import Commune

pytestmark = pytest.mark.usefixtures("database")


def test_commune_of_the_register_is_enrolled_with_its_dated_codes(administrator: Actor) -> None:
    dijon = actions.enrol_commune(actor=administrator, insee="21231")
    assert (dijon.name, dijon.kind) == ("Dijon", "commune")
    assert dijon.enrolled_at is not None
    assert queries.current_code(dijon.id, "insee") == "21231"
    assert queries.current_code(dijon.id, "siren") == "212102313"
    event = OutboxEvent.objects.get(kind="communes:collectivite_enrolled")
    assert json.loads(event.payload) == {"collectivite_id": dijon.id, "kind": "commune"}


def test_code_belongs_to_one_collectivite_at_a_time(administrator: Actor) -> None:
    dijon = actions.enrol_commune(actor=administrator, insee="21231")
    with pytest.raises(Conflict):
        actions.enrol_commune(actor=administrator, insee="21231")
    # After a merger the old code ends, and may be taken up by another collectivité.
    today = CollectiviteCode.objects.get(collectivite=dijon, scheme="insee").since
    CollectiviteCode.objects.filter(collectivite=dijon).update(until=today)
    assert actions.enrol_commune(actor=administrator, insee="21231").id != dijon.id
    assert queries.current_code(dijon.id, "insee") == ""


def test_communes_that_merged_go_on_under_a_new_name_and_the_former_code_is_free(
    administrator: Actor, beaune: Any, nuits: Any
) -> None:
    own = beaune.collectivite
    before = [queries.current_code(own.id, one) for one in ("insee", "siren")]
    assert before[0] == "21054" and queries.current_code(nuits.id, "insee") == "21464"
    assert actions.rename(
        actor=administrator, collectivite=own, name=" Beaune  la Neuve ", insee="21999", siren="212 102 313"
    )
    assert queries.names()[own.id] == "Beaune la Neuve"
    assert [queries.current_code(own.id, one) for one in ("insee", "siren")] == ["21999", "212102313"]
    assert CollectiviteCode.objects.get(value="21054").until is not None
    event = OutboxEvent.objects.get(kind="communes:collectivite_renamed")
    assert event.collectivite_id == own.id
    entry = AuditEntry.objects.get(verb=queries.RENAMED)
    told = json.loads(entry.details)
    assert [told["former"], told["former_insee"], told["former_siren"]] == ["Beaune", *before]
    # Given again nothing happens; the one that it took in takes the free code, and gives it back.
    again = {"name": "Beaune la Neuve", "insee": "21999", "siren": "212102313"}
    assert not actions.rename(actor=administrator, collectivite=own, **again)
    with pytest.raises(actions.CodeInUse):
        actions.rename(actor=administrator, collectivite=nuits.collectivite, name="Nuits", insee="21999")
    assert (
        queries.current_code(nuits.id, "insee") == "21464"
        and queries.names()[nuits.id] == "Nuits-Saint-Georges"
    )
    assert actions.rename(actor=administrator, collectivite=nuits.collectivite, name="Nuits", insee="21054")
    assert actions.rename(actor=administrator, collectivite=nuits.collectivite, name="Nuits")
    assert queries.current_code(nuits.id, "insee") == ""
    assert AuditEntry.objects.filter(verb=queries.RENAMED).count() == 3


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (("", "", ""), actions.NameInvalid),
        ((" \u3000 ", "", ""), actions.NameInvalid),
        (("x" * 201, "", ""), actions.NameInvalid),
        (("Beau\u202ene", "", ""), actions.NameInvalid),
        (("Beaune", "2105", ""), actions.InseeInvalid),
        (("Beaune", "2C054", ""), actions.InseeInvalid),
        (("Beaune", "", "212102314"), actions.SirenInvalid),
        (("Beaune", "", "\u0662" * 9), actions.SirenInvalid),
    ],
)
def test_what_is_no_name_or_code_changes_nothing(
    administrator: Actor, beaune: Any, said: tuple[str, str, str], error: type[Exception]
) -> None:
    name, insee, siren = said
    with pytest.raises(error):
        actions.rename(
            actor=administrator, collectivite=beaune.collectivite, name=name, insee=insee, siren=siren
        )
    assert (
        queries.names()[beaune.id] == "Beaune"
        and not AuditEntry.objects.filter(verb=queries.RENAMED).exists()
    )


def test_a_commune_does_not_name_itself_and_one_that_left_keeps_its_name(
    administrator: Actor, beaune: Any
) -> None:
    with pytest.raises(NotAllowed):
        actions.rename(actor=beaune.referent, collectivite=beaune.collectivite, name="Autre")
    Collectivite.objects.filter(pk=beaune.id).update(left_at=clock.now())
    with pytest.raises(actions.CollectiviteLeft):
        actions.rename(actor=administrator, collectivite=beaune.collectivite, name="Autre")


def test_unknown_code_kind_or_domain_is_refused(administrator: Actor, beaune: Any) -> None:
    with pytest.raises(NotFound):
        actions.enrol_commune(actor=administrator, insee="99999")
    with pytest.raises(Invalid):
        actions.create_collectivite(actor=administrator, kind="royaume", name="X")
    for name in ("", "beaune", "10.0.0.1", "a b.test", "x" * 64 + ".test"):
        with pytest.raises(Invalid):
            actions.add_domain(actor=administrator, collectivite=beaune.collectivite, name=name)


def test_domain_is_bound_once_in_its_canonical_spelling(
    administrator: Actor, beaune: Any, nuits: Any
) -> None:
    domain = actions.add_domain(actor=administrator, collectivite=beaune.collectivite, name="Côte-Beaune.FR.")
    assert domain.name == "xn--cte-beaune-rbb.fr"
    with pytest.raises(Conflict):
        actions.add_domain(actor=administrator, collectivite=nuits.collectivite, name="côte-beaune.fr")
    assert queries.collectivite_of_domain(domain.name) == beaune.id
    assert queries.collectivite_of_domain("mail." + domain.name) is None


def test_nobody_of_a_commune_enrols(beaune: Any) -> None:
    with pytest.raises(NotAllowed):
        actions.enrol_commune(actor=beaune.referent, insee="21231")
    with pytest.raises(NotAllowed):
        actions.add_domain(actor=beaune.referent, collectivite=beaune.collectivite, name="x.test")


def test_another_commune_and_its_domains_do_not_exist(beaune: Any, nuits: Any, administrator: Actor) -> None:
    domain = queries.visible_domains(beaune.agent).get()
    assert queries.access_collectivite(beaune.agent, beaune.id) == beaune.collectivite
    assert queries.access_domain(beaune.agent, domain.id) == domain
    assert set(queries.visible_collectivites(administrator)) == {beaune.collectivite, nuits.collectivite}
    assert list(queries.visible_collectivites(nuits.agent)) == [nuits.collectivite]
    for read, wanted in (
        (queries.access_collectivite, beaune.id),
        (queries.access_collectivite, "col_absent"),
        (queries.access_domain, domain.id),
        (queries.access_domain, "dom_absent"),
    ):
        with pytest.raises(NotFound):
            read(nuits.agent, wanted)


def test_what_proves_something_calls_a_commune_as_it_was_called_then(
    beaune: Commune, administrator: Actor
) -> None:
    before, owner = clock.now(), beaune.collectivite
    former = queries.called_then(owner, before)
    for name, siren in (("Beaune-Nuits", "212102107"), ("Val-de-Beaune", "")):
        actions.rename(actor=administrator, collectivite=owner, name=name, siren=siren)
        owner.refresh_from_db()
        assert queries.called_then(owner, before) == former
        assert queries.called_then(owner, clock.now() + timedelta(seconds=1)) == {
            "name": name,
            "siren": siren,
            "insee": "",
        }

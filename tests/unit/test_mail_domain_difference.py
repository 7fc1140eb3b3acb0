"""What differs between a zone and our plan, in the spellings of several providers; how each interface is spoken to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from beffroi.mail.domains import hands as hands_module
from beffroi.mail.domains.difference import Difference, Row, difference, planned, row
from beffroi.mail.domains.hands import Hands, Trouble, moves, trouble
from beffroi.mail.domains.providers import PROVIDERS, credentials
from beffroi.mail.domains.records import Choices, PublicKey, Servers, plan
from lexicon.exceptions import AuthenticationError

ZONE = "mairie.example"
CENTRE = Servers(mx="mx.cloud.example", front="portail.cloud.example", imaps_port=993, submission_port=587)
PLAN = planned(plan(ZONE, CENTRE, Choices(), [PublicKey("beffroi1", "A/b+" * 98)]))


@pytest.mark.parametrize(
    ("spelt", "one"),
    [
        (("@.mairie.example", "MX", "10 MX.cloud.example"), Row(ZONE, "MX", "10 mx.cloud.example.")),
        ((".mairie.example", "TXT", '"v=spf1 mx -all"'), Row(ZONE, "TXT", "v=spf1 mx -all")),
        (("mairie.example", "SPF", '"v=spf1 mx -all"'), Row(ZONE, "TXT", "v=spf1 mx -all")),
        (("k._domainkey.Mairie.Example.", "DKIM", 'a" "b'), Row(f"k._domainkey.{ZONE}", "TXT", "ab")),
        ((f"_dmarc.{ZONE}", "DMARC", "v=DMARC1\\; p=none"), Row(f"_dmarc.{ZONE}", "TXT", "v=DMARC1; p=none")),
        ((ZONE, "CAA", '0 issue "letsencrypt.org"'), Row(ZONE, "CAA", "0 issue letsencrypt.org")),
        ((f"_imaps._tcp.{ZONE}", "SRV", "0 1  993 mx.a"), Row(f"_imaps._tcp.{ZONE}", "SRV", "0 1 993 mx.a.")),
    ],
)
def test_one_spelling_for_what_providers_spell_in_several(spelt: tuple[str, str, str], one: Row) -> None:
    assert row(*spelt) == one


def test_what_stands_there_as_planned_is_no_difference() -> None:
    assert difference({one for one, _ in PLAN}, PLAN, ()).empty


def test_another_pointer_holds_its_name_as_a_whole_until_a_person_says_so() -> None:
    there = {Row(f"_dmarc.{ZONE}", "CNAME", "elsewhere.example.")}
    found = difference(there, PLAN, ())
    key = f"_dmarc.{ZONE} TXT"
    assert [one.key for one in found.clashes] == [key]
    assert f"_dmarc.{ZONE}" not in {one.name for _goes, comes in moves(found, ()) for one in comes}
    said = [pair for pair in moves(found, {key}) if pair[0]]
    assert said == [(list(found.clashes[0].goes), list(found.clashes[0].comes))]


def test_what_we_wrote_and_want_no_more_goes_without_a_question() -> None:
    old = Row(f"_mta-sts.{ZONE}", "TXT", "v=STSv1; id=old;")
    assert difference({old}, PLAN, {old}).removes == (old,)
    assert difference({old}, PLAN, ()).clashes[0].goes == (old,)
    stranger = Row(f"autre.{ZONE}", "TXT", "x")
    assert difference({stranger}, PLAN, ()).removes == ()


def test_another_difference_has_another_mark() -> None:
    marks = {difference(there, PLAN, ()).mark for there in (set(), {Row(ZONE, "MX", "5 a.")}, {PLAN[0][0]})}
    assert len(marks) == 3
    assert Difference().mark == Difference(well=3).mark


class Interface:
    """As lexicon's driver of Gandi: records of a name and type are replaced together; texts are told without quotes."""

    def __init__(self, *held: dict[str, str]) -> None:
        self.held, self.asked = list(held), []
        self.provider = SimpleNamespace(domain=ZONE)

    def list_records(self) -> list[dict[str, str]]:
        return self.held

    def update_record(self, *arguments: Any) -> None:
        self.asked.append(("update", *arguments))

    def delete_record(self, *arguments: Any) -> None:
        self.asked.append(("delete", *arguments))


def test_an_interface_of_sets_keeps_what_stands_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands_module, "say", lambda _line: None)
    beside = {"name": "@.mairie.example", "type": "TXT", "content": 'site-verification=a b" "c', "id": "@"}
    interface = Interface(beside)
    hands = Hands(PROVIDERS["gandi"], interface)
    hands.rows()
    spf = Row(ZONE, "TXT", "v=spf1 mx -all")
    hands.add(spf)
    kept = '"site-verification=a b" "c"'
    assert interface.asked.pop() == ("update", None, "TXT", "@", [kept, '"v=spf1 mx -all"'])
    hands.remove(spf)
    assert interface.asked.pop() == ("update", None, "TXT", "@", [kept])
    hands.remove(Row(ZONE, "TXT", "site-verification=a bc"))
    assert interface.asked.pop() == ("delete", None, "TXT", "@")


def test_a_name_that_cannot_be_emptied_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands_module, "say", lambda _line: None)
    name = f"autoconfig.{ZONE}"
    stands = [Row(name, "A", "192.0.2.1"), Row(name, "AAAA", "2001:db8::1")]

    class Locked:
        def __init__(self) -> None:
            self.held = {
                one: {"name": name, "type": one.type, "content": one.data, "id": one} for one in stands
            }
            self.provider = SimpleNamespace(domain=ZONE)

        def list_records(self) -> list[dict[str, Any]]:
            return list(self.held.values())

        def create_record(self, kind: str, name: str, data: str) -> None:
            self.held[Row(name, kind, data)] = {"name": name, "type": kind, "content": data, "id": "new"}

        def delete_record(self, one: Row) -> None:
            if one.type == "AAAA":
                error = OSError()
                error.response = SimpleNamespace(status_code=422)  # type: ignore[attr-defined]
                raise error
            del self.held[one]

    interface = Locked()
    hands = Hands(PROVIDERS["scaleway"], interface)
    hands.rows()
    pointer = Row(name, "CNAME", "portail.example.")
    refused = hands_module.change(hands, [(stands, [pointer])])
    assert refused == {f"{name} AAAA": "refused"}
    assert {(one["type"], one["content"]) for one in interface.held.values()} == {
        (one.type, one.data) for one in stands
    }


def test_a_providers_exception_becomes_a_word_and_its_text_goes_nowhere() -> None:
    error = OSError("token abc")
    error.response = SimpleNamespace(status_code=403)  # type: ignore[attr-defined]
    assert trouble(error).code == "key"
    for given, code in (
        (AuthenticationError("Domain x not found"), "zone"),
        (AuthenticationError("bad"), "key"),
        (TimeoutError(), "silent"),
        (KeyError("secret"), "odd"),
        (Trouble("haste"), "haste"),
    ):
        assert trouble(given).code == code
        assert "secret" not in str(trouble(given))


def test_a_form_gives_what_was_asked_for_and_nothing_else() -> None:
    ovh = PROVIDERS["ovh"]
    full = {one.key: f" {one.key}-value " for one in ovh.fields}
    assert credentials(ovh, {**full, "auth_entrypoint": "elsewhere"}) == {
        key: value.strip() for key, value in full.items()
    }
    for wrong in ("", "x" * 401, "é", "a\nb", 3):
        assert credentials(ovh, {**full, "auth_consumer_key": wrong}) == {}

"""The page of the centre's own test mail; the mails are real in tests/clients/test_mail_probe.py."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.mail.probe import actions, queries
from beffroi.mail.probe.paths import Result
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db


def text(answer: Any) -> str:
    return answer.content.decode()


def test_the_page_says_which_path_fails_and_what_to_look_at(administrator: Actor) -> None:
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "Aucun courriel de contrôle depuis un jour" in text(client.get("/sonde/"))
        actions.keep([Result("incoming", "", 800), Result("submission", "late", 45_000)])
        assert "Le courrier passe" in text(client.get("/sonde/")), "one failure may be a restart"
        actions.keep([Result("incoming", "", 900), Result("submission", "late", 45_000)])
        page = text(client.get("/sonde/"))
        assert "1 chemin du courrier ne fonctionne plus." in page
        assert "Accepté, mais pas arrivé à temps" in page
        assert "d’ordinaire 850\N{NO-BREAK SPACE}ms" in page and "45,0\N{NO-BREAK SPACE}s" in page
        assert "1 chemin du courrier ne fonctionne plus" in text(client.get("/"))


def test_each_path_has_its_name_and_what_to_look_at(administrator: Actor) -> None:
    actions.keep(
        [Result("webmail", "late", 45_000), Result("relay", "refused", 9), Result("echo", "no_echo", 0)] * 2
    )
    assert queries.alarms(administrator) == 3
    with on_listener("console"):
        page = text(console_client(administrator.id).get("/sonde/"))
    for said in (
        "Courrier écrit dans le portail",
        "Regardez webmail et son journal",
        "Courrier des copieurs, remis par les boîtiers",
        "Courrier qui sort et revient",
        "pas revenu en dix minutes",
    ):
        assert said in page


def test_nobody_of_a_commune_sees_it(beaune: Commune) -> None:
    actions.keep([Result("incoming", "late", 1)] * 2)
    with pytest.raises(NotFound):
        queries.ways(beaune.referent)
    assert queries.alarms(beaune.referent) == 0
    with on_listener("console"):
        assert Client().get("/sonde/", secure=True).status_code == 302


def test_a_path_that_settings_dropped_alarms_no_more(administrator: Actor) -> None:
    for _ in range(3):
        actions.keep([Result("incoming", "", 800), Result("out-b", "not_here", 1), Result("echo", "", 9)])
    assert queries.alarms(administrator) == 1
    actions.keep([Result("incoming", "", 800)])
    assert {one.path for one in queries.ways(administrator)} == {"incoming", "out-b", "echo"}
    actions.keep([Result("incoming", "", 800), Result("echo", "", 9)])
    assert {one.path for one in queries.ways(administrator)} == {"incoming", "echo"}
    assert queries.alarms(administrator) == 0


def test_runs_that_a_clock_ahead_dated_hide_no_failure_since(administrator: Actor) -> None:
    with clock.jumped(400 * 86400):
        actions.keep([Result("incoming", "", 800), Result("relay", "", 9)])
    for failures in (1, 2):
        told = actions.keep([Result("incoming", "", 800), Result("relay", "refused", 9)])
        assert [one.failures for one in told] == [0, failures]
    assert queries.alarms(administrator) == 1
    assert [one.day for one in queries.ways(administrator)] == [2, 2]

"""Which addresses a name from outside may lead to: every spelling of an inside one is refused."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib import config as config_module
from beffroi.lib import public
from beffroi.lib.config import Config
from beffroi.mail.importing import source
from beffroi.mail.importing.errors import AddressInside, Unreachable
from beffroi.mail.importing.source import Where

INSIDE = {
    "loopback": "127.0.0.1",
    "private": "10.0.0.1",
    "carrier": "100.64.0.1",
    "metadata of a cloud": "169.254.169.254",
    "this network": "0.0.0.0",
    "benchmarking": "198.18.0.1",
    "multicast": "224.0.0.251",
    "broadcast": "255.255.255.255",
    "relay of 6to4": "192.88.99.1",
    "loopback 6": "::1",
    "unspecified": "::",
    "link-local": "fe80::1%eth0",
    "site-local": "fec0::1",
    "unique local": "fd00:ec2::254",
    "multicast 6": "ff02::1",
    "segment routing": "5f00::1",
    "documentation": "2001:db8::1",
    "mapped": "::ffff:10.0.0.1",
    "compatible": "::10.0.0.1",
    "translated": "::ffff:0:10.0.0.1",
    "NAT64": "64:ff9b::10.0.0.1",
    "NAT64 of metadata": "64:ff9b::169.254.169.254",
    "NAT64 of a local prefix": "64:ff9b:1::10.0.0.1",
    "6to4": "2002:a00:1::1",
    "6to4 of a public address": "2002:808:808::1",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
}
PUBLIC = ["80.12.24.1", "::ffff:80.12.24.1", "64:ff9b::80.12.24.1", "2001:861::1", "2a01:e0c::1"]


def is_public(text: str) -> bool:
    return public.is_public(public.reached(text))


@pytest.mark.parametrize("name", INSIDE)
def test_an_address_inside_is_none_of_the_internet_however_it_is_written(name: str) -> None:
    assert not is_public(INSIDE[name])


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_one(address: str) -> None:
    assert is_public(address)


@pytest.fixture
def bare(tmp_path: Path) -> Config:
    (tmp_path / "beffroi.toml").write_text("")
    return config_module.load(tmp_path)


def _leading_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """A name that answers with these addresses, one list a question."""
    left = list(answers)

    def asked(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(0, 0, 0, "", (address, port)) for address in left.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", asked)


OLD = Where("imap.evil.example", 993, "implicit", "a", "b")


@pytest.mark.parametrize("name", INSIDE)
def test_an_old_mailbox_is_read_at_no_address_inside(
    name: str, bare: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One honest address beside it makes it no better: which of them is taken is not the name's to choose.
    _leading_to(monkeypatch, ["80.12.24.1", INSIDE[name]])
    with pytest.raises(AddressInside), source.open_source(bare, OLD):
        pass


def test_a_network_that_the_operator_named_is_asked_in_each_of_its_spellings(
    bare: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = replace(bare, import_networks="10.0.0.0/24")
    spellings = ["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1"]
    _leading_to(monkeypatch, spellings)
    assert source._addresses(allowed, OLD) == spellings


def test_a_name_that_answers_otherwise_the_second_time_is_not_asked_twice(
    bare: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[tuple[str, int]] = []

    def connected(address: tuple[str, int], timeout: float | None = None) -> socket.socket:
        met.append(address)
        raise OSError("nobody there")

    _leading_to(monkeypatch, ["80.12.24.1"], ["127.0.0.1"])
    monkeypatch.setattr(socket, "create_connection", connected)
    with pytest.raises(Unreachable), source.open_source(bare, OLD):
        pass
    assert met == [("80.12.24.1", 993)]

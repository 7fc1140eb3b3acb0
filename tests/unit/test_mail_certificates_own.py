"""The certificates of the centre's own names: a person hears of their end in time, and what to do."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.cli import report
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.certificates import own
from beffroi.supervise import certificates, status

from tests.certificates import self_signed


@pytest.fixture
def place() -> Iterator[Config]:
    with tempfile.TemporaryDirectory(prefix="bf-") as name:
        (Path(name) / "beffroi.toml").touch()
        made = Config(state=Path(name))
        certificates.ensure(made)
        yield made


def brought(place: Config, days: int, *more: bytes) -> None:
    """One of a public authority in the place of ours, with what follows it in the file."""
    path, key = own.folder(place) / "portal.pem", own.folder(place) / "brought.key"
    self_signed(path, key, "portail.exemple.fr", days=days)
    path.write_bytes(path.read_bytes() + b"".join(more) + key.read_bytes())


def said(place: Config) -> str:
    own.note(place)
    return own.problem(place, now=clock.epoch_s())


def test_a_certificate_that_was_brought_is_told_thirty_days_before_its_end(place: Config) -> None:
    assert said(place) == ""
    brought(place, 40)
    assert said(place) == ""
    with clock.shifted(15.5 * 86400):
        told = said(place)
    assert str(own.folder(place) / "portal.pem") in told and "in 24 days" in told
    assert "its key" in told and "./beffroi up" in told and "mail.pem" not in told
    with clock.shifted(41 * 86400):
        assert " ended on " in said(place)


def test_one_of_its_chain_that_ends_before_counts(place: Config, tmp_path: Path) -> None:
    self_signed(tmp_path / "between.pem", tmp_path / "between.key", "Autorité", days=10)
    brought(place, 300, (tmp_path / "between.pem").read_bytes())
    with clock.shifted(43200):
        assert "in 9 days" in said(place)


def test_our_own_is_renewed_by_a_start_and_said_where_none_came(place: Config) -> None:
    with clock.shifted((certificates.LEAF_LIFE - timedelta(days=20)).total_seconds()):
        assert said(place).count("which renews it") == len(own.FILES)
        certificates.ensure(place)
        assert said(place) == ""


def test_a_file_without_a_certificate_is_told_and_stops_a_start_with_a_sentence(place: Config) -> None:
    (own.folder(place) / "portal.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    assert "no certificate that can be read" in said(place)
    with pytest.raises(certificates.CertificateUnusable):
        certificates.ensure(place)


def test_a_certificate_without_its_own_key_stops_a_start_and_is_never_replaced(
    place: Config, tmp_path: Path
) -> None:
    tls = own.folder(place)
    for name in ("mail", "other"):
        self_signed(tmp_path / f"{name}.pem", tmp_path / f"{name}.key", "mx.exemple.fr", days=60)
    mail = (tmp_path / "mail.pem").read_bytes()
    (tls / "mail.pem").write_bytes(mail)
    for key, why in (
        (None, "no key that can be read in mail.key"),
        ((tmp_path / "mail.pem").read_bytes(), "no key that can be read in mail.key"),
        ((tmp_path / "other.key").read_bytes(), "is not for the key in mail.key"),
    ):
        (tls / "mail.key").unlink(missing_ok=True)
        if key is not None:
            (tls / "mail.key").write_bytes(key)
        with pytest.raises(certificates.CertificateUnusable, match=why):
            certificates.ensure(place)
        assert (tls / "mail.pem").read_bytes() == mail
    (tls / "mail.key").write_bytes((tmp_path / "mail.key").read_bytes())
    assert certificates.ensure(place) == []
    (tls / "portal.pem").write_bytes(mail)
    with pytest.raises(certificates.CertificateUnusable, match=r"in portal\.pem"):
        certificates.ensure(place)


def test_the_status_says_it_and_ends_with_one(place: Config, capsys: pytest.CaptureFixture[str]) -> None:
    lock = status.Lock(place)
    found = status.CentreStatus(os.getpid(), str(place.state), 0, ready=True, written_at=clock.epoch_s())
    status.write(status.status_path(place), found, draft_directory=status.directory(place))
    assert report.main(["--state", str(place.state)]) == 0
    capsys.readouterr()
    brought(place, 12)
    own.note(place)
    assert report.main(["--state", str(place.state), "--json"]) == 1
    assert "Next: put the new one there" in json.loads(capsys.readouterr().out)["certificates"]
    assert report.main(["--state", str(place.state)]) == 1
    assert "Next: put the new one there" in capsys.readouterr().out
    lock.release()

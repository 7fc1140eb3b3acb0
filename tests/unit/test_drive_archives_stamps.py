"""Time stamps: what is believed, and everything that is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from beffroi.drive.archives import der, manifest, report, stamps
from beffroi.portal.drive_seal_words import sentences
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from tests.archive_entries import KEY, SUBJECT, TRUSTED, folder, unhurried
from tests.time_authority import NOW, answer, authority

DATA = b"beffroi/seal/1\n"
OURS, OTHER = authority(), authority()
GOOD = answer(OURS, DATA)


def test_a_stamp_says_when_and_by_whom() -> None:
    stamp = stamps.verify(GOOD, DATA, [OTHER.root, OURS.root], nonce=7)
    assert stamp == stamps.Stamp(NOW, "Horodatage", "1.2.3", 99)
    parts = stamps.verify(answer(OURS, DATA, at="20261127050000.25Z"), DATA, [OURS.root])
    assert parts.at == datetime(2026, 11, 27, 5, 0, 0, 250_000, UTC)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (answer(OURS, DATA + b"x"), "other bytes"),
        (answer(OTHER, DATA), "trusted authority"),
        (answer(OURS, DATA, nonce=8), "another request"),
        (answer(OURS, DATA, status=2), "did not grant"),
        (answer(OURS, DATA, named=OTHER.certificate), "another certificate"),
        (answer(OURS, DATA, token=lambda token: token.replace(b"2026", b"2025")), "not what was signed"),
        (answer(OURS, DATA, token_kind="1.2.840.113549.1.7.1"), "no time"),
        (answer(OURS, DATA, at="20251127050000Z"), "trusted authority"),
        (answer(OURS, DATA, at="20271227050000Z"), "trusted authority"),
        (answer(OURS, DATA, at="demain"), "form"),
        (answer(replace(OURS, key=OTHER.key), DATA), "signature"),
        (b"", "form"),
        (b"\x30\x80\x00\x00", "form"),
        (b"\x30\x00", "form"),
        (bytes(stamps.RESPONSE_BYTES + 1), "large"),
        (GOOD + b"\x00", "form"),
    ],
)
def test_what_is_not_proved_is_refused(response: bytes, reason: str) -> None:
    with pytest.raises(stamps.StampInvalid, match=reason):
        stamps.verify(response, DATA, [OURS.root], nonce=7)


@pytest.mark.parametrize(
    "made",
    [
        {"uses": ()},
        {"uses": (ExtendedKeyUsageOID.CODE_SIGNING,)},
        {"uses": (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)},
        {"critical": False},
    ],
)
def test_a_certificate_that_is_not_for_time_stamps_alone_is_refused(made: dict[str, Any]) -> None:
    one = authority(**made)
    with pytest.raises(stamps.StampInvalid, match="time stamps"):
        stamps.verify(answer(one, DATA), DATA, [one.root])


def test_without_a_trusted_authority_nothing_is_proved() -> None:
    with pytest.raises(stamps.StampInvalid, match="no authority"):
        stamps.verify(GOOD, DATA, [])


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # serials below 1
@pytest.mark.parametrize("change", [0x01, 0x02, 0x10, 0x80, 0xFF])
def test_a_changed_byte_changes_no_time(change: int) -> None:
    """Each byte of the response in turn: refused, or nothing that is said is another."""
    for place in range(len(GOOD)):
        raw = bytearray(GOOD)
        raw[place] ^= change
        try:
            found = stamps.verify(bytes(raw), DATA, [OURS.root], nonce=7)
        except stamps.StampInvalid:
            continue
        assert found == stamps.Stamp(NOW, "Horodatage", "1.2.3", 99), place


@unhurried
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_and_nothing_else_happens(raw: bytes) -> None:
    with pytest.raises(stamps.StampInvalid):
        stamps.verify(raw, DATA, [OURS.root])


@unhurried
@given(st.integers(0, 1 << 200), st.integers(1, 40))
def test_what_is_written_is_read(value: int, times: int) -> None:
    raw = der.written(der.SEQUENCE, *[der.number(value)] * times, der.object_id("2.16.840.1.101.3.4.2.1"))
    *numbers, kind = der.only(raw).inner(der.SEQUENCE)
    assert [one.number for one in numbers] == [value] * times
    assert kind.object == "2.16.840.1.101.3.4.2.1"


@pytest.mark.parametrize(
    "raw", ["0201", "02810100", "0282000100", "3080", "1f0100", "0285000000000100", "02"]
)
def test_what_is_not_der_is_refused(raw: str) -> None:
    with pytest.raises(der.DerInvalid):
        der.only(bytes.fromhex(raw))


def test_a_report_says_what_proves_the_time() -> None:
    entries = folder({"a.pdf": b"un"})
    sealed = manifest.seal(entries, SUBJECT, KEY)
    stamped = replace(sealed, stamp=answer(OURS, sealed.statement))

    def said(one: manifest.Sealed, *roots: Any) -> tuple[bool, str, str]:
        found = report.verify(one, entries, keys=TRUSTED, damaged=(), authorities=roots)
        return found.intact, found.stamp, sentences(found)[-1]

    assert said(sealed)[:2] == (True, "none")
    assert "l’entrée 4211 du journal d’audit" in said(sealed)[2]
    assert said(stamped)[:2] == (True, "unchecked")
    valid = (
        True,
        "valid",
        "Date prouvée par l’horodatage de Horodatage\u00a0: le 27 novembre 2026, 6\u00a0h\u00a000 (heure de Paris).",
    )
    assert said(stamped, OURS.root) == valid
    assert said(replace(sealed, stamp=GOOD), OURS.root)[:2] == (False, "invalid")
    assert said(stamped, OTHER.root)[:2] == (False, "invalid")


def test_a_certificate_with_a_name_of_a_kind_that_is_not_known_is_refused() -> None:
    one = authority(
        more=(x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"0\x04\xa5\x02\x0c\x00"),)
    )
    with pytest.raises(stamps.StampInvalid, match="not supported"):
        stamps.verify(answer(one, DATA), DATA, [one.root])

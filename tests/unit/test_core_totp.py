"""One-time codes, against the published vectors."""

from __future__ import annotations

import base64

import pytest
from beffroi.core.identity import totp

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("epoch_s", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_code_is_that_of_rfc_6238_appendix_b(epoch_s: int, code: str) -> None:
    assert totp.code_at(SECRET, epoch_s) == code


def test_code_opens_within_one_step_and_only_once() -> None:
    at = 1111111111
    code, step = totp.code_at(SECRET, at), at // 30
    for shift in (-30, 0, 30):
        assert totp.matching_step(SECRET, code, epoch_s=at + shift, after_step=0) == step
    for shift in (-61, 61):
        assert totp.matching_step(SECRET, code, epoch_s=at + shift, after_step=0) is None
    assert totp.matching_step(SECRET, code, epoch_s=at, after_step=step) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "٢٨٧٠٨٢", "-87082", "28 70 8"])
def test_text_that_is_no_code_is_refused(code: str) -> None:
    assert totp.matching_step(SECRET, code, epoch_s=59, after_step=0) is None


def test_code_may_be_typed_in_two_groups() -> None:
    assert totp.matching_step(SECRET, "287 082", epoch_s=59, after_step=0) == 1

"""The schedule of faults, and the letters of the laboratory's past."""

from __future__ import annotations

from email import message_from_bytes

from beffroi_lab import faults, history
from beffroi_lab.world import protected
from hypothesis import given
from hypothesis import strategies as st

LETTERS = "ABC"


@given(st.integers())
def test_a_seed_gives_one_schedule_with_faults_inside_every_step(seed: int) -> None:
    made = faults.schedule(seed, LETTERS)
    assert made == faults.schedule(seed, LETTERS)
    assert [f.step for f in made] == [step for step in faults.STEPS for _ in range(faults.FAULTS_A_STEP)]
    for fault in made:
        assert 0 <= fault.share < 1
        at_a_box = fault.kind in ("kill agent", "cut")
        assert fault.target in (LETTERS if at_a_box else (*faults.KILLED, *faults.RESTARTED))
        assert (fault.lasts_s > 0) is at_a_box


def test_seeds_differ() -> None:
    assert len({tuple(faults.schedule(seed, LETTERS)) for seed in range(50)}) == 50


def test_a_letter_of_the_past_is_an_ordinary_mail_whose_names_could_be_called_new() -> None:
    for one in history.CORRESPONDENTS:
        mail = history.letter(one, "secretariat@mairie-nolay.fr")
        read = message_from_bytes(mail.data)
        assert read["Message-ID"] == mail.message_id and read["From"] == one.address
        assert one.link.encode() in read.get_payload(decode=True)
        assert not protected(one.domain) and not protected(one.link_host)

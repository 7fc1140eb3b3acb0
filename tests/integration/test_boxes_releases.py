"""Software for boxes at the centre: signed offline, handed out by stages over the real stream, stopped by itself."""

from __future__ import annotations

import hashlib
import subprocess
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.boxes import ahead, releases, rollout
from beffroi.boxes.models import Box, BoxRelease, BoxUpdate
from beffroi.cli import keys
from beffroi.cli import releases as cli
from beffroi.cli.entering import FileUnusable
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotAllowed, NotFound
from beffroi_protocol.facts import FactBatch, SoftwareUpdated
from beffroi_protocol.messages import Release, encode
from beffroi_protocol.signing import ROLE_FEED, ROLE_SOFTWARE, Signer, b64, delegate, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.conftest import Commune
from tests.fixtures_stream import BoxClient, Centre, eventually, running_centre  # noqa: F401

SOFTWARE = Ed25519PrivateKey.generate()
CONTENT = b"a package, more or less" * 1000
Sign = Callable[..., dict[str, bytes]]


@pytest.fixture
def signed(centre: Centre, settings: Any) -> Sign:
    """The offline machine: the root delegates the software key, which signs."""
    settings.BEFFROI = centre.config
    (centre.config.state / "projections").mkdir()  # of the mail's consumers, which run too

    def sign(
        number: int = 1, *, role: str = ROLE_SOFTWARE, key: Ed25519PrivateKey = SOFTWARE
    ) -> dict[str, bytes]:
        now = clock.epoch_s()
        release = Release(
            1,
            number,
            f"0.{number}",
            hashlib.sha256(CONTENT).hexdigest(),
            len(CONTENT),
            now,
            now - 60,
            now + 86400,
        )
        delegation = delegate(
            centre.root,
            public_bytes(SOFTWARE),
            serial=1,
            not_before=now - 60,
            not_after=now + 86400,
            role=role,
        )
        return {
            "line": Signer(key, role=ROLE_SOFTWARE).line(release),
            "delegation": delegation,
            "content": CONTENT,
        }

    return sign


def test_from_the_offline_machine_to_the_first_commune_by_the_commands(
    centre: Centre, settings: Any, beaune: Commune, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.BEFFROI = centre.config
    tree = tmp_path / "tree/DEBIAN"
    tree.mkdir(parents=True)
    (tree / "control").write_text(
        "Package: beffroi-box\nVersion: 0.3.1-1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: x\n"
    )
    deb, root_key = tmp_path / "box.deb", tmp_path / "root.key"
    subprocess.run(["dpkg-deb", "--build", str(tmp_path / "tree"), str(deb)], check=True, capture_output=True)
    root_key.write_text(b64(centre.root.private_bytes_raw()))

    def run(main: Callable[[list[str]], int], *words: str) -> str:
        assert main(list(words)) == 0
        return capsys.readouterr().out.strip()

    def kept(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    software = str(tmp_path / "software.key")
    public = kept("software.pub", run(cli.main, "key", software))
    assert (tmp_path / "software.key").stat().st_mode & 0o777 == 0o600
    words = ("--public-key", public, "--root-key", str(root_key), "--serial", "1", "--role", "software")
    delegation = kept("delegation", run(keys.main, "delegate", *words))
    signing = ("sign", "--deb", str(deb), "--software-key", software, "--number")
    line = kept("line", run(cli.main, *signing, "4"))

    def on_centre(*words: str) -> str:
        options = cli._parser().parse_args(list(words))
        given = [cli._read(Path(p)) for p in (deb, line, delegation)] if words[0] == "store" else []
        assert cli._act(options, given) == 0
        return capsys.readouterr().out

    assert "version 0.3.1-1" in on_centre(
        "store", "--deb", str(deb), "--line", line, "--delegation", delegation
    )
    centre.box(beaune.id)
    assert "begins with Beaune" in on_centre("start", "4", "--canary", "21054")
    on_centre("stop", "4")
    assert "goes on" in on_centre("resume", "4")
    assert "running" in on_centre("show")
    with pytest.raises(NotFound):
        on_centre("start", "4", "--canary", "00000")
    with pytest.raises(keys.DelegationMisfit):  # a software key never becomes the feed's
        keys.install(centre.config, Path(delegation).read_bytes())
    with pytest.raises(FileUnusable):
        cli.main(["key", software])
    for wrong in ("0", "-1"):
        with pytest.raises(cli.ReleaseUnusable):
            cli.main([*signing, wrong])
    deb.write_bytes(b"no package")
    with pytest.raises(cli.ReleaseUnusable):
        cli.main([*signing, "5"])


def update_of(box: BoxClient) -> BoxUpdate:
    return BoxUpdate.objects.get(box_id=box.id)


def tell(box: BoxClient, outcome: str, number: int = 1, reason: str = "because") -> None:
    fact = SoftwareUpdated(f"sof_{outcome}{number}", number, "0.1", outcome, reason, 1)
    assert box.post("/v1/facts", encode(FactBatch(1, (fact,)))).status == 200
    run_pending("main")


def present(*boxes: BoxClient) -> None:
    Box.objects.filter(pk__in=[box.id for box in boxes]).update(last_seen_at=clock.now())


def test_only_what_the_offline_software_key_signed_is_stored(
    centre: Centre, signed: Sign, administrator: Actor, beaune: Commune
) -> None:
    feed = signed(key=centre.feed)
    for wrong in (
        {**signed(), "content": CONTENT + b"x"},
        signed(role=ROLE_FEED),
        feed,
        {**signed(), "line": b"bf1 x y z"},
        {**signed(), "delegation": feed["line"]},
    ):
        with pytest.raises(releases.ReleaseRefused):
            releases.store(actor=administrator, **wrong)
    with pytest.raises(NotAllowed):
        releases.store(actor=beaune.referent, **signed())
    assert BoxRelease.objects.count() == 0
    releases.store(actor=administrator, **signed(2))
    for number in (1, 2):
        with pytest.raises(releases.ReleaseRefused):
            releases.store(actor=administrator, **signed(number))
    assert BoxRelease.objects.get().state == "stored"


def test_a_box_that_is_asked_hears_the_release_fetches_it_and_tells(
    centre: Centre, signed: Sign, administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    canary, other = centre.box(beaune.id), centre.box(nuits.id)
    present(canary, other)
    row = releases.store(actor=administrator, **signed())
    assert releases.look() == 0  # it waits for a person
    path = f"/v1/files/{row.sha256}"
    fetch = lambda box: centre.request("GET", path, b"", box.headers("GET", path))  # noqa: E731
    assert fetch(canary).status == 404

    session = centre.session("box")
    held = canary.follow("box:0:0:")
    releases.start(actor=administrator, number=1, canary=beaune.collectivite)
    assert releases.look() == 1
    assert update_of(canary).outcome == ""
    assert not BoxUpdate.objects.filter(box_id=other.id).exists()
    heard = [session.receive(held.line(), monotonic=0.0) for _ in range(6)]
    assert [one.number for one in heard if isinstance(one, Release)] == [1]
    again = centre.session("box")  # one that comes back later hears it at once
    later = canary.follow("box:0:0:")
    heard = [again.receive(later.line(), monotonic=0.0) for _ in range(5)]
    assert [one.number for one in heard if isinstance(one, Release)] == [1]

    answer = fetch(canary)
    assert zlib.decompress(answer.body) == CONTENT
    assert (fetch(other).status, fetch(other).code) == (404, "access.not_found")
    tell(other, "rolled_back")  # nobody asked it
    tell(canary, "installed")
    tell(canary, "rolled_back")  # the first word counts
    assert (update_of(canary).outcome, BoxUpdate.objects.count()) == ("installed", 1)


def offered(centre: Centre, box: BoxClient) -> list[int]:
    """The releases that it hears of when it comes back."""
    session, held = centre.session("box"), box.follow("box:0:0:")
    heard = [session.receive(held.line(), monotonic=0.0) for _ in range(4)]
    return [one.number for one in heard if isinstance(one, Release)]


def test_one_without_room_is_offered_it_again_and_one_that_refused_for_another_reason_is_not(
    centre: Centre, signed: Sign, administrator: Actor, beaune: Commune
) -> None:
    full, odd = centre.box(beaune.id), centre.box(beaune.id)
    present(full, odd)
    releases.store(actor=administrator, **signed())
    releases.start(actor=administrator, number=1, canary=beaune.collectivite)
    assert releases.look() == 2
    tell(full, "refused", reason="it cannot be written here: ENOSPC")
    tell(odd, "refused", reason="digest")
    assert (offered(centre, full), offered(centre, odd)) == ([1], [])
    tell(full, "installed")
    assert BoxUpdate.objects.get(box_id=full.id).outcome == "installed" and offered(centre, full) == []


def test_one_that_never_answers_stops_it_visibly_and_may_answer_late(
    centre: Centre, signed: Sign, administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    canary = centre.box(beaune.id)
    present(canary)
    releases.store(actor=administrator, **signed())
    releases.start(actor=administrator, number=1, canary=beaune.collectivite)
    releases.look()
    with clock.shifted(rollout.ANSWER_S + 60):
        present(canary)
        releases.look()
        assert BoxRelease.objects.get().stopped_because == "1 of 1: unanswered"
        assert [(one.id, why) for one, why in releases.mute_updates(administrator, 1)] == [
            (canary.id, "unanswered")
        ]
        assert releases.mute_updates(beaune.referent, 1) == []
    tell(canary, "refused")  # no room
    tell(canary, "installed")
    assert update_of(canary).outcome == "installed"


def test_a_release_that_harms_the_canary_stops_by_itself_and_goes_on_only_by_a_person(
    centre: Centre, signed: Sign, administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    canary, other = centre.box(beaune.id), centre.box(nuits.id)
    present(canary, other)
    releases.store(actor=administrator, **signed())
    releases.start(actor=administrator, number=1, canary=beaune.collectivite)
    releases.look()
    tell(canary, "rolled_back")
    assert releases.look() == 0
    row = BoxRelease.objects.get()
    assert (row.state, row.stopped_because) == ("stopped", "1 of 1: rolled_back")
    with clock.shifted(7 * 3600):
        assert releases.look() == 0
        releases.resume(actor=administrator, number=1)
        for _ in range(4):
            present(canary, other)
            with clock.shifted(7 * 3600):
                releases.look()
        assert BoxRelease.objects.get().state in ("running", "done")
    verbs = list(
        AuditEntry.objects.filter(verb__startswith="box:release")
        .order_by("id")
        .values_list("verb", flat=True)
    )
    assert verbs[:4] == [
        "box:release_stored",
        "box:release_started",
        "box:release_stopped",
        "box:release_resumed",
    ]


def test_who_may_do_what_when(centre: Centre, signed: Sign, administrator: Actor, beaune: Commune) -> None:
    releases.store(actor=administrator, **signed())
    for act in (releases.stop, releases.resume):
        with pytest.raises(NotAllowed):
            act(actor=beaune.referent, number=1)
        with pytest.raises(Conflict):
            act(actor=administrator, number=1)
        with pytest.raises(NotFound):
            act(actor=administrator, number=9)
    assert not releases.visible_releases(beaune.referent).exists()
    with pytest.raises(Conflict):  # nobody would try it
        releases.start(actor=administrator, number=1, canary=beaune.collectivite)
    centre.box(beaune.id)
    releases.start(actor=administrator, number=1, canary=beaune.collectivite)
    releases.store(actor=administrator, **signed(2))
    with pytest.raises(Conflict):
        releases.start(actor=administrator, number=2, canary=beaune.collectivite)
    releases.stop(actor=administrator, number=1)
    releases.start(actor=administrator, number=2, canary=beaune.collectivite)
    with pytest.raises(Conflict):
        releases.resume(actor=administrator, number=1)  # a later one was started
    BoxRelease.objects.filter(pk=2).update(expires_at=clock.now() - timedelta(seconds=1))
    releases.look()
    assert BoxRelease.objects.get(pk=2).stopped_because == "expired"


def test_a_clock_that_ran_ahead_stops_no_release_and_no_box_holds_it_for_as_long(
    centre: Centre, signed: Sign, administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    canary, other = centre.box(beaune.id), centre.box(nuits.id)
    releases.store(actor=administrator, **signed())
    with clock.jumped(10 * 3600):
        present(canary, other)
        releases.start(actor=administrator, number=1, canary=beaune.collectivite)
        assert releases.look() == 1
        with clock.shifted(30 * 60):
            present(canary)
    ahead.look()
    releases.look()
    assert BoxRelease.objects.get().state == "running"
    assert update_of(canary).asked_at <= clock.now()
    tell(canary, "installed")
    with clock.shifted(rollout.PAUSE_S + 1):
        releases.look()
        assert BoxRelease.objects.get().stage == 1


def test_a_release_that_a_clock_ahead_took_for_expired_goes_on_when_the_clock_is_right(
    centre: Centre, signed: Sign, administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    canary, other = centre.box(beaune.id), centre.box(nuits.id)
    releases.store(actor=administrator, **signed())
    present(canary, other)
    releases.start(actor=administrator, number=1, canary=beaune.collectivite)
    with clock.jumped(10 * 86400):
        assert releases.look() == 0
        assert BoxRelease.objects.get().stopped_because == "expired"
        releases.look()
    assert releases.look() == 1
    row = BoxRelease.objects.get()
    assert (row.state, row.stopped_because) == ("running", "")
    assert update_of(canary).outcome == ""
    assert AuditEntry.objects.filter(verb="box:release_resumed").count() == 1


def test_a_person_who_stopped_a_release_is_not_overruled_nor_is_a_later_one(
    centre: Centre, signed: Sign, administrator: Actor, beaune: Commune
) -> None:
    present(centre.box(beaune.id))
    for number in (1, 2):
        releases.store(actor=administrator, **signed(number))
    releases.start(actor=administrator, number=1, canary=beaune.collectivite)
    with clock.jumped(10 * 86400):
        releases.look()
    releases.start(actor=administrator, number=2, canary=beaune.collectivite)
    releases.stop(actor=administrator, number=2)
    releases.look()
    states = BoxRelease.objects.order_by("number").values_list("state", "stopped_because")
    assert list(states) == [("stopped", "expired"), ("stopped", "")]

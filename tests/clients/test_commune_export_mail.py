"""A commune is exported, and who answers for it reads of it, of its end and of its stop in a mail: real Postfix,
rspamd and Dovecot."""

from __future__ import annotations

from beffroi.core.communes import exports
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity.actor import Actor
from beffroi.mail.models import Mailbox

from tests.clients.test_drive_erasure_mail import boxes, text_of, work
from tests.conftest import Commune
from tests.mail_post import Post, needs_engines

__all__ = ["boxes"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
WISH = "Courrier du maire du 12 novembre, signé A. Martin"


def test_who_answers_for_the_commune_reads_of_each_step(
    post: Post, boxes: dict[str, Mailbox], administrator: Actor, beaune: Commune
) -> None:
    def begun() -> CommuneExport:
        return exports.begin(
            actor=administrator, collectivite=beaune.collectivite, reason=WISH, account="root"
        )

    export = begun()
    work()
    for who in ("referent", "elu"):
        post.wait_count(boxes[who], 1)
    (first,) = post.mails(boxes["referent"])
    assert first["subject"] == "Le Département exporte tout ce qui est à la commune"
    assert WISH in text_of(first) and f"/export/{export.id}/" in text_of(first)
    work()
    proved = {"files": 3, "size_bytes": 9, "missing": 2, "manifest_sha256": "4f" * 32}
    exports.done(actor=administrator, export_id=export.id, **proved)  # type: ignore[arg-type]
    work()
    post.wait_count(boxes["referent"], 2)
    end = post.mails(boxes["referent"])[-1]
    assert "4f" * 32 in text_of(end) and "n’est pas complet" in text_of(end)
    exports.stop(actor=beaune.referent, export=begun())
    work()
    post.wait_count(boxes["elu"], 3)  # begun and stopped at once: only what is true is told
    assert "est arrêté par votre référent" in text_of(post.mails(boxes["elu"])[-1])
    assert post.count(boxes["agent"]) == 0 and post.count(boxes["neighbour"]) == 0

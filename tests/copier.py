"""A town hall's copier, which sends through its real box (``tests.fixtures_relay``)."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Any

import msgspec
from beffroi.boxes.models import BoxPolicy
from beffroi.mail.models import Mailbox
from beffroi.portal import relay_enforced
from beffroi_protocol.messages import Policy
from beffroi_protocol.relaying import Device, Relay

from tests.conftest import Commune
from tests.mail_post import Post
from tests.town_hall import TownHall, good_policy
from tests.town_hall_network import LAN, inside
from tests.waiting import PATIENCE_S, until


@dataclass
class Copier:
    """The town hall's copier. ``sender``, ``recipient``: mailboxes of its commune. ``bridge``: how its box stands."""

    hall: TownHall
    post: Post
    commune: Commune
    sender: Mailbox
    recipient: Mailbox
    bridge: bool = False

    def policy(self, **values: Any) -> Policy:
        relay = Relay(
            self.sender.address,
            self.post.config.mail_name,
            (Device(self.hall.pc[0], "Copieur du secrétariat"),),
            (f"@{self.commune.domain}",),
            port=self.post.config.submission_port,
        )
        return good_policy(bridge=self.bridge, relay=msgspec.structs.replace(relay, **values))

    def give(self, policy: Policy) -> None:
        """The same policy to the box and in the centre's own tables."""
        version = self.hall.centre.set_policy(policy)
        BoxPolicy.objects.create(
            collectivite_id=self.commune.id,
            policy_version=version,
            policy=msgspec.to_builtins(policy),
            changed_by="tests",
        )
        relay_enforced.put()
        until(lambda: self.hall.status().get("policy_version") == version, f"not proved: {self.hall.log()}")

    def swaks(self, *arguments: str, to: str = "", space: str = LAN, server: str = "") -> tuple[int, str]:
        """Return swaks' exit code (0: accepted) and the whole conversation."""
        said = subprocess.run(
            inside(
                space, "swaks", "--server", server or self.hall.resolver, "--port", "25", "--timeout", "20",
                "--ehlo", "copieur", "--from", "scan@copieur.local", "--to", to or self.recipient.address, *arguments,
            ),
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        return said.returncode, said.stdout + said.stderr

    def log(self) -> str:
        return (self.hall.state.parent / "relay.log").read_text()[-3000:]

    def kept(self) -> int:
        return len(list((self.hall.state.parent / "relay").glob("*.json")))

    def start(self) -> None:
        self.hall.start_relay()
        until(self._open, "the relay does not listen")

    def _open(self) -> bool:
        done = subprocess.run(
            inside(
                LAN, "swaks", "--server", self.hall.resolver, "--port", "25", "--timeout", "3",
                "--quit-after", "BANNER",
            ),
            capture_output=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        return done.returncode == 0

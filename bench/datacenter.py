"""A centre alone in the laboratory's datacenter, for the benchmarks of mail and of the feed.

Process: root; the laboratory's namespaces. Leaving it stops and removes everything.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from beffroi_lab import names, topology
from beffroi_lab import plan as plans
from beffroi_lab.centre import USER, Centre
from beffroi_lab.names import Sender
from beffroi_lab.plan import Plan
from beffroi_lab.running import Hands
from beffroi_lab.topology import Network


@dataclass(frozen=True)
class Names:
    """Whom the internet's DNS knows beside the scenario's own names. Without it a resolver that knows its server is
    dead says so at once, and a fresh one lets every mail wait."""

    hostile: Sequence[str] = ()
    innocent: Sequence[str] = ()
    sender_domains: Sequence[str] = ()


@dataclass(frozen=True)
class Datacenter:
    network: Network
    plan: Plan
    directory: Path
    centre: Centre

    def beside(self, module: str, settings: str) -> Hands:
        """Hands as the centre's own Python user, with its database; ``settings``: Django's."""
        return Hands(
            self.network["dc"],
            self.directory / f"{module}.log",
            module=module,
            before=["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"],
            environment={"BEFFROI_STATE": str(self.centre.state), "DJANGO_SETTINGS_MODULE": settings},
        )


@contextmanager
def started(
    say: Callable[[str], None], *, known: Names | None = None, settings: str = ""
) -> Iterator[Datacenter]:
    """``known``: None where nobody answers for names; ``settings``: more lines of beffroi.toml.

    Errors: LabImpossible, LabFailed."""
    topology.check_possible()
    with tempfile.TemporaryDirectory(prefix=f"beffroi-bench-{os.getpid()}-") as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        plan = plans.make(3)
        network = stack.enter_context(topology.network(plan, directory))
        say("starting the centre")
        if known is not None:
            stack.callback(_answer(network, plan, directory, known).stop)
        centre = Centre(network, plan, directory)
        with (centre.state / "beffroi.toml").open("a", encoding="utf-8") as file:
            file.write(settings)
        stack.callback(centre.stop)
        centre.start()
        yield Datacenter(network, plan, directory, centre)


def _answer(network: Network, plan: Plan, directory: Path, known: Names) -> Hands:
    hands = Hands(network["inet"], directory / "names.log", module="bench.mail_clients")
    senders = [Sender(domain, spf_pass=True, origin=plans.INNOCENT) for domain in known.sender_domains]
    zone = names.zone(plan, hostile=known.hostile, innocent=known.innocent, senders=senders)
    hands.ask("answer_names", zone=zone)
    return hands

"""A drive on loopback for tests: the real application under the real server, with people from a list.

``python -m tests.drive_server DIRECTORY PORT``: serve until SIGTERM; people: ``PEOPLE``, each with PASSWORD.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from beffroi.drive.__main__ import serve_arguments
from beffroi.drive.store.commune import Communes
from beffroi.drive.web.app import Drive
from beffroi.drive.who import Who
from granian.server.embed import Server

from tests.drive_bodies import PlainBodies

PASSWORD = "un mot de passe d’application"
A, B = "col_" + "0" * 25 + "a", "col_" + "0" * 25 + "b"


def who(name: str, collectivite_id: str, role: str = "agent") -> Who:
    return Who(f"per_{name}", f"mem_{name}", collectivite_id, role, name, name.title(), f"app_{name}")  # type: ignore[arg-type]


PEOPLE = {
    one.login: one for one in (who("alice", A), who("amir", A), who("elise", A, "elu"), who("bruno", B))
}


class Listed:
    """Signs in everybody in PEOPLE. ``revoked``: whose password opens nothing any more."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()
        self.asked = 0

    def check(self, login: str, password: str, *, address: str) -> Who | None:
        self.asked += 1
        return PEOPLE.get(login) if password == PASSWORD and login not in self.revoked else None


def drive(directory: Path, pool: ThreadPoolExecutor, sign_in: Listed) -> Drive:
    communes = Communes(directory / "drive", pool)
    return Drive(
        communes, lambda collectivite_id: PlainBodies(directory / "bodies" / collectivite_id), sign_in
    )


async def _serve(directory: Path, port: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        arguments = serve_arguments(directory / "unused.sock", 1000)
        del arguments["uds"]
        server = Server(drive(directory, pool, Listed()), address="127.0.0.1", port=port, **arguments)
        await server.serve()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))

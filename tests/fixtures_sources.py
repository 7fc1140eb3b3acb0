"""A publisher of lists on loopback (``tests.publishing``), and a centre that may fetch from it.

Used as a plugin: ``pytest_plugins = ["tests.fixtures_sources"]``. Ports 23300-23349.
"""

from __future__ import annotations

import shutil
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib.config import Config
from beffroi.watch.sources import handover

from tests.publishing import Publisher, Server, certificate, serving


@pytest.fixture(scope="session")
def _publishing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    directory = tmp_path_factory.mktemp("publisher")
    authority, both = certificate(directory)
    server = serving()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(both)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server, authority
    server.shutdown()
    server.server_close()


@pytest.fixture
def publisher(_publishing: tuple[Server, Path]) -> Publisher:
    server, authority = _publishing
    made = Publisher(server.server_address[1], authority)
    server.publisher = made  # type: ignore[attr-defined]
    return made


@pytest.fixture
def sources_state(state: Path, settings: Any, publisher: Publisher) -> Iterator[Path]:
    """The directories of sources, and a configuration that lets them be fetched from this machine; new lists are in
    force at once."""
    for name in ("ask", "brought"):
        (handover.root(state) / name).mkdir(parents=True, exist_ok=True)
    config: Config = settings.BEFFROI
    settings.BEFFROI = replace(
        config,
        sources_networks="127.0.0.0/8 ::1/128",
        sources_ca=str(publisher.authority),
        list_trial_s=0,
    )
    yield state
    shutil.rmtree(handover.root(state))

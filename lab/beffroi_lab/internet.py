"""The internet of the scenario: its DNS, the attacker's landing page, an innocent web server.

Purpose: `python -m beffroi_lab.internet FILE` serves what FILE (JSON) says until it is stopped; it writes one
         line "ready" when every port listens.
Process: in the namespace of the internet, as root (ports 53, 80, 443).
Input:   requests of the programs of the scenario.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path

from beffroi_lab import names
from beffroi_lab.plan import Pair

_MAX_REQUEST_BYTES = 16384
_IDLE_S = 120


class Page:
    """Answers every request with one page and keeps the connection, so that a cut of it can be seen."""

    def __init__(self, text: str) -> None:
        body = f"<!doctype html><title>{text}</title><p>{text}</p>".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        self._answer = head.encode() + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    request = await reader.readuntil(b"\r\n\r\n")
                if len(request) > _MAX_REQUEST_BYTES:
                    break
                writer.write(self._answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass
        finally:
            writer.close()


async def run(settings: dict[str, object]) -> None:
    zone_lines, noted = settings["zone"], settings["foreign_names"]
    assert isinstance(zone_lines, list)
    zone = names.Zone(zone_lines, Path(str(noted)))
    dns = settings["dns"]
    assert isinstance(dns, list)
    names.serve(zone, Pair(*dns))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(settings["certificate"]), str(settings["key"]))
    sites = settings["sites"]
    assert isinstance(sites, dict)
    for text, addresses in sites.items():
        page = Page(text)
        for address in addresses:
            await asyncio.start_server(page.serve, address, 80)
            await asyncio.start_server(page.serve, address, 443, ssl=context)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(run(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
    except KeyboardInterrupt:
        pass

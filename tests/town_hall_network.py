"""The town hall's network: namespaces and links, servers of the internet, clients of the LAN.

Namespaces: ``bxt-<pid>-net``, ``-box``, ``-lan``, so that two runs on one machine do not meet. Servers of the
internet and clients of the LAN are sockets of the test process, made inside those namespaces.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

from tests.waiting import PATIENCE_S

NET, BOX, LAN = (f"bxt-{os.getpid()}-{place}" for place in ("net", "box", "lan"))
CENTRE_PORT, ECHO_PORT, DNS_PORT = 22700, 22701, 53
WAN_NET, WAN_BOX = "185.10.20.1", "185.10.20.2"
WAN_NET6, WAN_BOX6 = "2a0c:e300:1::1", "2a0c:e300:1::2"
LAN_BOX, LAN_BOX6 = "185.11.30.1", "2a0c:e300:2::1"
EVIL, EVIL6, GOOD = "45.83.64.7", "2a0e:b107:10::7", "45.83.64.9"
LISTED, UNLISTED = "colis-suivi-livraison.com", "mairie-exemple.com"
FORGED: list[str] = []
"""What somebody on the line adds to the answers about the centre."""
_SYSCTL = Path(__file__).parents[1] / "deploy" / "deb" / "sysctl.conf"
REFUSED = 3  # a resolver's answer code


def run(*argv: str, stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def inside(space: str, *argv: str) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{space}", "--", *argv]


def socket_in(space: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket of another network namespace, used from here."""
    made: list[socket.socket] = []

    def make() -> None:
        with Path(f"/run/netns/{space}").open("rb") as file:
            os.setns(file.fileno(), os.CLONE_NEWNET)
        made.append(socket.socket(family, kind, protocol))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    made[0].settimeout(1.0)
    return made[0]


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def connect(space: str, address: str, port: int = ECHO_PORT) -> socket.socket | None:
    """A TCP connection that answered one byte, or None."""
    client = socket_in(space, family(address), socket.SOCK_STREAM)
    try:
        client.connect((address, port))
        if echoes(client):
            return client
    except OSError:
        pass
    client.close()
    return None


def connects(space: str, address: str, port: int = ECHO_PORT) -> bool:
    client = connect(space, address, port)
    if client is not None:
        client.close()
    return client is not None


def echoes(client: socket.socket) -> bool:
    try:
        client.sendall(b"x")
        return client.recv(1) == b"x"
    except OSError:
        return False


def look_up(space: str, name: str, server: str) -> int:
    """Ask a resolver for an A record; return its answer code (REFUSED: the name is refused), -1 without an answer."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    with socket_in(space, family(server), socket.SOCK_DGRAM) as client:
        try:
            client.sendto(
                struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + question + b"\0\1\0\1", (server, DNS_PORT)
            )
            return client.recv(512)[3] & 15
        except OSError:
            return -1


def make_spaces(*, bridge: bool) -> None:
    for space in (NET, BOX, LAN):
        run("ip", "netns", "add", space)
        run("ip", "-n", space, "link", "set", "lo", "up")
        keys = ("all.accept_dad=0", "default.accept_dad=0", "all.accept_ra=0", "default.accept_ra=0")
        run(*inside(space, "sysctl", "-qw", *(f"net.ipv6.conf.{key}" for key in keys)))
    # As deploy/deb/sysctl.conf does: the rules count the packets of a flow.
    run(*inside(BOX, "sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1"))
    _ip(f"link add n0 netns {NET} type veth peer name wan netns {BOX}")
    _ip(f"link add l0 netns {LAN} type veth peer name lan netns {BOX}")
    run(*inside(NET, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"))
    places = [(NET, "n0", WAN_NET, WAN_NET6)]
    if bridge:
        _ip(f"-n {BOX} link add br0 type bridge")
        for port in ("wan", "lan"):
            _ip(f"-n {BOX} link set {port} master br0 up")
        for line in _SYSCTL.read_text().splitlines():
            if line.startswith("-net.bridge."):
                run(*inside(BOX, "sysctl", "-qw", line.removeprefix("-").replace(" ", "")))
        places += [(BOX, "br0", WAN_BOX, WAN_BOX6), (LAN, "l0", "185.10.20.3", "2a0c:e300:1::3")]
    else:
        run(*inside(BOX, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"))
        places += [(BOX, "wan", WAN_BOX, WAN_BOX6), (BOX, "lan", LAN_BOX, LAN_BOX6)]
        places += [(LAN, "l0", "185.11.30.2", "2a0c:e300:2::2")]
    for space, link, four, six in places:
        _ip(f"-n {space} addr add {four}/24 dev {link}")
        _ip(f"-n {space} addr add {six}/64 dev {link} nodad")
        _ip(f"-n {space} link set {link} up")
    for one in (f"{EVIL}/32", f"{GOOD}/32", f"{EVIL6}/128"):
        _ip(f"-n {NET} addr add {one} dev lo" + (" nodad" if ":" in one else ""))
    ways = [(NET, WAN_BOX, WAN_BOX6)] if not bridge else []
    ways += [(BOX, WAN_NET, WAN_NET6)]
    ways += [(LAN, WAN_NET, WAN_NET6) if bridge else (LAN, LAN_BOX, LAN_BOX6)]
    for space, four, six in ways:
        _ip(f"-n {space} route add default via {four}")
        _ip(f"-n {space} -6 route add default via {six}")


def _ip(arguments: str) -> None:
    run("ip", *arguments.split())


def serve() -> list[socket.socket]:
    """Start the echo servers of both sides and the internet's DNS; their sockets."""
    served: list[socket.socket] = []
    for space, address in ((NET, "0.0.0.0"), (NET, "::"), (LAN, "0.0.0.0"), (LAN, "::")):
        server = listening(space, address, ECHO_PORT)
        served.append(server)
        threading.Thread(target=_echo_server, args=(server,), daemon=True).start()
    dns = socket_in(NET, socket.AF_INET, socket.SOCK_DGRAM)
    dns.settimeout(None)
    dns.bind((WAN_NET, DNS_PORT))
    served.append(dns)
    threading.Thread(target=_dns_server, args=(dns,), daemon=True).start()
    return served


def listening(space: str, address: str, port: int) -> socket.socket:
    server = socket_in(space, family(address), socket.SOCK_STREAM)
    server.settimeout(None)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in address:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind((address, port))
    server.listen(50)
    return server


def _echo_server(server: socket.socket) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(client,), daemon=True).start()


def _echo(client: socket.socket) -> None:
    try:
        while data := client.recv(100):
            client.sendall(data)
    except OSError:
        pass
    finally:
        client.close()


def _dns_server(server: socket.socket) -> None:
    """Every name has the good address, but the centre's."""
    while True:
        try:
            query, peer = server.recvfrom(512)
        except OSError:
            return
        if not query:
            return
        end = query.index(b"\0", 12) + 5
        address = WAN_NET if b"boitiers" in query else GOOD
        ttl_s = 300 if b"depot" in query else 1
        places = [address, *FORGED] if address == WAN_NET else [address]
        record = b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", ttl_s, 4)
        answers = [record + socket.inet_aton(one) for one in places]
        if query[end - 4 : end - 2] != b"\0\1":
            answers = []
        head = query[:2] + struct.pack(">5H", 0x8180, 1, len(answers), 0, 0)
        server.sendto(head + query[12:end] + b"".join(answers), peer)


def remove_spaces() -> None:
    """Remove this run's namespaces, and those of runs whose process is gone."""
    for path in Path("/run/netns").glob("bxt-*-*"):
        pid = path.name.split("-")[1]
        if pid == str(os.getpid()) or not Path(f"/proc/{pid}").exists():
            subprocess.run(["ip", "netns", "del", path.name], capture_output=True, check=False)

"""Ways of a machine of the LAN to a page of the internet, and the server that answers: TCP, TLS, QUIC."""

from __future__ import annotations

import socket
import ssl
import threading

from tests.certificates import unverified
from tests.quic import first_packets
from tests.town_hall_network import GOOD, LAN, socket_in
from tests.waiting import PATIENCE_S


def serve(server: socket.socket, context: ssl.SSLContext | None) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(client, context), daemon=True).start()


def answer(client: socket.socket, context: ssl.SSLContext | None) -> None:
    client.settimeout(PATIENCE_S)
    try:
        stream = context.wrap_socket(client, server_side=True) if context else client
        with stream:
            while stream.recv(4096):
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except OSError:
        client.close()


def answer_datagrams(server: socket.socket) -> None:
    while True:
        try:
            data, peer = server.recvfrom(2000)
        except OSError:
            return
        if not data:
            return
        server.sendto(data[:8], peer)


def opens(client: socket.socket, name: str) -> bool:
    client.settimeout(PATIENCE_S)
    try:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        return client.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def by_http(name: str) -> bool:
    """Whether the LAN gets a page of this name from an address that no list names."""
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE_S)
        return client.connect_ex((GOOD, 80)) == 0 and opens(client, name)


def by_tls(name: str) -> bool:
    context = unverified()
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE_S)
        try:
            client.connect((GOOD, 443))
            with context.wrap_socket(client, server_hostname=name) as stream:
                return opens(stream, name)
        except OSError:
            return False


def by_datagram(*packets: bytes) -> bool:
    """Whether each datagram of a flow to port 443 is answered."""
    with socket_in(LAN, socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        client.connect((GOOD, 443))
        try:
            for packet in packets:
                client.send(packet)
                if not client.recv(100):
                    return False
        except OSError:
            return False
    return True


def by_quic(name: str) -> bool:
    """Whether all first packets of a connection arrive: a server needs each of them."""
    return by_datagram(*first_packets(name))


WAYS = [by_tls, by_http, by_quic]

"""Waiting for one file, whatever the number of its descriptor."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
from collections.abc import Iterator

import pytest
from beffroi.lib.ready import readable

FAR = 2000


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets; the first has a descriptor that select(2) refuses."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], FAR + 10), before[1]))
    near, peer = socket.socketpair()
    far = socket.socket(fileno=fcntl.fcntl(near.fileno(), fcntl.F_DUPFD, FAR))
    near.close()
    with far, peer:
        yield far, peer
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_readable_tells_of_bytes_that_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    far, peer = pair
    assert far.fileno() >= FAR
    assert not readable(far, 0)
    peer.send(b"x")
    assert readable(far, None)
    assert readable(far.fileno(), -1.0)


def test_end_of_a_file_is_readable(pair: tuple[socket.socket, socket.socket]) -> None:
    far, peer = pair
    peer.close()
    assert readable(far, 10.0)


def test_end_of_a_process_is_readable() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    process = os.pidfd_open(child)
    try:
        assert readable(process, 10.0)
    finally:
        os.close(process)
        os.waitpid(child, 0)

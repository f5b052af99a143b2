"""Processes of a run on one machine or several meet; whoever else connects is not let in, and holds up nobody."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from anomaly_clustering.mic.meeting import admit, connect, listen


def can_listen(host: str) -> bool:
    try:
        family, *_, address = socket.getaddrinfo(host, 0)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not can_listen("::1"), reason="no IPv6")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", pytest.param("::1", marks=IPV6)])
@pytest.mark.parametrize("one_machine", [True, False])
def test_processes_of_one_machine_listen_to_it_alone(host: str, one_machine: bool) -> None:
    with listen(host, one_machine=one_machine) as server, connect(host, server.getsockname()[1], {}, 5.0):
        assert server.getsockname()[0] in ("127.0.0.1", "::1")


@pytest.mark.parametrize("reached_by", ["127.0.0.1", "127.0.1.1", pytest.param("::1", marks=IPV6)])
def test_the_first_of_several_machines_is_reached_by_each_of_its_addresses(reached_by: str) -> None:
    """Its own name may stand for 127.0.1.1, where others reach it by another address."""
    with (
        listen(socket.gethostname(), one_machine=False) as server,
        connect(reached_by, server.getsockname()[1], {}, 5.0),
    ):
        assert server.getsockname()[0] in ("::", "0.0.0.0")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with listen("127.0.0.1", one_machine=True) as opened:
        yield opened


def greet(server: socket.socket, rank: int) -> socket.socket:
    return connect("127.0.0.1", server.getsockname()[1], {"token": "t", "rank": rank, "name": f"process {rank}"}, 5.0)


def test_strangers_are_not_let_in_and_hold_up_nobody(server: socket.socket) -> None:
    words = [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"7\n",
        b'{"token": "t"}\n',
        b"[" * 5000,
        b'{"token": "s", "rank": 1, "name": "a"}\n',
    ]
    strangers = [socket.create_connection(server.getsockname()) for _ in words]
    for stranger, word in zip(strangers, words, strict=True):
        stranger.sendall(word)
    ours = [greet(server, rank) for rank in (2, 1)]
    ours[0].sendall(b"said at once\n")
    met = admit(server, "t", others=2, seconds=2.0)
    assert {rank: name for rank, (_, name) in met.items()} == {1: "process 1", 2: "process 2"}
    assert met[2][0].recv(100) == b"said at once\n"
    for stranger in strangers:
        stranger.settimeout(2)
        with stranger, suppress(ConnectionResetError):
            assert stranger.recv(1) == b""


def test_who_does_not_come_is_told_by_number_and_port(server: socket.socket) -> None:
    port = server.getsockname()[1]
    with greet(server, 1), pytest.raises(TimeoutError, match=rf"1 of 2 other processes .* port {port} of .* firewalls"):
        admit(server, "t", others=2, seconds=0.2)


def test_who_cannot_connect_is_told_where_to_and_what_to_do(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    with pytest.raises(ConnectionError, match=rf"at 127\.0\.0\.1, port {port} \(.*refused\): .*MASTER_ADDR"):
        connect("127.0.0.1", port, {}, 5.0)

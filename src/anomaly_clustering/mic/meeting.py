"""The address of a run's first process in; a connection between it and each other process of the run out."""

import ipaddress
import json
import selectors
import socket
import time
from secrets import compare_digest
from typing import Any

# Bytes of the longest greeting.
LONGEST = 1000


def listen(host: str, *, one_machine: bool) -> socket.socket:
    """Open a free port, for all that reach this machine; only on `host` where all processes are on this machine.

    On one machine a name may stand for an address that others do not reach, as `127.0.1.1` for the machine's own name.

    Args:
        host: name or address of this machine that all processes were given.
        one_machine: whether all processes are on this machine.

    Raises:
        OSError: `host` is no name or address of this machine.

    Example:
        >>> with listen("localhost", one_machine=True) as server:
        ...     ipaddress.ip_address(server.getsockname()[0]).is_loopback
        True
    """
    if one_machine or _is_loopback(host):
        family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), 0), family=family)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError:
            pass  # Systems whose IPv6 is turned off.
    return socket.create_server(("", 0))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connect(host: str, port: int, greeting: dict[str, Any], seconds: float) -> socket.socket:
    """Connect to the first process, and say who one is.

    Args:
        host: name or address of the first process's machine.
        port: that it has opened.
        greeting: `token`, which only processes of this run know, `rank` and `name`.
        seconds: to wait for.

    Raises:
        ConnectionError: the first process cannot be reached.

    Example:
        >>> connect("localhost", 1, {}, seconds=1.0)
        Traceback (most recent call last):
        ConnectionError: cannot reach the first process of this run at localhost, port 1 (...): ...
    """
    try:
        connection = socket.create_connection((host, port), timeout=seconds)
        connection.sendall(json.dumps(greeting).encode() + b"\n")
    except OSError as error:
        raise ConnectionError(
            f"cannot reach the first process of this run at {host}, port {port} ({error}): give an address of its "
            "machine that all machines reach (MASTER_ADDR), and let firewalls admit all ports between them"
        ) from error
    return connection


def admit(server: socket.socket, token: str, others: int, seconds: float) -> dict[int, tuple[socket.socket, str]]:
    """Wait until all other processes of a run have connected.

    Whoever else knocks at the port is not let in, and holds up nobody, whatever it says or does not say.

    Args:
        server: the port that was opened.
        token: that processes of this run greet with.
        others: how many of them there are; their ranks begin at 1.
        seconds: to wait for.

    Returns:
        Connection and name of each, by rank.

    Raises:
        TimeoutError: some have not come.

    Example:
        >>> with listen("localhost", one_machine=True) as server:
        ...     host, port = server.getsockname()[:2]
        ...     with connect(host, port, {"token": "t", "rank": 1, "name": "b"}, seconds=5.0):
        ...         admit(server, "t", others=1, seconds=5.0)[1][1]
        'b'
    """
    met: dict[int, tuple[socket.socket, str]] = {}
    deadline = time.monotonic() + seconds
    server.setblocking(False)
    with selectors.DefaultSelector() as waiting:
        waiting.register(server, selectors.EVENT_READ)
        while len(met) < others:
            ready = waiting.select(max(deadline - time.monotonic(), 0))
            for key, _ in ready:
                _hear(key, server, token, others, waiting, met)
            if time.monotonic() > deadline and len(met) < others:
                break
        for key in [*waiting.get_map().values()]:
            if key.fileobj is not server:
                _forget(key, waiting)
    if len(met) < others:
        for connection, _ in met.values():
            connection.close()
        raise TimeoutError(
            f"{len(met)} of {others} other processes have connected to port {server.getsockname()[1]} of "
            f"{socket.gethostname()} in {seconds:.0f} seconds: let firewalls admit all ports between the machines"
        )
    return met


def _hear(
    key: selectors.SelectorKey,
    server: socket.socket,
    token: str,
    others: int,
    waiting: selectors.BaseSelector,
    met: dict[int, tuple[socket.socket, str]],
) -> None:
    """Take what has come from a connection, or a new connection."""
    if key.fileobj is server:
        try:
            newcomer, _ = server.accept()
        except OSError:
            return  # It has gone again.
        newcomer.setblocking(False)
        waiting.register(newcomer, selectors.EVENT_READ, data=bytearray())
        return
    connection, said = key.fileobj, key.data
    assert isinstance(connection, socket.socket)
    try:
        # No more than the greeting: what follows it is for who reads the connection later.
        while not said.endswith(b"\n") and len(said) < LONGEST and (byte := connection.recv(1)):
            said += byte
    except BlockingIOError:
        return
    except OSError:
        said.clear()
    rank, name = _greeting(bytes(said), token)
    if 1 <= rank <= others and rank not in met:
        waiting.unregister(connection)
        met[rank] = connection, name
    else:
        _forget(key, waiting)


def _forget(key: selectors.SelectorKey, waiting: selectors.BaseSelector) -> None:
    assert isinstance(key.fileobj, socket.socket)
    waiting.unregister(key.fileobj)
    key.fileobj.close()


def _greeting(said: bytes, token: str) -> tuple[int, str]:
    """Rank and name of who greets with the token; rank -1 of anybody else."""
    try:
        told = json.loads(said)
        if compare_digest(str(told["token"]).encode(), token.encode()):
            return int(told["rank"]), str(told["name"])
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return -1, ""

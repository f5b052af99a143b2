"""Processes of one run watch one another: when one dies, all others say which, and end within seconds.

Each keeps a connection to the first one, which the system closes when a process dies, however that happens; the first
tells the others. A machine that is lost is noticed by TCP's own probes. Without this, processes wait for a dead one for
up to half an hour, since what they wait in is the network library's own code.
"""

import atexit
import json
import os
import secrets
import socket
import threading
import time
from typing import Any, Literal

import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer

from anomaly_clustering.mic.meeting import admit, connect, listen
from anomaly_clustering.system.ending import end, heed_signals, met, tell
from anomaly_clustering.system.results import what_is_kept

# How a process leaves: with its work done, with an error that it has told, asked to by a signal, or without a word.
Word = Literal["done", "failed", "interrupted", "died"]
# Seconds for processes to connect, and to end by themselves.
CONNECT, GRACE = 120.0, 5.0
# Seconds of silence, between probes, and probes that fail, after which a machine is lost: 19 seconds in all.
PROBES = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3}


class Companions(Callback):
    """Watches the other processes of a run from its start until this process ends; alone, it does nothing.

    Example:
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[Companions()])
    """

    watch: "Watch | None" = None  # Of the process, since its group of processes outlives a trainer.

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        several = trainer.world_size > 1 and dist.is_available() and dist.is_initialized()
        if several and Companions.watch is None:
            Companions.watch = Watch(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if Companions.watch:
            Companions.watch.fails(exception)


class Watch:
    """The connections of this process, and a thread for each that waits for its end.

    Args:
        trainer: whose processes have found one another.
    """

    def __init__(self, trainer: Trainer):
        self.rank, self.world = trainer.global_rank, trainer.world_size
        self.name = f"process {os.getpid()} on {socket.gethostname()}"
        self.connections: dict[int, socket.socket] = {}
        self.ending = threading.Event()
        self.stuck = threading.Event()
        self.first_to_leave = threading.Lock()
        host = str(trainer.strategy.cluster_environment.main_address)  # type: ignore[attr-defined]
        if self.rank == 0:
            with listen(host, one_machine=trainer.num_nodes == 1) as server:
                token = secrets.token_hex()
                trainer.strategy.broadcast((server.getsockname()[1], token, self.name))
                admitted = admit(server, token, self.world - 1, CONNECT)
            self.connections = {rank: connection for rank, (connection, _) in admitted.items()}
            names = {rank: name for rank, (_, name) in admitted.items()}
        else:
            port, token, first = trainer.strategy.broadcast((0, "", ""))
            self.connections[0] = connect(host, port, {"token": token, "rank": self.rank, "name": self.name}, CONNECT)
            names = {0: first}
        for rank, connection in self.connections.items():
            _probe(connection)
            threading.Thread(target=self._follow, args=(rank, connection, names[rank]), daemon=True).start()
        met.set()
        heed_signals()
        tell(lambda: self._leave("interrupted"))
        atexit.register(self._leave, "done")

    def fails(self, error: BaseException) -> None:
        """Tell the others that this process ends by an error; where that is the loss of another one, say which."""
        lost = isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
        if lost and not self.ending.is_set():
            # Which one is known in a moment, and ends this process.
            self.stuck.set()
            time.sleep(GRACE)
        self._leave("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")

    def _follow(self, rank: int, connection: socket.socket, name: str) -> None:
        """Read what a process says until it leaves."""
        said = _next(connection.makefile("rb")) or {"rank": rank, "word": "died", "name": name}
        if said["word"] != "done":
            self._end_with(said)

    def _end_with(self, said: dict[str, Any]) -> None:
        """End this process as another has left, unless it ends anyway."""
        if self.ending.is_set() or not self.first_to_leave.acquire(blocking=False):
            return
        word: Word = said["word"]
        if self.rank == 0:
            self._send(said)
        if word == "failed":
            # All may be failing alike, each with an error of its own to tell.
            self.stuck.wait(GRACE)
        if self.ending.is_set():
            return
        who = f"rank {said['rank']} of {self.world} ({said['name']})"
        what = {"died": f"{who} has died, most often because memory ran out", "failed": f"{who} failed; it says why"}
        again = what_is_kept()
        if word == "interrupted":
            # By a terminal's Ctrl-C all are, and the first one says so.
            end(1, "" if self.rank else f"error: {who} was interrupted; {again}")
        end(1, f"error: {what[word]}; {again}")

    def _leave(self, word: Word) -> None:
        if not self.ending.is_set():
            self.ending.set()
            self._send({"rank": self.rank, "word": word, "name": self.name})

    def _send(self, message: dict[str, Any]) -> None:
        for connection in self.connections.values():
            try:
                connection.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                continue  # The one that died.


def _probe(connection: socket.socket) -> None:
    """Have the system notice when the other machine is lost, which sends no end."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in PROBES.items():
        # Not all of them are on every system.
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _next(lines: Any) -> dict[str, Any] | None:
    """The next message; None where the connection has ended."""
    try:
        line = lines.readline(1000)
        said: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
    except (OSError, ValueError):
        return None
    return said

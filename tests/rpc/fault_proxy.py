"""A TCP proxy that damages passing bytes in ways that a seed decides."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

CHUNK = 4096


@dataclass(frozen=True)
class Rates:
    """The rate of each fault per byte."""

    flip: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    split: float = 0.0
    delay: float = 0.0
    truncate: float = 0.0
    close: float = 0.0

    def named(self) -> list[tuple[str, float]]:
        return [(name, rate) for name, rate in vars(self).items() if rate]


class FaultProxy:
    """Listens on a port of its own and passes everything on to another port, damaged.

    `faults` counts the faults so far.
    """

    def __init__(self, target: int, seed: int, rates: Rates) -> None:
        self.rates = rates
        self.faults: Counter[str] = Counter()
        self._target = target
        self._seed = seed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        """Close both connections."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _accept(self) -> None:
        for number in range(1 << 30):
            try:
                host, _ = self._listener.accept()
            except OSError:
                return
            board = socket.create_connection(("127.0.0.1", self._target))
            for end in (host, board):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends += [host, board]
            for direction, ends in enumerate([(host, board), (board, host)]):
                seeded = random.Random(f"{self._seed} {number} {direction}")
                threading.Thread(target=self._pump, args=(*ends, seeded), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, seeded: random.Random) -> None:
        plan = [(seeded.expovariate(rate), name, rate) for name, rate in self.rates.named()]
        try:
            while True:
                data = source.recv(CHUNK)
                if not data:
                    break
                plan = self._pass(data, sink, plan, seeded)
        except OSError:
            pass
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pass(
        self,
        data: bytes,
        sink: socket.socket,
        plan: list[tuple[float, str, float]],
        seeded: random.Random,
    ) -> list[tuple[float, str, float]]:
        """Send one chunk; `plan` states after how many bytes each fault happens next."""
        out = bytearray()
        done = 0
        while True:
            distance, name, rate = min(plan, default=(1e9, "", 1.0))
            if distance >= len(data):
                out += data[done:]
                break
            at = int(distance)
            self.faults[name] += 1
            plan.remove((distance, name, rate))
            plan.append((distance + seeded.expovariate(rate), name, rate))
            if at < done:
                continue
            out += data[done:at]
            done = at
            if name == "flip":
                out.append(data[at] ^ seeded.randrange(1, 256))
                done += 1
            elif name == "drop":
                done += 1
            elif name == "duplicate":
                out.append(data[at])
            elif name == "truncate":
                done = len(data)
                break
            elif name == "close":
                raise OSError("closed on purpose")
            else:
                sink.sendall(out)
                out.clear()
                if name == "delay":
                    time.sleep(seeded.uniform(0.001, 0.03))
        sink.sendall(out)
        return [(distance - len(data), name, rate) for distance, name, rate in plan]

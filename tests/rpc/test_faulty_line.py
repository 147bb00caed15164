"""Hundreds of sessions over a line that damages bytes: no wrong result, an end in time."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fault_proxy import FaultProxy, Rates
from plain_client import Client
from python_peer import SocketLine

from tvmtiny.errors import LinkError
from tvmtiny.rpc.bridge import Bridge

SESSIONS = 500
AT_ONCE = 25
#: The summed rate of all faults per byte.
HIGHEST_RATE = 1e-3
TIMEOUT = 4.0
#: Calls of a session, each of which may take as long as the timeout.
CALLS = 11


def rates(seeded: random.Random) -> Rates:
    """A mixture of all faults, up to the highest rate."""
    total = HIGHEST_RATE * seeded.random()
    shares = [seeded.random() for _ in range(6)]
    # A closed connection ends the session, so this fault is rarer.
    shares.append(0.1 * seeded.random())
    return Rates(*(total * share / sum(shares) for share in shares))


def one_session(client: Client, seeded: random.Random) -> bool:
    """Whether every value came back unchanged."""
    client.begin()
    data = seeded.randbytes(2048)
    handle = client.allocate(len(data))
    client.write(handle, data)
    same = client.read(handle, len(data)) == data
    client.write(client.slot("input.0", 8), data[:8])
    client.call("tvmtiny.run")
    output = client.read(client.slot("output.0", 8), 8)
    return same and output == bytes((2 * value + 1) % 256 for value in data[:8])


def sessions(device: Path, numbers: range) -> tuple[Counter[str], Counter[str]]:
    """Run some sessions on a device of their own; return their outcomes and the proxies' faults."""
    ends: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    process = subprocess.Popen([device, "tcp"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    for number in numbers:
        seeded = random.Random(number)
        proxy = FaultProxy(port, number, rates(seeded))

        def line(port: int = proxy.port) -> SocketLine:
            return SocketLine(socket.create_connection(("127.0.0.1", port)))

        client = Client(Bridge(line, "socket://proxy", TIMEOUT, TIMEOUT))
        began = time.monotonic()
        try:
            ends["right" if one_session(client, seeded) else f"wrong: session {number}"] += 1
        except LinkError as error:
            ends[type(error).__name__] += 1
        if time.monotonic() - began > CALLS * TIMEOUT:
            ends[f"late: session {number}"] += 1
        client.bridge.close()
        proxy.close()
        faults.update(proxy.faults)
    process.kill()
    process.communicate()
    return ends, faults


def test_no_wrong_result(device_program: Path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(
            pool.map(
                lambda first: sessions(device_program, range(first, SESSIONS, AT_ONCE)),
                range(AT_ONCE),
            )
        )
    ends: Counter[str] = sum((ends for ends, _ in found), Counter())
    faults: Counter[str] = sum((faults for _, faults in found), Counter())
    assert set(ends) <= {"right", "LinkClosedError", "LinkTimeoutError"}, ends
    assert sum(ends.values()) == SESSIONS
    assert ends["right"] > SESSIONS * 3 // 4
    assert set(faults) == {"flip", "drop", "duplicate", "split", "delay", "truncate", "close"}
    assert sum(faults.values()) > SESSIONS


def test_256_kb_of_random_bytes_on_a_faulty_line(device_program: Path) -> None:
    process = subprocess.Popen([device_program, "tcp"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    rate = 1e-4 / 3
    proxy = FaultProxy(
        int(process.stdout.readline()), 1, Rates(flip=rate, drop=rate, truncate=rate)
    )
    connection = socket.create_connection(("127.0.0.1", proxy.port))
    client = Client(Bridge(lambda: SocketLine(connection), "socket://proxy", 60.0, 10.0))
    client.begin()
    data = os.urandom(256 * 1024)
    handle = client.allocate(len(data))
    client.write(handle, data)
    assert client.read(handle, len(data)) == data
    assert proxy.faults.total() > 20
    client.bridge.close()
    proxy.close()
    process.kill()
    process.communicate()

"""The side of MLPerf Tiny's runner in the protocol with its device."""

from __future__ import annotations

import serial


class Client:
    """Gives commands to a device, after its greeting."""

    def __init__(self, url: str) -> None:
        self._port = serial.serial_for_url(url, timeout=60)
        self.greeting = self._answer()

    def ask(self, command: str) -> list[str]:
        self._port.write(f"{command}%".encode())
        return self._answer()

    def load(self, data: bytes) -> list[str]:
        answer = self.ask(f"db load {len(data)}")
        for start in range(0, len(data), 31):
            answer = self.ask(f"db {data[start : start + 31].hex()}")
        return answer

    def close(self) -> None:
        self._port.close()

    def _answer(self) -> list[str]:
        received = b""
        while not received.endswith(b"m-ready\r\n"):
            byte = self._port.read(1)
            assert byte, received
            received += byte
        return received.decode().splitlines()[:-1]


def results(lines: list[str]) -> list[str]:
    """The numbers of a result, as the device prints them."""
    (line,) = [line for line in lines if line.startswith("m-results-[")]
    return line[len("m-results-[") : -1].split(",")


def laps(lines: list[str]) -> list[int]:
    """The timestamps of an answer, in microseconds."""
    return [int(line[len("m-lap-us-") :]) for line in lines if line.startswith("m-lap-us-")]

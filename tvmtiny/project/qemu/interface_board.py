"""A stand-in for the interface board with which MLPerf Tiny's runner plays sound.

The real board plays a WAV file to the device over I2S, and records edges at two of the device's
pins: a word was detected, and samples are being processed. Here, files stand for the line and the
pins: the firmware reads samples from one by semihosting, and writes the duration of each decision
to the other. Sound is played as fast as the emulator takes it, and the recorded times are those of
the samples and of the firmware's stated clock.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import tty
import wave
from contextlib import suppress
from pathlib import Path

from tvmtiny.errors import InputError
from tvmtiny.errors.base import visible

__all__ = ["PINS_FILE", "SAMPLES_FILE", "InterfaceBoard"]

#: Names of the files in the directory of the line.
SAMPLES_FILE, PINS_FILE = "samples", "pins"

#: Most seconds without a decision while sound is being played.
_PATIENCE = 5.0
#: Microseconds of the unit of the recorded times, and of a detection's.
_TICK, _DETECTION_TICK = 10, 1000


class InterfaceBoard:
    """The board, with a pseudo terminal as its port.

    Parameters
    ----------
    line
        Directory of the line's files, which the device's program must be started in.
    sounds
        Directory of WAV files.
    sample_rate, block
        Sample rate in Hz, and number of samples of a decision.

    Raises
    ------
    InputError
        The directory of sounds does not exist.
    """

    def __init__(self, line: Path, sounds: Path, sample_rate: int, block: int) -> None:
        if not sounds.is_dir():
            raise InputError(f"{sounds} is not a folder of WAV files")
        self._line, self._sounds = line, sounds
        self._rate, self._block = sample_rate, block
        (line / SAMPLES_FILE).write_bytes(b"")
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._detections: list[int] = []
        self._port, other = os.openpty()
        tty.setraw(other)
        self.url = os.ttyname(other)
        self._other = other
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the port."""
        self._closed = True
        os.close(self._other)
        self._thread.join(_PATIENCE)
        os.close(self._port)

    def _serve(self) -> None:
        command = b""
        with suppress(OSError):
            while not self._closed:
                byte = os.read(self._port, 1)
                if byte != b"%":
                    command += byte
                    continue
                words = command.decode(errors="replace").split(maxsplit=1)
                command = b""
                lines = self._answer(*words) if words else []
                self._say([*lines, "m-ready"])

    def _say(self, lines: list[str]) -> None:
        data = "".join(f"{line}\r\n" for line in lines).encode()
        while data:
            data = data[os.write(self._port, data) :]

    def _answer(self, word: str, rest: str = "") -> list[str]:
        if word == "name":
            return ["tvmtiny interface board"]
        if word == "setbaud":
            return [f"set baud to: {visible(rest)}"]
        if word == "ls":
            return sorted(path.name for path in self._sounds.glob("*.wav"))
        if word == "record_detections":
            self._starts, self._stops, self._detections = [], [], []
            return ["Now recording detections"]
        if word == "play":
            return [f"Attempting to play {visible(rest)}", self._play(rest)]
        if word == "print_detections":
            return ["Detection Timestamps (ms)", *(f"{ms}," for ms in self._detections)]
        if word == "print_dutycycle":
            starts, stops = (", ".join(map(str, ticks)) for ticks in (self._starts, self._stops))
            return ["Duty cycle start times (s)", starts, "Duty cycle stop times (s)", stops]
        return [f"e-[Unknown command: {visible(word)}]"]

    def _play(self, name: str) -> str:
        """Put the first channel of a WAV file on the line, and record what the device does."""
        try:
            samples = self._samples(name)
        except (OSError, EOFError, wave.Error, InputError) as error:
            return f"Error playing file. {visible(str(error))}"
        begin = self._pins_size()
        with (self._line / SAMPLES_FILE).open("ab") as line:
            line.write(samples)
        decisions = len(samples) // (2 * self._block)
        taken, last = 0, time.monotonic()
        while taken < decisions and time.monotonic() - last < _PATIENCE and not self._closed:
            found = (self._pins_size() - begin) // 8
            if found > taken:
                taken, last = found, time.monotonic()
            time.sleep(0.01)
        with suppress(FileNotFoundError):
            pins = (self._line / PINS_FILE).read_bytes()[begin : begin + 8 * taken]
            self._record(list(struct.iter_unpack("<II", pins)))
        return "succeeded."

    def _samples(self, name: str) -> bytes:
        path = self._sounds / name
        if path.parent != self._sounds:
            raise InputError("there is no such file")
        with wave.open(str(path), "rb") as sound:
            channels, width, rate = sound.getparams()[:3]
            if width != 2 or rate != self._rate:
                raise InputError(f"it needs 16-bit samples at {self._rate} Hz")
            frames = sound.readframes(sound.getnframes())
        pairs = memoryview(frames).cast("h")
        return pairs[::channels].tobytes()

    def _pins_size(self) -> int:
        try:
            return (self._line / PINS_FILE).stat().st_size
        except FileNotFoundError:
            return 0

    def _record(self, decisions: list[tuple[int, int]]) -> None:
        """Turn durations into times: samples are complete at their rate, decisions take turns."""
        free = 0
        for number, (took, detected) in enumerate(decisions, 1):
            start = max(free, round(1e6 * number * self._block / self._rate))
            free = start + took
            self._starts.append(start // _TICK)
            self._stops.append(free // _TICK)
            if detected:
                self._detections.append(free // _DETECTION_TICK)

"""Run the word spotter on a recording, on this machine and on a board, and count hits.

Usage: python hear.py FOLDER [BOARD]. FOLDER is the folder that train.py has written, or trained;
BOARD is mps2-an386 by default.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tvmtiny
from tvmtiny.listening import Heard, listen, read_samples

#: An event belongs to a word from `_EARLY` seconds before the word's end to `_LATE` seconds after
#: it.
_EARLY, _LATE = 0.2, 1.0

RATE = 16000


@dataclass(frozen=True)
class Result:
    """What was heard in a recording.

    Attributes
    ----------
    seconds, words
        Length of the recording, and the number of words to detect in it.
    found, false
        Number of words that were detected, and of events without a word.
    heard
        All scores and events.
    """

    seconds: float
    words: int
    found: int
    false: int
    heard: list[Heard]


def spotter(folder: Path) -> tvmtiny.Model:
    """Load the network in `folder` together with the front end and the detection of events."""
    return tvmtiny.with_front_end(
        tvmtiny.load(folder / "spotter.tflite"),
        tvmtiny.front_end("microfrontend"),
        stride=3,
        detection=tvmtiny.Detection(0.7, average=4, refractory_ms=700, classes=(1, 2)),
    )


def hear(artifact: tvmtiny.Artifact, folder: Path, board: str | None) -> Result:
    """Listen to the recording in `folder` on a board, or on this machine."""
    samples = read_samples(folder / "test.wav", RATE)
    truth = json.loads((folder / "truth.json").read_text())
    blocks = [samples[i : i + 480] for i in range(0, len(samples), 480)]
    heard = list(listen(artifact, blocks, board=board))
    found, false = count([h for h in heard if h.event is not None], truth)
    return Result(len(samples) / RATE, len(truth), found, false, heard)


def main() -> None:
    """Compile the model, listen on this machine and on the board, and compare the events."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder, board = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "mps2-an386"
    artifact = tvmtiny.compile(spotter(folder), board)
    results = [hear(artifact, folder, where) for where in (None, board)]
    for where, result in zip(("this machine", board), results, strict=True):
        print(
            f"{where}: {result.found} of {result.words} words, {result.false} false alarms in "
            f"{result.seconds:.0f} s"
        )
    same = results[0].heard == results[1].heard
    print("all scores and events are equal" if same else "scores or events differ")
    if not same:
        sys.exit(1)


def count(events: list[Heard], truth: list[dict[str, float]]) -> tuple[int, int]:
    """Count the words that were detected and the events without a word."""
    left = list(events)
    found = 0
    for word in truth:
        begin, end = word["end"] - _EARLY, word["end"] + _LATE
        own = [e for e in left if begin <= e.seconds <= end and e.event == word["event"]]
        found += bool(own)
        left = [e for e in left if e not in own]
    return found, len(left)


if __name__ == "__main__":
    main()

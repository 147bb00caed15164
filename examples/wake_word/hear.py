"""Run the word spotter on its test recording, on this machine and on a board, and count hits.

Usage: python hear.py FOLDER [BOARD]. FOLDER is the folder that train.py has written; BOARD is
mps2-an386 by default.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tvmtiny
from tvmtiny.listening import Heard, listen, read_samples

#: An event belongs to a word from `_EARLY` seconds before the word's end to `_LATE` seconds after
#: it.
_EARLY, _LATE = 0.2, 1.0


def main() -> None:
    """Compile the model, listen on this machine and on the board, and compare the events."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder, board = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "mps2-an386"
    model = tvmtiny.with_front_end(
        tvmtiny.load(folder / "spotter.tflite"),
        tvmtiny.front_end("microfrontend"),
        stride=3,
        detection=tvmtiny.Detection(0.7, average=4, refractory_ms=700, classes=(1, 2)),
    )
    artifact = tvmtiny.compile(model, board)
    samples = read_samples(folder / "test.wav", 16000)
    truth = json.loads((folder / "truth.json").read_text())
    blocks = [samples[i : i + 480] for i in range(0, len(samples), 480)]
    results = {}
    for where in (None, board):
        heard = list(listen(artifact, blocks, board=where))
        results[where] = heard
        found, false = count([h for h in heard if h.event is not None], truth)
        print(
            f"{where or 'this machine'}: {found} of {len(truth)} words, {false} false alarms in "
            f"{len(samples) / 16000:.0f} s"
        )
    same = results[None] == results[board]
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

"""Let an emulated board read digits that the shipped model has never seen.

``demo.py image FILE`` saves one of them as input for ``tvmtiny run``; ``demo.py digits`` runs
several with one firmware and draws them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

BOARD = "mps2-an386"
COLUMNS, ROWS = 4, 3
#: Characters from paper to ink.
SHADES = " .:-=+*#%@"


def draw(image: np.ndarray) -> list[str]:
    """Draw an int8 image of shape (1, height, width, 1) as lines with two characters per pixel."""
    levels = (image[0, :, :, 0].astype(int) + 128) * len(SHADES) // 256
    return ["".join(SHADES[level] * 2 for level in row) for row in levels]


def caption(predicted: int, label: int) -> str:
    """Format the digit that the board read, and the correct one if that differs."""
    return f"read {predicted}, is {label}" + ("" if predicted == label else "  !")


def read_digits() -> None:
    """Build the firmware once, run it on the first held-out images, and draw them."""
    import tvmtiny
    from tvmtiny import models
    from tvmtiny.project.registry import platform_for
    from tvmtiny.running import run_firmware

    images, labels = models.digits_test()
    count = COLUMNS * ROWS
    board = tvmtiny.boards()[BOARD]
    artifact = tvmtiny.compile(tvmtiny.load(models.path("digits")), BOARD)
    platform = platform_for(board)
    print(f"The first {count} of {len(images)} held-out images, read on {BOARD}:")
    right = 0
    with tempfile.TemporaryDirectory() as directory:
        firmware = platform.build(platform.generate(artifact, board, Path(directory)))
        platform.flash(firmware)
        for first in range(0, count, COLUMNS):
            blocks = []
            for index in range(first, first + COLUMNS):
                image, label = images[index : index + 1], int(labels[index])
                result = run_firmware(firmware, [image], timeout=60)
                predicted = int(result.outputs[0].data.argmax())
                right += predicted == label
                blocks.append([*draw(image), caption(predicted, label)])
            print()
            for lines in zip(*blocks, strict=True):
                print("   ".join(line.ljust(16) for line in lines).rstrip())
    print(f"\n{right} of {count} right.")


def save_image(path: Path) -> None:
    """Save the first held-out image as the model's input."""
    from tvmtiny import models

    np.save(path, models.digits_test()[0][:1])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("image", help="save one image").add_argument("file", type=Path)
    commands.add_parser("digits", help="read and draw a few images")
    options = parser.parse_args()
    if options.command == "image":
        save_image(options.file)
    else:
        read_digits()


if __name__ == "__main__":
    main()

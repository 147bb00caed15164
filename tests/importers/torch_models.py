"""Five small PyTorch networks with random weights; `FILES` holds their converted files.

Run as a program with a Python that has litert-torch, the module writes the files anew::

    python tests/importers/torch_models.py PYTHON_WITH_TVMTINY

For each network, these are the .tflite file that the importer returns, and an .npz file with
inputs and PyTorch's outputs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

#: The folder of the files.
FILES = Path(__file__).parent / "pytorch_models"
NAMES = ("image_classifier", "residual", "perceptron", "sound", "attention")


def networks() -> dict[str, tuple[Any, tuple[int, ...]]]:
    """The networks, and the shapes of their inputs."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    class Residual(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(4, 8, 3, padding=1)
            self.second = nn.Conv2d(8, 8, 3, padding=1)
            self.last = nn.Linear(8, 5)

        def forward(self, x: Any) -> Any:
            y = f.relu(self.first(x))
            y = f.relu(y + self.second(y))
            return f.softmax(self.last(y.mean((2, 3))), -1)

    class Sound(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv1d(6, 8, 5, 2, 2)
            self.deep = nn.Conv1d(8, 8, 3, padding=1, groups=8)
            self.last = nn.Linear(8, 4)

        def forward(self, features: Any) -> Any:
            y = f.leaky_relu(self.deep(f.hardswish(self.wide(features))), 0.1)
            return self.last(f.avg_pool1d(y, 4).mean(-1))

    class Attention(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(8)
            self.parts = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

        def forward(self, tokens: Any) -> Any:
            y = self.norm(tokens)
            q, k, v = (part(y) for part in self.parts[:3])
            scores = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1)
            return tokens + self.parts[3](scores @ v)

    torch.manual_seed(0)
    image_classifier = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.ReLU6(), nn.Conv2d(8, 16, 1)),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 16, 10)),
    )
    image_classifier[1].running_mean.normal_()
    image_classifier[1].running_var.uniform_(0.5, 2)
    perceptron = nn.Sequential(
        *(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 3)),
        nn.Sigmoid(),
    )
    return {
        "image_classifier": (image_classifier.eval(), (1, 3, 16, 16)),
        "residual": (Residual().eval(), (1, 4, 8, 8)),
        "perceptron": (perceptron.eval(), (1, 12)),
        "sound": (Sound().eval(), (1, 6, 40)),
        "attention": (Attention().eval(), (1, 6, 8)),
    }


def archive(name: str, folder: Path) -> Path:
    """Write one of the networks as a file, with an input and its output beside the file."""
    import numpy as np
    import torch

    network, shape = networks()[name]
    x = torch.randn(shape)
    path = folder / f"{name}.pt2"
    torch.export.save(torch.export.export(network, (x,)), path)
    np.savez(folder / f"{name}.npz", x=x.numpy(), y=network(x).detach().numpy())
    return path


def main(words: list[str]) -> None:
    """Write the files anew, or one archive: ``--archive NAME FOLDER``."""
    if words[0] == "--archive":
        archive(words[1], Path(words[2]))
        return
    FILES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            path = archive(name, Path(folder))
            options = ["--trust", "--python", sys.executable, "-o", str(FILES / f"{name}.tflite")]
            subprocess.run([words[0], "-m", "tvmtiny", "import", str(path), *options], check=True)
            shutil.copy(path.with_suffix(".npz"), FILES)


if __name__ == "__main__":
    main(sys.argv[1:])

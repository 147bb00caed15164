"""Sound through a model, on this machine and on a board, and sound that is refused."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

import tvmtiny
from tests.preprocessing.test_feed import _sliding
from tests.sounds import sound
from tests.tools import on_qemu
from tvmtiny.errors import InputError
from tvmtiny.listening import blocks_of, check_block, listen, read_samples


@pytest.fixture(scope="module")
def artifact() -> tvmtiny.Artifact:
    detection = tvmtiny.Detection(threshold=1.5, average=3, refractory_ms=50, classes=(1, 3))
    model = tvmtiny.with_front_end(
        tvmtiny.load(_sliding(), name="sliding"),
        tvmtiny.front_end("microfrontend"),
        stride=2,
        detection=detection,
    )
    return tvmtiny.compile(model, "mps2-an386")


def _wav(path: Path, samples: np.ndarray, rate: int = 16000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


@on_qemu
def test_a_board_hears_what_this_machine_hears(artifact: tvmtiny.Artifact) -> None:
    samples = np.concatenate([sound("sweep", 6000), sound("noise", 2000)])

    def blocks(size: int) -> list[np.ndarray]:
        return [samples[i : i + size] for i in range(0, len(samples), size)]

    here = [*listen(artifact, blocks(111))]
    there = [*listen(artifact, blocks(320), board="mps2-an386")]
    assert here == there
    assert len(here) == (len(samples) - 320) // 320
    assert {heard.event for heard in here} > {None}


def test_files_and_streams(tmp_path: Path) -> None:
    samples = sound("noise", 1001)
    path = _wav(tmp_path / "noise.wav", samples)
    np.testing.assert_array_equal(read_samples(path, 16000), samples)
    for content in (path.read_bytes(), samples.astype("<i2").tobytes()):
        found = [*blocks_of(io.BytesIO(content), 16000, 100)]
        assert [len(block) for block in found] == [100] * 10 + [1]
        np.testing.assert_array_equal(np.concatenate(found), samples)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    samples = sound("noise", 100)
    with pytest.raises(InputError, match="a sample rate of 8,000 Hz"):
        read_samples(_wav(tmp_path / "slow.wav", samples, 8000), 16000)
    with pytest.raises(InputError, match="has 2 channels"):
        read_samples(_wav(tmp_path / "two.wav", samples, channels=2), 16000)
    with pytest.raises(InputError, match="No such file"):
        read_samples(tmp_path / "none.wav", 16000)
    (tmp_path / "text.wav").write_text("RIFF and no more")
    with pytest.raises(InputError, match="is not an uncompressed WAV file"):
        read_samples(tmp_path / "text.wav", 16000)


def test_blocks_that_are_too_long(artifact: tvmtiny.Artifact) -> None:
    assert check_block(artifact, None) == 106
    with pytest.raises(InputError, match="1 to 320, the samples of a decision of sliding"):
        check_block(artifact, 321)
    with pytest.raises(InputError, match="longer than a decision"):
        next(iter(listen(artifact, [np.zeros(321, np.int16)])))


def test_a_model_without_a_front_end() -> None:
    plain = tvmtiny.compile(tvmtiny.load(_sliding(), name="sliding"), "cortex-m4")
    with pytest.raises(InputError, match="does not take samples in blocks"):
        listen(plain, [])

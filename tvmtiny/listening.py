"""Run a model with an audio front end on sound, on this machine or on a board."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.native import NativeFeed
from tvmtiny.preprocessing import Detector
from tvmtiny.rpc.session import Session

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact, FeedInfo
    from tvmtiny.targets import BoardLike

__all__ = ["Heard", "blocks_of", "listen", "read_samples"]

#: Limit on the size of a WAV file, in bytes.
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Heard:
    """One decision of the model.

    Attributes
    ----------
    seconds
        Time of the last sample of the decision, in seconds from the first sample.
    scores
        Mean of the most recent outputs for each event, dequantized.
    event
        Position of the detected event in the model's output, or None.
    """

    seconds: float
    scores: tuple[float, ...]
    event: int | None


def read_samples(source: str | Path | BinaryIO, rate: int) -> np.ndarray:
    """Read a WAV file with one channel of 16-bit samples.

    Parameters
    ----------
    source
        Path of the file, or a binary stream.
    rate
        Required sample rate in Hz.

    Returns
    -------
    numpy.ndarray
        The samples, int16, one-dimensional.

    Raises
    ------
    InputError
        The file cannot be read, or has another format or rate.
    """
    name = str(source) if isinstance(source, str | Path) else "the input"
    wanted = f"give mono sound of 16 bits at {rate:,} Hz"
    try:
        content = Path(source).read_bytes() if isinstance(source, str | Path) else source.read()
        if len(content) > _MOST_BYTES:
            raise InputError(f"{name} is too long; give at most a gigabyte")
        with wave.open(io.BytesIO(content)) as file:
            channels, width, found = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error
    except (wave.Error, EOFError, RuntimeError) as error:
        raise InputError(f"{name} is not an uncompressed WAV file; {wanted}") from error
    if channels != 1:
        raise InputError(f"{name} has {channels} channels; {wanted}")
    if width != 2:
        raise InputError(f"{name} has samples of {8 * width} bits; {wanted}")
    if found != rate:
        raise InputError(f"{name} has a sample rate of {found:,} Hz; {wanted}")
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)


def blocks_of(stream: BinaryIO, rate: int, block: int) -> Iterator[np.ndarray]:
    """Split a stream, either a WAV file or raw 16-bit samples, into blocks as they arrive.

    Parameters
    ----------
    stream
        Binary stream, such as stdin.
    rate
        Sample rate in Hz that a WAV file must have.
    block
        Number of samples in a block; the last block may be shorter.

    Yields
    ------
    numpy.ndarray
        A block of int16 samples.

    Raises
    ------
    InputError
        Raised as by `read_samples`.
    """
    first = stream.read(4)
    if first == b"RIFF":
        whole = read_samples(io.BytesIO(first + stream.read()), rate)
        yield from (whole[i : i + block] for i in range(0, len(whole), block))
        return
    kept = first
    while data := stream.read(2 * block - len(kept)):
        kept += data
        if len(kept) == 2 * block:
            yield np.frombuffer(kept, "<i2").astype(np.int16)
            kept = b""
    if len(kept) > 1:
        yield np.frombuffer(kept[: len(kept) // 2 * 2], "<i2").astype(np.int16)


def listen(
    artifact: Artifact,
    blocks: Iterable[np.ndarray],
    *,
    board: BoardLike | None = None,
    timeout: float = 120.0,
) -> Iterator[Heard]:
    """Feed samples to a model and yield its decisions.

    Parameters
    ----------
    artifact
        Model with a front end that takes samples in blocks.
    blocks
        int16 samples; no block may be longer than a decision.
    board
        Board to run on. By default, the generated feed function does everything on this machine. A
        board gets the samples of one decision at a time, and its outputs are smoothed on the host,
        which gives the same events.
    timeout
        Seconds after which a run on the board counts as hung.

    Returns
    -------
    iterator of Heard
        The decisions, in order.

    Raises
    ------
    InputError
        The model has no such front end, or a block is too long.
    ToolMissingError, BuildError, DeviceError
        Raised as by `tvmtiny.run`.
    """
    if artifact.feed is None:
        raise InputError(
            f"{artifact.name} does not take samples in blocks; add a front end, such as --frontend "
            "microfrontend"
        )
    if board is None:
        return _here(artifact, artifact.feed, blocks)
    return _on_board(artifact, artifact.feed, blocks, board, timeout)


def _here(artifact: Artifact, info: FeedInfo, blocks: Iterable[np.ndarray]) -> Iterator[Heard]:
    with NativeFeed(artifact) as native:
        before = 0
        for block in blocks:
            event, decisions, sums = native.feed(block)
            if event < 0:
                raise InputError(f"the model returned the error {event} on this machine")
            if decisions != before:
                before = decisions
                yield _heard(artifact, info, decisions, sums, event - 1 if event else None)


def _on_board(
    artifact: Artifact,
    info: FeedInfo,
    blocks: Iterable[np.ndarray],
    board: BoardLike,
    timeout: float,
) -> Iterator[Heard]:
    feed, detector = info.feed, Detector(info.feed)
    kept, decisions, primed = np.zeros(0, np.int16), 0, not info.feed.early
    shape = artifact.inputs[0].shape
    with Session(artifact, board, timeout=timeout) as session:
        for block in blocks:
            if len(block) > feed.samples:
                raise InputError(
                    f"a block of {len(block)} samples is longer than a decision; give at most "
                    f"{feed.samples}"
                )
            kept = np.concatenate([kept, block])
            if not primed and len(kept) >= feed.early:
                session.prime(kept[: feed.early])
                kept, primed = kept[feed.early :], True
            while primed and len(kept) >= feed.samples:
                outputs = session.run(kept[: feed.samples].reshape(shape))[0].reshape(-1)
                kept = kept[feed.samples :]
                decisions += 1
                event = detector.event(outputs.tolist())
                yield _heard(artifact, info, decisions, detector.sums(), event)


def _heard(
    artifact: Artifact, info: FeedInfo, decisions: int, sums: Iterable[int], event: int | None
) -> Heard:
    feed, output = info.feed, artifact.outputs[0]
    assert output.scale is not None and output.zero_point is not None
    counted = min(decisions, feed.average)
    scores = tuple(output.scale * (total / counted - output.zero_point) for total in sums)
    seconds = (feed.early + decisions * feed.samples) / feed.sample_rate
    return Heard(seconds, scores, event)


def check_block(artifact: Artifact, block: int | None) -> int:
    """Return the number of samples in a block: `block`, or by default a third of a decision.

    Parameters
    ----------
    artifact
        Model with a front end.
    block
        Requested number of samples; None for the default.

    Returns
    -------
    int
        Number of samples, from 1 to those of a decision.

    Raises
    ------
    InputError
        `block` is empty or longer than a decision, or the model has no such front end.
    """
    if artifact.feed is None:
        raise InputError(
            f"{artifact.name} takes no samples in blocks; give it a front end, such as "
            "--frontend microfrontend"
        )
    most = artifact.feed.feed.samples
    if block is None:
        return max(1, most // 3)
    if not 1 <= block <= most:
        raise InputError(
            f"a block of {quoted(block)} samples is not possible; give 1 to {most}, the samples of "
            f"a decision of {artifact.name}"
        )
    return block

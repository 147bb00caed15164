"""The image format, as described in docs/image-format.md; ``runtime/image`` reads it on a board."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from tvmtiny.errors import ImageError
from tvmtiny.targets.table import all_features

__all__ = [
    "ALIGNMENT",
    "DIGEST_BYTES",
    "SIGNATURE_BYTES",
    "Image",
    "ImageTensor",
    "SignatureKind",
    "feature_bits",
    "parse_image",
    "read_image",
]

FORMAT = 1
ABI = 1
ALIGNMENT = 16
DIGEST_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 8

_MAGIC = b"TVMI"
_HEADER = struct.Struct("<4sHHIIIBBBBIIIIIIIIHHI32s24s32s8s16s")
_TENSOR = struct.Struct("<IIfiBBBB6I36s")
_EXTERNAL = 0xFFFFFFFF
_MOST_RANK = 6
_MOST_TENSORS = 64
_MOST = (1 << 32) - 1

#: dtypes in the order of their numbers in the header.
_DTYPES = (
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float32", "float64", "bool", "float16"),
)

_ADVICE = "build it again (tvmtiny image MODEL)"


class SignatureKind(IntEnum):
    """Kind of signature; both algorithms sign the SHA-256 of the image."""

    NONE = 0
    ED25519 = 1
    ECDSA_P256 = 2

    @property
    def text(self) -> str:
        """Name of the algorithm for users."""
        return ("none", "Ed25519", "ECDSA-P256")[self]


@dataclass(frozen=True)
class ImageTensor:
    """An input or output of an image.

    Attributes
    ----------
    offset
        Offset in the arena in bytes; None if the firmware provides the memory.
    scale, zero_point
        None if the tensor is not quantized.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    offset: int | None
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class Image:
    """A model as an image.

    Attributes
    ----------
    name, cpu
        Name of the model, and of the CPU that it was compiled for.
    features
        CPU features whose instructions the code may use.
    version
        Version of the model; a board that has run a later one rejects the image.
    minimum_firmware
        Lowest firmware version that can run the image.
    arena_bytes, state_bytes, stack_bytes
        Memory that the model needs, in bytes; the state persists from one run to the next.
    inputs, outputs
        Inputs and outputs of the model.
    code
        Machine code and constants, which follow the header and run at any address that is a
        multiple of `ALIGNMENT`.
    constants_bytes
        Bytes of `code` that are weights and tables.
    entry
        Offset of the run function within `code`.
    code_bit
        Value added to addresses of functions: 1 for Thumb.
    selftest
        Seed of an input, and SHA-256 of the outputs for it; None if there is no self-test.
    signature_kind, key_id, signature
        Signature, empty for an unsigned image.
    """

    name: str
    cpu: str
    features: frozenset[str]
    version: int
    minimum_firmware: int
    arena_bytes: int
    state_bytes: int
    stack_bytes: int
    inputs: tuple[ImageTensor, ...]
    outputs: tuple[ImageTensor, ...]
    code: bytes
    constants_bytes: int
    entry: int
    code_bit: int
    selftest: tuple[int, bytes] | None = None
    signature_kind: SignatureKind = SignatureKind.NONE
    key_id: bytes = bytes(KEY_ID_BYTES)
    signature: bytes = b""

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_names()

    @property
    def header_bytes(self) -> int:
        """Size of everything before the code, in bytes."""
        return header_bytes(len(self.inputs) + len(self.outputs))

    @property
    def total_bytes(self) -> int:
        """Size of the whole image, in bytes."""
        signed = self.signature_kind is not SignatureKind.NONE
        tail = DIGEST_BYTES + (SIGNATURE_BYTES if signed else 0)
        return self.header_bytes + len(self.code) + tail

    @property
    def overhead_bytes(self) -> int:
        """Size of everything besides code and constants, in bytes."""
        return self.total_bytes - len(self.code)

    @property
    def hashed(self) -> bytes:
        """The hashed bytes: header, code and constants."""
        seed, expected = self.selftest or (0, bytes(DIGEST_BYTES))
        header = _HEADER.pack(
            _MAGIC,
            FORMAT,
            ABI,
            self.total_bytes,
            self.header_bytes,
            len(self.code),
            self.signature_kind,
            int(self.selftest is not None),
            self.code_bit,
            0,
            self.version,
            self.minimum_firmware,
            self.arena_bytes,
            self.state_bytes,
            self.stack_bytes,
            feature_bits(self.features),
            self.header_bytes + self.entry,
            self.constants_bytes,
            len(self.inputs),
            len(self.outputs),
            seed,
            expected,
            self.cpu.encode("ascii"),
            self.name.encode("ascii"),
            self.key_id,
            bytes(16),
        )
        tensors = b"".join(_record(tensor) for tensor in (*self.inputs, *self.outputs))
        return header + tensors + self.code

    @property
    def digest(self) -> bytes:
        """The SHA-256 of `hashed`, which is what signatures cover."""
        return hashlib.sha256(self.hashed).digest()

    def pack(self) -> bytes:
        """Return the content of the image file."""
        return self.hashed + self.digest + self.signature

    def _check_numbers(self) -> None:
        for what in ("version", "minimum_firmware", "arena_bytes", "state_bytes", "stack_bytes"):
            value = getattr(self, what)
            if not 0 <= value <= _MOST:
                reason = f"{what.replace('_', ' ')} {value} does not fit 32 bits"
                raise ImageError(self.name, reason, f"give 0 to {_MOST}")

    def _check_names(self) -> None:
        tensors = (*self.inputs, *self.outputs)
        if len(tensors) > _MOST_TENSORS or any(len(t.shape) > _MOST_RANK for t in tensors):
            reason = f"it has {len(tensors)} inputs and outputs, or one of more than 6 dimensions"
            advice = f"an image has at most {_MOST_TENSORS}, of at most {_MOST_RANK} dimensions"
            raise ImageError(self.name, reason, advice)
        if len(self.name) > 31:
            reason = f"its name has {len(self.name)} characters"
            raise ImageError(self.name, reason, "give a name of at most 31 characters (--name)")
        for tensor in tensors:
            if len(tensor.name) > 35:
                reason = f"the name {tensor.name!r} has {len(tensor.name)} characters"
                advice = "give a name of at most 35 characters (--input-name, --output-name)"
                raise ImageError(self.name, reason, advice)


def header_bytes(tensors: int) -> int:
    """Return the size of a header with `tensors` inputs and outputs."""
    return _HEADER.size + tensors * _TENSOR.size


def feature_bits(features: frozenset[str]) -> int:
    """Encode features as in the header."""
    return sum(1 << bit for bit, name in enumerate(all_features()) if name in features)


def read_image(path: Path) -> Image:
    """Read an image from a file; see `parse_image`.

    Parameters
    ----------
    path
        Path of the image file.

    Returns
    -------
    Image
        The image; its signature has not been verified.

    Raises
    ------
    ImageError
        The file cannot be read, or is not a valid image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = f"it cannot be read: {error.strerror}"
        raise ImageError(str(path), reason, "give a file of tvmtiny image MODEL") from error
    return parse_image(data, str(path))


def parse_image(data: bytes, file: str) -> Image:
    """Parse an image, and check its structure and hash, but not its signature.

    Parameters
    ----------
    data
        Content of an image file.
    file
        Name of the image in error messages.

    Returns
    -------
    Image
        The image; its signature has not been verified.

    Raises
    ------
    ImageError
        The data is not an image, is damaged or truncated, or has another format.
    """
    if data[:4] != _MAGIC:
        raise ImageError(file, "it is not a model image", "make one with tvmtiny image MODEL")
    if len(data) < _HEADER.size:
        raise ImageError(file, "it is truncated", "copy the whole file")
    fields = _HEADER.unpack_from(data)
    (_, form, abi, total, header, code, kind, tested, code_bit, _, version, firmware) = fields[:12]
    (arena, state, stack, features, run, constants, inputs, outputs, seed) = fields[12:21]
    expected, cpu, name, key_id, _ = fields[21:]
    if (form, abi) != (FORMAT, ABI):
        reason = f"it has format {form} and ABI {abi}, not {FORMAT} and {ABI}"
        raise ImageError(file, reason, "use the version of tvmtiny that built it")
    if total > len(data):
        raise ImageError(file, f"it has {len(data):,} of {total:,} bytes", "copy the whole file")
    count = inputs + outputs
    if (
        total < len(data)
        or kind > max(SignatureKind)
        or count > _MOST_TENSORS
        or header != header_bytes(count)
        or total - header - DIGEST_BYTES - (SIGNATURE_BYTES if kind else 0) != code
        or code % 4
        or tested > 1
        or code_bit > 1
        or features >> len(all_features())
        or not header <= run < header + code
        or constants > code
    ):
        raise ImageError(file, "the parts of its header are inconsistent", _ADVICE)
    records = [_tensor(data, index, file) for index in range(count)]
    image = Image(
        _text(name, file),
        _text(cpu, file),
        frozenset(f for bit, f in enumerate(all_features()) if features >> bit & 1),
        version,
        firmware,
        arena,
        state,
        stack,
        tuple(records[:inputs]),
        tuple(records[inputs:]),
        data[header : header + code],
        constants,
        run - header,
        code_bit,
        (seed, expected) if tested else None,
        SignatureKind(kind),
        key_id,
        data[header + code + DIGEST_BYTES :],
    )
    if image.pack() != data:
        raise ImageError(file, "it is damaged: its hash does not match", _ADVICE)
    return image


def _record(tensor: ImageTensor) -> bytes:
    """Encode a tensor as in the header."""
    shape = (*tensor.shape, *([0] * (_MOST_RANK - len(tensor.shape))))
    return _TENSOR.pack(
        tensor.bytes,
        _EXTERNAL if tensor.offset is None else tensor.offset,
        tensor.scale or 0.0,
        tensor.zero_point or 0,
        _DTYPES.index(tensor.dtype),
        len(tensor.shape),
        int(tensor.scale is not None),
        0,
        *shape,
        tensor.name.encode("ascii"),
    )


def _tensor(data: bytes, index: int, file: str) -> ImageTensor:
    fields = _TENSOR.unpack_from(data, _HEADER.size + index * _TENSOR.size)
    size, offset, scale, zero_point, dtype, rank, quantized = fields[:7]
    if dtype >= len(_DTYPES) or rank > _MOST_RANK:
        raise ImageError(file, f"input or output {index} is invalid", _ADVICE)
    return ImageTensor(
        _text(fields[14], file),
        _DTYPES[dtype],
        tuple(fields[8 : 8 + rank]),
        size,
        None if offset == _EXTERNAL else offset,
        scale if quantized else None,
        zero_point if quantized else None,
    )


def _text(field: bytes, file: str) -> str:
    text, _, rest = field.partition(b"\0")
    if not text or rest.strip(b"\0") or not text.isascii():
        raise ImageError(file, "a name in its header is invalid", _ADVICE)
    return text.decode("ascii")

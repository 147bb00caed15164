"""Sign images and verify signatures with the package ``cryptography``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tvmtiny.errors import ImageError, InputError
from tvmtiny.errors.base import one_line, quoted
from tvmtiny.host.imports import importing
from tvmtiny.images.image_format import KEY_ID_BYTES, Image, SignatureKind

__all__ = ["PublicKey", "key_source", "read_public_key", "sign", "verify"]

_PEM = "a key in PEM of Ed25519 or ECDSA P-256, such as openssl genpkey -algorithm ed25519 gives"


@dataclass(frozen=True)
class PublicKey:
    """A public key with which a board verifies signatures.

    Attributes
    ----------
    kind
        Algorithm of the key.
    data
        32 bytes for Ed25519 (RFC 8032); 64 bytes for ECDSA-P256: x and y, big-endian.
    """

    kind: SignatureKind
    data: bytes

    @property
    def key_id(self) -> bytes:
        """The first bytes of the key's SHA-256, by which an image identifies its key."""
        return hashlib.sha256(self.data).digest()[:KEY_ID_BYTES]


def sign(image: Image, key: Path) -> Image:
    """Sign an image.

    The signature covers the SHA-256 of the image: with Ed25519 as a 32-byte message, with ECDSA as
    the hash itself.

    Parameters
    ----------
    key
        File with an unencrypted private key in PEM format: PKCS 8, or SEC 1 for P-256.

    Raises
    ------
    InputError
        The file cannot be read, or contains no such key.
    ToolMissingError
        The package ``cryptography`` is not installed.
    """
    private = _read_private(key)
    public = _public(private.public_key(), key)
    signed = replace(image, signature_kind=public.kind, key_id=public.key_id, signature=b"")
    if public.kind is SignatureKind.ED25519:
        return replace(signed, signature=private.sign(signed.digest))
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    der = private.sign(signed.digest, ec.ECDSA(utils.Prehashed(SHA256())))
    numbers = utils.decode_dss_signature(der)
    return replace(signed, signature=b"".join(n.to_bytes(32, "big") for n in numbers))


def verify(image: Image, key: PublicKey, file: str) -> None:
    """Verify the signature of an image.

    Parameters
    ----------
    file
        Name of the image in error messages.

    Raises
    ------
    ImageError
        The image is unsigned or signed with another key, or its signature is invalid.
    ToolMissingError
        The package ``cryptography`` is not installed.
    """
    if image.signature_kind is SignatureKind.NONE:
        raise ImageError(file, "it is not signed", "sign it (tvmtiny image MODEL --sign KEY.pem)")
    if (image.signature_kind, image.key_id) != (key.kind, key.key_id):
        reason = f"it is signed with another key, {image.key_id.hex()}"
        raise ImageError(file, reason, f"give its public key, not {key.key_id.hex()}")
    with _cryptography():
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
        from cryptography.hazmat.primitives.hashes import SHA256
    try:
        if key.kind is SignatureKind.ED25519:
            public = ed25519.Ed25519PublicKey.from_public_bytes(key.data)
            public.verify(image.signature, image.digest)
        else:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + key.data)
            halves = (image.signature[:32], image.signature[32:])
            der = utils.encode_dss_signature(*(int.from_bytes(h, "big") for h in halves))
            point.verify(der, image.digest, ec.ECDSA(utils.Prehashed(SHA256())))
    except InvalidSignature:
        advice = "it may have been tampered with: do not use it, and build it again"
        raise ImageError(file, "its signature is invalid", advice) from None


def read_public_key(path: Path) -> PublicKey:
    """Read a public key from a PEM file, which may contain the private key instead.

    Raises
    ------
    InputError
        The file cannot be read, or contains no Ed25519 or ECDSA P-256 key.
    ToolMissingError
        The package ``cryptography`` is not installed.
    """
    data = _read(path)
    with _cryptography():
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    if b"PRIVATE KEY" in data:
        return _public(_read_private(path).public_key(), path)
    try:
        return _public(load_pem_public_key(data), path)
    except InputError:
        raise
    except Exception as error:
        raise _no_key(path, error) from error


def key_source(key: PublicKey, name: str = "image_key") -> str:
    """Format a public key and its ID as C arrays for the firmware.

    Parameters
    ----------
    name
        Name of the array of the key; that of the ID is ``<name>_id``.
    """
    lines = [f"/* {key.kind.text}, {key.key_id.hex()} */"]
    for array, data in ((name, key.data), (f"{name}_id", key.key_id)):
        values = ", ".join(f"0x{byte:02x}" for byte in data)
        lines.append(f"static const uint8_t {array}[{len(data)}] = {{{values}}};")
    return "\n".join(lines) + "\n"


def _read_private(path: Path) -> Any:
    data = _read(path)
    with _cryptography():
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    try:
        return load_pem_private_key(data, None)
    except Exception as error:
        raise _no_key(path, error) from error


def _public(key: Any, path: Path) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicKey(SignatureKind.ED25519, key.public_bytes_raw())
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        numbers = key.public_numbers()
        data = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        return PublicKey(SignatureKind.ECDSA_P256, data)
    raise InputError(f"{quoted(str(path))} has an unsupported kind of key; give {_PEM}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the key {path}: {error.strerror}; give {_PEM}") from error


def _no_key(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{quoted(str(path))} is not a usable key ({one_line(error)[:80]}); give {_PEM}"
    )


def _cryptography() -> Any:
    return importing("cryptography", "tvmtiny[images]", "to sign images and check signatures")

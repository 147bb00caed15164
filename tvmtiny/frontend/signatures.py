"""Selection of a signature of a model file; each signature calls one subgraph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tvmtiny.errors import InputError, ModelFormatError
from tvmtiny.errors.base import quoted, short_name
from tvmtiny.frontend.flatbuffer import FlatbufferError, signatures, unpack_model
from tvmtiny.frontend.writer import packed

__all__ = ["signatures_note", "with_signature"]

#: Most names in a message.
_MOST_NAMES = 8


def signatures_note(content: bytes) -> str | None:
    """Return a note if the signatures of a valid file call several subgraphs, else None."""
    found = signatures(content)
    if len({subgraph for _, subgraph in found}) < 2:
        return None
    taken = next((repr(key) for key, subgraph in found if not subgraph), "the first subgraph")
    return (
        f"of the file's signatures {_listed([key for key, _ in found])} this is {taken}; "
        "--signature takes another"
    )


def with_signature(content: bytes, path: str, key: str) -> bytes:
    """Reduce a model to one signature, whose subgraph becomes the first one.

    Parameters
    ----------
    content
        Content of the .tflite file.
    path
        Path of the file, for error messages.
    key
        Name of the signature.

    Returns
    -------
    bytes
        Content of a .tflite file with this signature alone, and the subgraphs that it needs.

    Raises
    ------
    InputError
        If the file has no signature of this name.
    ModelFormatError
        If the file is damaged.
    """
    try:
        model = unpack_model(content)
    except FlatbufferError as error:
        raise ModelFormatError(path, f"the file is truncated or damaged ({error})") from error
    found = model.signatureDefs or ()
    signature = next((s for s in found if _key(s) == key), None)
    if signature is None:
        known = f"known: {_listed([_key(s) for s in found])}" if found else "it has none"
        raise InputError(f"{path} has no signature {quoted(key)}; {known}")
    chosen, count = int(signature.subgraphIndex), len(model.subgraphs or ())
    if chosen >= count:
        reason = f"the signature {quoted(key)} names subgraph {chosen}, but there are only {count}"
        raise ModelFormatError(path, reason)
    _keep_only(model, chosen)
    signature.subgraphIndex = 0
    model.signatureDefs = [signature]
    _keep_outside_data(model, content)
    return packed(model)


def _keep_only(model: Any, first: int) -> None:
    """Keep a subgraph, as the first one, and the subgraphs that its operators call."""
    kept = [first]
    for index in kept:
        # The reader rejects indices that are out of range.
        inner = [i for _, _, i in _runs(model.subgraphs[index]) if 0 <= i < len(model.subgraphs)]
        kept += [i for i in dict.fromkeys(inner) if i not in kept]
    places = {index: place for place, index in enumerate(kept)}
    model.subgraphs = [model.subgraphs[index] for index in kept]
    for options, field, index in [run for graph in model.subgraphs for run in _runs(graph)]:
        setattr(options, field, places.get(index, index))


def _runs(graph: Any) -> Iterator[tuple[Any, str, int]]:
    """Yield the options, fields and indices by which a subgraph's operators refer to others."""
    for operator in () if graph.operators is None else graph.operators:
        for options in (operator.builtinOptions, operator.builtinOptions2):
            for field, value in vars(options).items() if options else ():
                if field.endswith("SubgraphIndex"):
                    yield options, field, value


def _keep_outside_data(model: Any, content: bytes) -> None:
    """Move constants that some writers store after the flatbuffer into it."""
    for buffer in model.buffers or ():
        if buffer.offset > 1:
            buffer.data = list(content[buffer.offset : buffer.offset + buffer.size])
            buffer.offset = buffer.size = 0


def _key(signature: Any) -> str:
    return bytes(signature.signatureKey or b"").decode("utf-8", "replace")


def _listed(keys: Sequence[str]) -> str:
    shown = ", ".join(short_name(key, 40) for key in keys[:_MOST_NAMES])
    return f"{shown} and {len(keys) - _MOST_NAMES} more" if len(keys) > _MOST_NAMES else shown

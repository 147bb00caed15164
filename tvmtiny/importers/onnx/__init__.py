"""Import ONNX models: float models, and integer models with values quantized by QuantizeLinear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tvmtiny.errors import ModelFormatError
from tvmtiny.host.imports import importing
from tvmtiny.importers.onnx.converter import convert
from tvmtiny.importers.results import Imported, ImportOptions

__all__ = ["import_file", "import_object"]


def import_file(path: Path, options: ImportOptions) -> Imported:
    """Import a .onnx file, with its external data beside it.

    Raises
    ------
    ToolMissingError
        ``onnx`` is not installed.
    ModelFormatError
        If the file cannot be read.
    DynamicShapeError, UnsupportedModelError
        See `convert`.
    """
    with importing("onnx", "'tvmtiny[onnx]'", "to read ONNX models"):
        import onnx
    try:
        model = onnx.load(str(path))
    except Exception as error:
        # Protobuf and onnx pass on any exception of their parsers.
        reason = getattr(error, "strerror", None) or f"it cannot be parsed ({error})"
        raise ModelFormatError(str(path), str(reason), "ONNX") from error
    return convert(model, str(path), keep_layout=options.keep_layout)


def import_object(source: Any, options: ImportOptions) -> Imported:
    """Import an ``onnx.ModelProto``.

    Raises
    ------
    ToolMissingError, ModelFormatError, DynamicShapeError, UnsupportedModelError
        See `import_file`.
    """
    return convert(source, "the ONNX model", keep_layout=options.keep_layout)

"""Choose the importer of a file or an object; no other module knows the importers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from tvmtiny.errors import InputError, ModelFormatError
from tvmtiny.errors.base import quoted
from tvmtiny.frontend.model import Model, read_file
from tvmtiny.frontend.model import load as load_tflite
from tvmtiny.frontend.signatures import with_signature
from tvmtiny.importers.results import Imported, ImportOptions
from tvmtiny.ops import Oracle

__all__ = ["FRAMEWORKS", "Framework", "import_model", "load", "read_content"]


@dataclass(frozen=True)
class Framework:
    """A framework.

    Attributes
    ----------
    name
        The framework's name, in its own spelling.
    suffixes
        Suffixes of the framework's files.
    roots
        Top-level packages of the classes of its objects.
    module
        The module with the functions ``import_file`` and ``import_object``. Each takes the file or
        object and `ImportOptions`, and returns an `Imported`.
    """

    name: str
    suffixes: tuple[str, ...]
    roots: tuple[str, ...]
    module: str

    def importer(self, function: str) -> Callable[[Any, ImportOptions], Imported]:
        """One of the module's functions."""
        found: Callable[[Any, ImportOptions], Imported] = getattr(
            import_module(self.module), function
        )
        return found


FRAMEWORKS = (
    Framework("ONNX", (".onnx",), ("onnx",), "tvmtiny.importers.onnx"),
    Framework(
        "scikit-learn",
        (".joblib", ".pkl", ".pickle"),
        ("sklearn",),
        "tvmtiny.importers.sklearn",
    ),
    Framework("Keras", (".keras", ".h5"), ("keras", "tf_keras"), "tvmtiny.importers.keras"),
    Framework("PyTorch", (".pt2",), ("torch",), "tvmtiny.importers.pytorch"),
)
#: Advice for files of frameworks that do not contain a model that can be imported.
_OTHERS = {
    ".pt": "holds weights without a program: write torch.export.save(torch.export.export("
    "model.eval(), (sample,)), 'model.pt2'), or torch.onnx.export",
    ".pth": "holds weights without a program: write torch.export.save(torch.export.export("
    "model.eval(), (sample,)), 'model.pt2'), or torch.onnx.export",
    ".pb": "is one of TensorFlow's graphs: convert it with tf.lite.TFLiteConverter",
    ".safetensors": "holds weights without a model: export the model as .pt2, .onnx or .tflite",
}


def import_model(
    source: str | os.PathLike[str] | object, options: ImportOptions | None = None
) -> Imported:
    """Convert a model of another framework to a .tflite file.

    Parameters
    ----------
    source
        A file with one of the frameworks' suffixes, or an object such as an ``onnx.ModelProto``.
    options
        How to import the model; see `ImportOptions`.

    Raises
    ------
    InputError
        If no importer takes such a file or object.
    ToolMissingError
        If a package is missing that reads it.
    ModelFormatError, DynamicShapeError, UnsupportedModelError
        If it cannot be read or converted.
    """
    options = options or ImportOptions()
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        framework = next((f for f in FRAMEWORKS if path.suffix.lower() in f.suffixes), None)
        if framework is None and path.suffix.lower() in _OTHERS:
            if not path.exists():
                raise InputError(f"{path} does not exist; give the path of a model")
            raise InputError(f"{path} {_OTHERS[path.suffix.lower()]}")
        if framework is None:
            raise InputError(
                f"nothing imports {quoted(str(source))}; known files: "
                f"{', '.join(s for f in FRAMEWORKS for s in f.suffixes)}"
            )
        if not path.exists():
            raise ModelFormatError(str(source), "there is no such file", framework.name)
        return framework.importer("import_file")(path, options)
    framework = _framework_of(source)
    if framework is None:
        raise InputError(
            f"nothing imports a {type(source).__name__}; known: a .tflite file or its content, and "
            f"files and objects of {', '.join(f.name for f in FRAMEWORKS)}"
        )
    return framework.importer("import_object")(source, options)


def _framework_of(source: object) -> Framework | None:
    """Find the framework that defines an object's class or one of its base classes."""
    roots = [cls.__module__.partition(".")[0] for cls in type(source).__mro__]
    return next((f for root in roots for f in FRAMEWORKS if root in f.roots), None)


def load(
    source: str | os.PathLike[str] | bytes | object,
    *,
    name: str | None = None,
    oracle: Oracle | str = Oracle.LITERT,
    signature: str | None = None,
    options: ImportOptions | None = None,
) -> Model:
    """Read and verify a model, of TFLite or of another framework.

    Parameters
    ----------
    source
        The path of a .tflite file, its content, or any source that `import_model` takes.
    name
        The name of generated files and symbols, converted to a C identifier; by default the file's
        name without its suffix. A default name that would hide a system header gets a prefix, such
        as ``model_signal``, and a long one is shortened.
    oracle
        The implementation whose results the code reproduces if implementations round differently:
        LiteRT's reference kernels, or TensorFlow Lite for Microcontrollers.
    signature
        The name of the signature to compile; by default the file's first subgraph is compiled.
    options
        How to import models of other frameworks.

    Raises
    ------
    ModelFormatError, DynamicShapeError, DynamicRangeModelError, UnsupportedModelError
        If the file cannot be read or compiled; see `tvmtiny.errors`.
    InputError
        If there is no such oracle or signature, or no importer takes such a file or object.
    ToolMissingError
        If a package is missing that reads it.
    """
    made = _imported(source, options)
    if made is None:
        assert isinstance(source, str | os.PathLike | bytes)
        return load_tflite(source, name=name, oracle=oracle, signature=signature)
    is_file = isinstance(source, str | os.PathLike)
    stem = Path(str(source)).stem if is_file else _name_of(source)
    model = load_tflite(made.content, name=name or stem, oracle=oracle, signature=signature)
    return replace(model, remarks=(*made.notes, *model.remarks))


def _name_of(source: object) -> str:
    """Return the name that an object gives itself, or that of its class."""
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name else type(source).__name__.lower()


def read_content(
    source: str | os.PathLike[str] | bytes | object,
    options: ImportOptions | None = None,
    *,
    signature: str | None = None,
) -> bytes:
    """Return the .tflite file of a model, converted if necessary.

    Parameters
    ----------
    source, options
        See `load`.
    signature
        The name of the only signature of the result; by default the file is left unchanged.

    Raises
    ------
    ModelFormatError, DynamicShapeError, UnsupportedModelError, InputError, ToolMissingError
        As from `load`; the content is not verified.
    """
    made, path = _imported(source, options), "the model"
    if made is not None:
        content = made.content
    else:
        assert isinstance(source, str | os.PathLike | bytes)
        content = source if isinstance(source, bytes) else read_file(source)
    if isinstance(source, str | os.PathLike):
        path = str(source)
    return content if signature is None else with_signature(content, path, signature)


def _imported(source: object, options: ImportOptions | None) -> Imported | None:
    """Import a model; returns None for a TFLite model."""
    if isinstance(source, str | os.PathLike):
        suffix = Path(source).suffix.lower()
        if suffix not in _OTHERS and not any(suffix in f.suffixes for f in FRAMEWORKS):
            return None
    return None if isinstance(source, bytes) else import_model(source, options)

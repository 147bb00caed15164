"""Import Keras models with TensorFlow's converter."""

from __future__ import annotations

import tempfile
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

from tvmtiny.errors import InputError, ModelFormatError, UnsupportedModelError
from tvmtiny.errors.base import one_line
from tvmtiny.host.imports import importing
from tvmtiny.importers.described import described
from tvmtiny.importers.results import Imported, ImportOptions
from tvmtiny.oracle import silenced

__all__ = ["import_file", "import_object"]

_WHY = "to convert Keras models"
_OLD = ".h5"


def import_file(path: Path, options: ImportOptions) -> Imported:
    """Import a ``.keras`` file, or an ``.h5`` file of older versions.

    Raises
    ------
    InputError
        If an ``.h5`` file is not trusted: its layers can contain code that runs while the file is
        read.
    ToolMissingError
        ``tensorflow`` is not installed.
    ModelFormatError
        If the file cannot be read.
    UnsupportedModelError
        See `import_object`.
    """
    if path.suffix.lower() == _OLD and not options.trust:
        raise InputError(
            f"{path} can hold code, which runs as it is read; for a file that you made yourself, "
            "give tvmtiny import --trust, or ImportOptions(trust=True), or save the model as .keras"
        )
    keras, _ = _packages()
    try:
        with silenced():
            model = keras.models.load_model(path, compile=False, safe_mode=not options.trust)
    except Exception as error:
        # Keras passes on any exception that its layers raise.
        raise ModelFormatError(str(path), f"Keras refuses it: {error}", "Keras") from error
    return import_object(model, options)


def import_object(source: Any, options: ImportOptions) -> Imported:
    """Import a ``keras.Model``, in float32 and for a batch of 1.

    Inputs and outputs keep their names in the model: ``keras.Input(..., name="image")``, and
    ``keras.Model(x, {"digit": y})``.

    Raises
    ------
    InputError
        If the object is not a model, or the model was not built.
    ToolMissingError
        ``tensorflow`` is not installed, or Keras runs on another package.
    UnsupportedModelError
        If TensorFlow's converter refuses it.
    """
    keras, tf = _packages()
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Keras runs on {keras.backend.backend()} here; models are converted with TensorFlow: "
            "set KERAS_BACKEND=tensorflow, or save the model and load it there"
        )
    inputs = getattr(source, "inputs", None)
    if not inputs:
        raise InputError(
            f"the Keras {type(source).__name__} has no inputs yet; give a keras.Model that is "
            "built, such as after model(sample)"
        )
    signature = [
        keras.InputSpec(shape=(1, *i.shape[1:]), dtype=i.dtype, name=i.name) for i in inputs
    ]
    nothing = StringIO()
    with tempfile.TemporaryDirectory(prefix="tvmtiny-keras-") as folder:
        try:
            with silenced(), redirect_stdout(nothing), redirect_stderr(nothing):
                source.export(
                    folder, format="tf_saved_model", input_signature=signature, verbose=False
                )
                content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
        except Exception as error:
            raise _refused(source, error) from error
    return described("Keras", bytes(content), [tuple(i.shape) for i in inputs])


def _packages() -> tuple[Any, Any]:
    """Import Keras and TensorFlow. TensorFlow comes first, because it installs Keras."""
    with silenced(), importing("tensorflow", "tensorflow", _WHY):
        tf = import_module("tensorflow")
        return import_module("keras"), tf


def _refused(source: Any, error: Exception) -> InputError:
    if isinstance(error, UnsupportedModelError):
        return error
    return InputError(
        f"TensorFlow's converter refuses the Keras model {one_line(source.name)}: "
        f"{one_line(error)[:400]}; convert it without the layers that it names"
    )

"""Import archives of ``torch.export`` with litert-torch in a separate process.

litert-torch depends on two gigabytes of packages, one of which requires an older typing_extensions
than TVM does. Therefore litert-torch is installed in a separate environment, and the caller names
the Python of this environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tvmtiny.errors import InputError, ModelFormatError, ToolMissingError
from tvmtiny.errors.base import one_line
from tvmtiny.frontend.flatbuffer import unpack_model
from tvmtiny.frontend.writer import packed
from tvmtiny.host.imports import importing
from tvmtiny.importers import pytorch_export
from tvmtiny.importers.described import described
from tvmtiny.importers.results import Imported, ImportedTensor, ImportOptions, moved_notes

__all__ = ["import_file", "import_object"]

#: Time limit in seconds of a conversion, during which PyTorch compiles the program.
_MOST_SECONDS = 1800
_REMEDY = (
    "as its packages do not go with TVM's, install it in an environment of its own: python -m venv "
    "torch-env && torch-env/bin/pip install litert-torch, and give --python torch-env/bin/python"
)


def import_file(path: Path, options: ImportOptions) -> Imported:
    """Import an archive that ``torch.export.save`` wrote.

    Raises
    ------
    InputError
        If `options` do not say that the file is trusted, as PyTorch reads such files with pickle;
        or if litert-torch refuses the program.
    ToolMissingError
        ``litert-torch`` is not installed for that Python.
    ModelFormatError
        If there is no such Python, or the file cannot be read.
    """
    if not options.trust:
        raise InputError(
            f"{path} is read with pickle by PyTorch, which runs what its maker put in; for a file "
            "that you made yourself, give tvmtiny import --trust, or ImportOptions(trust=True)"
        )
    with tempfile.TemporaryDirectory(prefix="tvmtiny-torch-") as folder:
        target = Path(folder, "model.tflite")
        answer = _run(path, target, options)
        return _described(target.read_bytes(), answer)


def import_object(source: Any, options: ImportOptions) -> Imported:
    """Import an ``ExportedProgram``.

    Raises
    ------
    InputError
        If the object is not an ``ExportedProgram``, but for example a module.
    ToolMissingError, ModelFormatError
        See `import_file`.
    """
    if type(source).__name__ != "ExportedProgram":
        raise InputError(
            f"a {type(source).__name__} of PyTorch has no shapes yet; give "
            "torch.export.export(model.eval(), (sample,)), whose sample has the shape of an input"
        )
    with importing("torch", "torch", "to write a program of PyTorch"):
        import torch
    with tempfile.TemporaryDirectory(prefix="tvmtiny-torch-") as folder:
        archive = Path(folder, "program.pt2")
        torch.export.save(source, archive)
        return import_file(archive, replace(options, trust=True))


def _run(path: Path, target: Path, options: ImportOptions) -> dict[str, Any]:
    python = options.python or sys.executable
    # Pass the program as text: if a file runs, modules beside it hide packages with the same names.
    program = Path(str(pytorch_export.__file__)).read_text(encoding="utf-8")
    command = [python, "-c", program, str(path.resolve()), str(target)]
    try:
        done = subprocess.run(
            [*command, *(["--keep-layout"] if options.keep_layout else [])],
            capture_output=True,
            timeout=_MOST_SECONDS,
            check=False,
            # Packages beside tvmtiny do not belong to the other Python.
            cwd=target.parent,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot run {python}: {reason}; give a Python with litert-torch"
        ) from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no output"])[-1]
        raise InputError(f"litert-torch ended with code {done.returncode}: {last[:300]}") from None
    if "missing" in answer:
        raise ToolMissingError(
            "litert-torch",
            "litert-torch",
            f"by {python} to convert programs of PyTorch",
            "pip",
            None if answer["missing"] == "litert_torch" else f"it lacks {answer['missing']}",
            _REMEDY,
        )
    if "error" in answer:
        raise _refused(path, str(answer["error"]))
    return answer


def _refused(path: Path, reason: str) -> InputError:
    reason = one_line(reason)
    if reason.startswith(("RuntimeError: PytorchStreamReader", "FileNotFoundError", "BadZipFile")):
        return ModelFormatError(str(path), reason, "PyTorch")
    return InputError(
        f"litert-torch refuses the program: {reason}; or write it with torch.onnx.export, and "
        "import that"
    )


def _described(content: bytes, answer: dict[str, Any]) -> Imported:
    """Return the result with the names of the program."""
    content = _renamed(content, answer)
    made = described("PyTorch", content)
    parts = []
    for what, tensors in (("inputs", made.inputs), ("outputs", made.outputs)):
        entries = {entry["name"]: entry for entry in answer[what]}
        parts.append(
            tuple(_with_shape(t, entries[t.name]) if t.name in entries else t for t in tensors)
        )
    notes = (
        *moved_notes("PyTorch", "input", parts[0]),
        *moved_notes("PyTorch", "output", parts[1]),
    )
    return replace(made, inputs=parts[0], outputs=parts[1], notes=notes)


def _with_shape(tensor: ImportedTensor, entry: dict[str, Any]) -> ImportedTensor:
    shape, order = tuple(entry["shape"]), tuple(entry["order"])
    return replace(tensor, original_shape=shape, order=order) if shape else tensor


def _renamed(content: bytes, answer: dict[str, Any]) -> bytes:
    """Return the model with a signature that has the program's names in place of ``args_0``."""
    names = {f"args_{i}": entry["name"] for i, entry in enumerate(answer["inputs"])}
    names |= {f"output_{i}": entry["name"] for i, entry in enumerate(answer["outputs"])}
    model = unpack_model(content)
    for signature in model.signatureDefs or ():
        for entry in (*signature.inputs, *signature.outputs):
            name = entry.name.decode()
            entry.name = names.get(name, name)
    return packed(model)

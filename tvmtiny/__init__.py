"""tvmtiny: compile TFLite models to plain C for microcontrollers through Apache TVM.

Examples
--------
>>> import tvmtiny
>>> model = tvmtiny.load("model.tflite")
>>> artifact = tvmtiny.compile(model, target="mps2-an386")
>>> files = tvmtiny.save(artifact, "generated")
>>> inputs = tvmtiny.make_inputs("ramp", artifact.inputs)
>>> result = tvmtiny.run(artifact, *inputs)
>>> tvmtiny.check(model, artifact, result, inputs).exact
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from tvmtiny import errors
    from tvmtiny.checking import CheckResult, check
    from tvmtiny.codegen import Artifact
    from tvmtiny.codegen.saving import save
    from tvmtiny.compiler import compile
    from tvmtiny.design.advise import Advice, advise
    from tvmtiny.design.figures import Budget
    from tvmtiny.estimation.model import cost
    from tvmtiny.evaluating import Evaluation, TestSet, evaluate
    from tvmtiny.frontend import Model
    from tvmtiny.images.build import build_image
    from tvmtiny.images.image_format import Image, read_image
    from tvmtiny.importers import Imported, ImportOptions, import_model, load
    from tvmtiny.inputs import make_inputs
    from tvmtiny.preprocessing import Detection, apply_front_end, front_end, with_front_end
    from tvmtiny.project.exports.exporting import Export, Library, export
    from tvmtiny.quantizing import quantize
    from tvmtiny.results import RunResult
    from tvmtiny.rpc.session import Session
    from tvmtiny.running import run
    from tvmtiny.targets import Target, boards, resolve
    from tvmtiny.tuning import TuneResult, tune

__all__ = [
    "Advice",
    "Artifact",
    "Budget",
    "CheckResult",
    "Detection",
    "Evaluation",
    "Export",
    "Image",
    "ImportOptions",
    "Imported",
    "Library",
    "Model",
    "RunResult",
    "Session",
    "Target",
    "TestSet",
    "TuneResult",
    "advise",
    "apply_front_end",
    "boards",
    "build_image",
    "check",
    "compile",
    "cost",
    "errors",
    "evaluate",
    "export",
    "front_end",
    "import_model",
    "load",
    "make_inputs",
    "quantize",
    "read_image",
    "resolve",
    "run",
    "save",
    "tune",
    "with_front_end",
]

# Importing TVM takes most of a second, so each name is imported on first use. The bridge to a board
# needs none of them and starts without that delay.
_HOMES = {
    "Advice": "tvmtiny.design.advise",
    "Artifact": "tvmtiny.codegen",
    "Budget": "tvmtiny.design.figures",
    "CheckResult": "tvmtiny.checking",
    "Detection": "tvmtiny.preprocessing",
    "Evaluation": "tvmtiny.evaluating",
    "Export": "tvmtiny.project.exports.exporting",
    "Image": "tvmtiny.images.image_format",
    "ImportOptions": "tvmtiny.importers",
    "Imported": "tvmtiny.importers",
    "Library": "tvmtiny.project.exports.exporting",
    "Model": "tvmtiny.frontend",
    "RunResult": "tvmtiny.results",
    "Session": "tvmtiny.rpc.session",
    "Target": "tvmtiny.targets",
    "TestSet": "tvmtiny.evaluating",
    "TuneResult": "tvmtiny.tuning",
    "advise": "tvmtiny.design.advise",
    "apply_front_end": "tvmtiny.preprocessing",
    "boards": "tvmtiny.targets",
    "build_image": "tvmtiny.images.build",
    "check": "tvmtiny.checking",
    "compile": "tvmtiny.compiler",
    "cost": "tvmtiny.estimation.model",
    "evaluate": "tvmtiny.evaluating",
    "export": "tvmtiny.project.exports.exporting",
    "front_end": "tvmtiny.preprocessing",
    "import_model": "tvmtiny.importers",
    "load": "tvmtiny.importers",
    "make_inputs": "tvmtiny.inputs",
    "quantize": "tvmtiny.quantizing",
    "read_image": "tvmtiny.images.image_format",
    "resolve": "tvmtiny.targets",
    "run": "tvmtiny.running",
    "save": "tvmtiny.codegen.saving",
    "tune": "tvmtiny.tuning",
    "with_front_end": "tvmtiny.preprocessing",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("tvmtiny.errors")
    if name == "__version__":
        return import_module("importlib.metadata").version("tvmtiny")
    if name not in _HOMES:
        raise AttributeError(f"module 'tvmtiny' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

"""Models of other frameworks, converted to .tflite files; one module or folder for each."""

from tvmtiny.importers.registry import FRAMEWORKS, Framework, import_model, load, read_content
from tvmtiny.importers.results import Imported, ImportedTensor, ImportOptions

__all__ = [
    "FRAMEWORKS",
    "Framework",
    "ImportOptions",
    "Imported",
    "ImportedTensor",
    "import_model",
    "load",
    "read_content",
]

"""The notebook: its cells in this process, and as a whole with Jupyter's client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.tools import ROOT, on_qemu

NOTEBOOK = ROOT / "examples" / "tour.ipynb"

#: Packages of the extra ``notebook``.
_PACKAGES = ("nbclient", "ipykernel", "matplotlib")


def _cells() -> list[dict[str, Any]]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def test_no_output_is_stored() -> None:
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in _cells())


@on_qemu
def test_cells_without_pictures() -> None:
    names: dict[str, Any] = {}
    for cell in _cells():
        if "plot" not in cell["metadata"].get("tags", ()):
            exec("".join(cell["source"]), names)  # names of one cell are used in the next
    assert names["checked"].exact and names["here"].value > 0.9


@on_qemu
def test_the_whole_notebook() -> None:
    for package in _PACKAGES:
        pytest.importorskip(package, reason=f"not installed: {package}")
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    kinds = {
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        for kind in output.get("data", ())
    }
    assert {"image/png", "image/svg+xml"} <= kinds

"""The gallery's page and pictures are what ``scripts/gallery.py`` makes of the stored figures."""

from __future__ import annotations

import json
from importlib.util import module_from_spec, spec_from_file_location
from xml.etree import ElementTree

from tests.tools import ROOT

FIGURES = ROOT / "docs" / "figures" / "examples"


def test_tables_and_pictures() -> None:
    spec = spec_from_file_location("gallery", ROOT / "scripts" / "gallery.py")
    assert spec is not None and spec.loader is not None
    gallery = module_from_spec(spec)
    spec.loader.exec_module(gallery)
    page = gallery.PAGE.read_text(encoding="utf-8")
    stored = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(FIGURES.glob("*.json"))
    }
    applications = {path.stem for path in (ROOT / "examples" / "models").iterdir()}
    assert stored.keys() == applications
    spotted = json.loads(gallery.WAKE_WORD.read_text(encoding="utf-8"))
    assert spotted["equal"]
    tables = [table(stored) for table in (gallery.results, gallery.costs, gallery.rows)]
    for table in (*tables, gallery.wake_word(spotted)):
        assert "\n".join(table) in page
    for name, found in stored.items():
        text = (FIGURES / f"{name}.svg").read_text(encoding="utf-8")
        assert text == gallery.picture(name, found) and len(text) < 20_000
        ElementTree.fromstring(text)
        assert f"figures/examples/{name}.svg" in page
        assert found["verified"]["equal"]
        assert found.get("rows") is None or found["rows"]["equal"]

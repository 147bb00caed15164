"""Export as a fragment for Makefiles."""

from __future__ import annotations

from tvmtiny.project.exports.library import Files, Format, Package


def _write(package: Package) -> Files:
    files = package.sources()
    files["tvmtiny_models.mk"] = package.files["tvmtiny_models.mk"]
    files["example/Makefile"] = package.render("Makefile.j2")
    files["example/main.c"] = package.render("main.c.j2")
    return files


MAKEFILE = Format("makefile", "as a fragment for Makefiles", _write)

"""Export as a component of ESP-IDF."""

from __future__ import annotations

from tvmtiny.project.exports.library import Files, Format, Package


def _write(package: Package) -> Files:
    files = package.sources()
    sources = [name for name in files if name.endswith(".c")]
    files["CMakeLists.txt"] = package.render("component.cmake.j2", sources=sources)
    files["idf_component.yml"] = package.render("idf_component.yml.j2")
    for name in ("CMakeLists.txt", "main/CMakeLists.txt"):
        template = f"idf_{name.lower().replace('/', '_').removesuffix('.txt')}.j2"
        files[f"examples/run/{name}"] = package.render(template)
    files["examples/run/main/idf_component.yml"] = package.render("idf_example.yml.j2")
    files["examples/run/main/main.c"] = package.render("main.c.j2", entry="void app_main(void)")
    return files


ESP_IDF = Format("esp-idf", "as a component of ESP-IDF", _write)

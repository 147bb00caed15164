"""Export as a library for PlatformIO."""

from __future__ import annotations

import json

from tvmtiny.project.exports.library import Files, Format, Package

#: Platforms for 32-bit processors, and the host itself.
PLATFORMS = (
    *("atmelsam", "espressif32", "espressif8266", "freescalekinetis", "maxim32", "native"),
    *("nordicnrf51", "nordicnrf52", "nxpimxrt", "nxplpc", "raspberrypi", "renesas-ra"),
    *("siliconlabsefm32", "sifive", "ststm32", "teensy", "titiva"),
)


def _write(package: Package) -> Files:
    library, names = package.library, [artifact.name for artifact in package.artifacts]
    manifest = {
        "$schema": "https://raw.githubusercontent.com/platformio/platformio-core/develop/"
        "platformio/assets/schema/library.json",
        "name": library.name,
        "version": library.version,
        "description": f"Neural networks as plain C: {', '.join(names)}",
        "keywords": ["machine learning", "tflite", "neural network"],
        "authors": [{"name": library.vendor}],
        **({"homepage": library.url} if library.url else {}),
        "license": "Apache-2.0",
        "frameworks": "*",
        "platforms": list(PLATFORMS),
        "headers": [f"{name}.h" for name in names],
        "examples": [{"name": "run", "base": "examples/run", "files": ["main.c"]}],
    }
    files = package.sources("src")
    files["library.json"] = json.dumps(manifest, indent=2) + "\n"
    files["examples/run/main.c"] = package.render("main.c.j2")
    return files


PLATFORMIO = Format("platformio", "as a library for PlatformIO", _write)

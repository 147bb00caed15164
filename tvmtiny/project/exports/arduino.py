"""Export as a library for the Arduino IDE and arduino-cli."""

from __future__ import annotations

from tvmtiny.project.exports.library import Files, Format, Package

#: Cores for 32-bit processors. The generated code rejects AVR, whose int has 16 bits.
ARCHITECTURES = (
    *("esp32", "esp8266", "mbed", "mbed_edge", "mbed_giga", "mbed_nano", "mbed_nicla"),
    *("mbed_opta", "mbed_portenta", "mbed_rp2040", "nrf52", "renesas_portenta", "renesas_uno"),
    *("rp2040", "sam", "samd", "stm32", "zephyr"),
)


def _write(package: Package) -> Files:
    name = package.library.name
    files = package.sources("src")
    files["library.properties"] = package.render(
        "library.properties.j2", architectures=ARCHITECTURES
    )
    files[f"examples/{name}/{name}.ino"] = package.render("sketch.ino.j2")
    return files


ARDUINO = Format("arduino", "as a library for the Arduino IDE", _write)

"""The file of a board that tvmtiny does not ship."""

BOARD = """
name = "lab"
description = "a board"
cpu = "cortex-m4"
platform = "qemu"
code_region = "flash"
data_region = "ram"
regions = [
    { name = "flash", kind = "flash", origin = 0x0, length = 0x10000 },
    { name = "ram", kind = "ram", origin = 0x20000000, length = 0x4000 },
]
[options]
machine = "mps2-an386"
systick_hz = 25_000_000
stack_bytes = 4096
uart = { driver = "cmsdk", base = 0x40004000, irq = 0, payload_bytes = 1024 }
"""

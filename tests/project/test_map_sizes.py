"""Sizes from a linker's map: the part that counts as the model's, and the rest."""

from __future__ import annotations

from tests.project.library_members import library_members
from tvmtiny.project.sizes import measure, read_map
from tvmtiny.targets.architectures import find_architecture

MAP = """\
Archive member included to satisfy reference by file (symbol)

/usr/lib/libgcc.a(_dvmd.o)    build/m.o (__aeabi_uidiv)

Discarded input sections

 .text.unused   0x0000000000000000      0x999 build/m.o

Linker script and memory map

LOAD build/m.o

.vectors        0x0000000000000000       0x40
 *(.vectors)
 .vectors       0x0000000000000000       0x40 build/device/startup.o

.text           0x0000000000000040      0x400
 *(.text .text.*)
 .text.m_run    0x0000000000000040       0x10 build/m.o
                0x0000000000000040                m_run
 .text.m_run_layers
                0x0000000000000050       0x20 build/m.o
                0x0000000000000050                m_run_layers
 .text.m_run_layers.cold
                0x0000000000000070        0x8 build/m.o
 .text.m_run_layers_more
                0x0000000000000078        0x4 build/m.o
 .text          0x000000000000007c       0x30 /usr/lib/libgcc.a(_dvmd.o)
 *fill*         0x00000000000000ac        0x4
 .text.device_main
                0x00000000000000b0       0x50 build/device/harness.o
 *(.rodata .rodata.*)
 .rodata.weights
                0x0000000000000100      0x100 build/m.o
 .rodata.device_main.str1.1
                0x0000000000000200       0x10 build/device/harness.o
                0x0000000000000240                . = ALIGN (0x8)

.ARM.exidx      0x0000000000000240        0x8
 .ARM.exidx     0x0000000000000240        0x8 build/m.o

.data           0x0000000020000400        0xc load address 0x0000000000000248
 .data.table    0x0000000020000400        0x8 build/m.o
 .data.device_layer
                0x0000000020000408        0x4 build/device/startup.o

.bss            0x0000000020000410      0x200
 .bss.arena     0x0000000020000410      0x180 build/m.o
 COMMON         0x0000000020000590       0x10 /usr/lib/libc.a(errno.o)
OUTPUT(build/firmware.elf elf32-littlearm)

.comment        0x0000000000000000       0x20
 .comment       0x0000000000000000       0x20 build/m.o
 .comment       0x0000000000000020       0x20 /usr/lib/libm.a(unused.o)
"""


def test_model_and_libraries_are_added_up() -> None:
    flash, ram = measure(MAP, ["build/m.o"], ["m_run_layers"], find_architecture("arm").sections)
    assert flash.code == 0x10 + 0x4 + 0x30 + 0x8
    assert flash.constants == 0x100 + 0x8
    assert flash.total == flash.code + flash.constants
    assert ram == 0x8 + 0x180 + 0x10


def test_library_members() -> None:
    assert library_members(MAP) == ("libc.a(errno.o)", "libgcc.a(_dvmd.o)")


def test_discarded_sections_are_not_read() -> None:
    assert all(section.name != ".text.unused" for section in read_map(MAP))
    assert list(read_map("")) == []

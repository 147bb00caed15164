"""Programs with printf on an emulated board: a reset handler around newlib's semihosting."""

from __future__ import annotations

import subprocess
from pathlib import Path

import tvmtiny

BOARD = "mps2-an386"
FLAGS = (*tvmtiny.resolve(BOARD).cpu.flags, "-O2")

_STARTUP = """\
#include <stdint.h>
extern void _start(void);
static void reset(void)
{
  /* Grants access to the FPU. */
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
  __asm__ volatile("dsb\\n isb");
  _start();
}
static void fault(void)
{
  for (;;) {
  }
}
__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
  (const void *)0x400000, (const void *)reset, (const void *)fault, (const void *)fault,
};
"""


def run(*command: object, directory: Path) -> str:
    """Run a program that must succeed; return its stdout."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def linker_flags(directory: Path) -> tuple[str, ...]:
    """Build the reset handler in `directory`; return the arguments that link it with a program."""
    (directory / "startup.c").write_text(_STARTUP)
    run("arm-none-eabi-gcc", *FLAGS, "-c", "startup.c", directory=directory)
    return (
        str(directory / "startup.o"),
        "--specs=rdimon.specs",
        "-Wl,--section-start=.vectors=0",
    )


def run_on_board(program: Path) -> str:
    """The output of a program on the board."""
    command = ["qemu-system-arm", "-M", BOARD, "-nographic", "-kernel", program]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    return run(*command, *semihosting, directory=program.parent)

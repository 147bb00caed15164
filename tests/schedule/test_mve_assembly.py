"""Helium instructions that are emitted as words."""

from __future__ import annotations

from pathlib import Path

import pytest
from host_runner import compiler_or_skip, run_command

from tvmtiny.host.elf import code_of
from tvmtiny.schedule.families.mve.assembly import vqshrn

#: From the encoding in the architecture's manual: target, source, shift, top.
_KNOWN = {(1, 0, 12, False): 0xEE942F40, (7, 7, 16, False): 0xEE90EF4E, (6, 0, 1, True): 0xEE9FDF40}


def test_encodings() -> None:
    for (target, source, shift, top), word in _KNOWN.items():
        assert vqshrn(target, source, shift, top) == f".inst.w 0x{word:08x}"


def test_assembled_words_do_not_round(tmp_path: Path) -> None:
    """Bit 0 tells VQSHRN from VQRSHRN; the rounding form of each is the encoding of its name."""
    compiler = compiler_or_skip("arm-none-eabi-gcc")
    places = [(1, 0, shift, top) for shift in range(1, 17) for top in (False, True)]
    lines = [".syntax unified", ".thumb", ".text"]
    for target, source, shift, top in places:
        name = f"vqrshrn{'t' if top else 'b'}.s32 q{target}, q{source}, #{shift}"
        lines += [vqshrn(target, source, shift, top), name]
    (tmp_path / "words.s").write_text("\n".join(lines) + "\n")
    flags = ["-march=armv8.1-m.main+mve", "-mfloat-abi=hard", "-c", "words.s", "-o", "words.o"]
    run_command([compiler, *flags], tmp_path)
    code = code_of(tmp_path / "words.o")
    halves = [int.from_bytes(code[i : i + 2], "little") for i in range(0, len(code), 2)]
    words = [high << 16 | low for high, low in zip(halves[::2], halves[1::2], strict=True)]
    assert len(words) == 2 * len(places)
    for own, rounding in zip(words[::2], words[1::2], strict=True):
        assert own & 1 == 0 and own | 1 == rounding


@pytest.mark.parametrize("shift", [0, 17])
def test_other_shifts_are_refused(shift: int) -> None:
    with pytest.raises(AssertionError):
        vqshrn(0, 0, shift)

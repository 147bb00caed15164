"""Energy from cycles and a published figure."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import on_qemu

from tests.cli.conftest import Command, command
from tvmtiny.errors import BoardFileError, InputError, UnknownTargetError
from tvmtiny.report.energy import energy_of, parse_clock, parse_duration
from tvmtiny.targets.energy import energy_figure

__all__ = ["command"]

#: MLPerf Tiny v1.3, NUCLEO_L4R5ZI-P at 120 MHz: median inferences a second, and energy in uJ.
PUBLISHED = {
    "kws": (23.032, 1431),
    "vww": (11.181, 3030),
    "ic": (6.036, 5496),
    "ad": (208.608, 160),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_energies(name: str) -> None:
    throughput, energy = PUBLISHED[name]
    figure = energy_figure("nucleo-l4r5zi")
    found = energy_of(round(figure.clock_hz / throughput), figure)
    assert found.microjoules == pytest.approx(energy, rel=0.05)
    assert found.seconds == pytest.approx(1 / throughput, rel=1e-4)


def test_deadlines() -> None:
    figure = energy_figure("nucleo-l4r5zi")
    found = energy_of(800_000, figure, parse_clock("80M"), parse_duration("20ms"))
    assert (found.seconds, found.slowest_clock_hz) == (0.01, 40e6)
    assert found.sleep_share == pytest.approx(0.5) and found.in_time
    assert found.average_microwatts == pytest.approx(found.microjoules / 0.02)
    late = energy_of(800_000, figure, parse_clock("20MHz"), parse_duration("20ms"))
    assert late.sleep_share == pytest.approx(-1.0) and not late.in_time


@pytest.mark.parametrize("text", ("", "80X", "0", "-1M", "1e6"))
def test_clocks_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="cannot parse"):
        parse_clock(text)


@pytest.mark.parametrize("text", ("", "20", "0ms", "-1s", "1h"))
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="cannot parse"):
        parse_duration(text)


def test_units() -> None:
    assert [parse_clock(t) for t in ("80M", "1.5GHz", "32768", "8khz")] == [80e6, 1.5e9, 32768, 8e3]
    assert [parse_duration(t) for t in ("500us", "1.5s")] == [pytest.approx(5e-4), 1.5]


def test_figures_that_are_not_usable(tmp_path: Path) -> None:
    with pytest.raises(UnknownTargetError, match="did you mean nucleo-l4r5zi"):
        energy_figure("nucleo-l4r5")
    file = tmp_path / "own.toml"
    for text in ("[", 'cpu = "cortex-m4"', "microjoules_per_megacycle = 0", "joules = 1"):
        file.write_text(text)
        with pytest.raises(BoardFileError):
            energy_figure(str(file))
    with pytest.raises(InputError, match="the cycles is 0"):
        energy_of(0, energy_figure("nucleo-l4r5zi"))


@on_qemu
def test_command(command: Command) -> None:
    words = ("profile", "digits", "--board", "mps2-an386", "--energy", "nucleo-l4r5zi")
    found = command(*words, "--clock", "80M", "--deadline", "20ms", "--json").json
    energy, cycles = found["energy"], found["total"]["estimated_cycles"]
    assert energy["microjoules"] == pytest.approx(cycles * 278e-6)
    assert energy["slowest_clock_hz"] == pytest.approx(cycles / 0.02)
    assert energy["in_time"] and energy["figure"]["cpu"] == "cortex-m4"
    assert "asleep" in command(*words, "--deadline", "20ms").out
    message = command("profile", "digits", "--board", "microbit", *words[4:]).error(2)
    assert "nucleo-l4r5zi has a cortex-m4" in message
    message = command("profile", "digits", "--board", "microbit", "--clock", "8M").error(2)
    assert "--energy" in message

"""Zephyr applications without Zephyr: the written files, and their reading by CMake and Kconfig."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kconfiglib
import numpy as np
import pytest
from fake_zephyr import make_tree
from tools import needs_programs

import tvmtiny
from tests.mlperf_client import laps, results
from tvmtiny import models
from tvmtiny.errors import CapacityError, InputError, OutputPathError, UnknownTargetError
from tvmtiny.oracle import run_litert_outputs
from tvmtiny.project.package import PackagedModel
from tvmtiny.project.zephyr.application import (
    Application,
    ApplicationOptions,
    create_application,
    load_application,
)
from tvmtiny.project.zephyr.board import find_zephyr_board
from tvmtiny.project.zephyr.build import flash_application
from tvmtiny.project.zephyr.mlperf import serve_application
from tvmtiny.project.zephyr.source_tree import ZephyrTree
from tvmtiny.resources import shipped

BOARD = "zephyr:mps2_an385"
MODES = ("standalone", "steps", "rpc", "shell", "mlperf")
#: For MLPerf Tiny's runner.
BENCHMARKS = ("kws01", "ad01")


@cache
def packaged(name: str) -> PackagedModel:
    model = tvmtiny.load(models.path(name))
    return PackagedModel(tvmtiny.compile(model, BOARD), 1000, (1, 2))


def create(directory: Path, board: str = BOARD, **options: object) -> Application:
    chosen = ApplicationOptions(**options)  # type: ignore[arg-type]
    both = [packaged("digits"), packaged("sine")]
    return create_application(both, find_zephyr_board(board), directory, chosen)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    application = create(tmp_path / "a", mode="shell")
    assert load_application(tmp_path / "a") == application
    assert application.mode == "shell"
    assert [model.name for model in application.models] == ["digits", "sine"]
    assert application.board.machine == "mps2-an385"
    digits = packaged("digits").artifact
    assert application.models[0].arena_bytes == digits.arena_bytes
    for name, text in digits.files.items():
        assert (tmp_path / "a" / "models" / name).read_text() == text
    # The files hold no path of this machine, and a second run writes the same files.
    create(tmp_path / "b", mode="shell")
    for path in (tmp_path / "a").rglob("*.*"):
        text = path.read_text()
        assert str(tmp_path) not in text
        assert text == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "fast"}, "there is no mode 'fast'; known: standalone, steps, rpc, runner, shell"),
        ({"mode": "mlperf"}, "0 benchmarks for 2 models; give one for each"),
        ({"mode": "mlperf", "benchmarks": ("kws01", "kws02")}, "no benchmark 'kws02'"),
        ({"mode": "mlperf", "benchmarks": ("ad01", "kws01")}, "ad01 needs an output"),
        ({"mode": "mlperf", "benchmarks": ("kws01", "sww01")}, "sww01 listens to the interface"),
        ({"fragments": (Path("none.conf"),)}, "none.conf cannot be read: No such file"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        create(tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_models_that_cannot_fit_and_directories_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match="RAM needs"):
        create(tmp_path / "a", "zephyr:mps3_an547", stack_bytes=600_000)
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputPathError):
        create(tmp_path / "file")


def test_no_application(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not hold an application"):
        load_application(tmp_path)
    create(tmp_path)
    record = json.loads((tmp_path / "tvmtiny.json").read_text())
    del record["models"]
    (tmp_path / "tvmtiny.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="damaged"):
        load_application(tmp_path)


def test_boards() -> None:
    assert find_zephyr_board("mps2_an385") == find_zephyr_board(BOARD)
    assert find_zephyr_board("mps2/an385") == find_zephyr_board(BOARD)
    # Zephyr has the same board; the code differs.
    assert find_zephyr_board("mps2_an386").compile_options == ("-mcpu=cortex-m4",)
    other = find_zephyr_board("zephyr:nucleo_h743zi", "cortex-m7")
    assert (other.name, other.cpu.name) == ("zephyr:nucleo_h743zi", "cortex-m7")
    assert other.target.board is None
    with pytest.raises(InputError, match=r"did you mean zephyr:mps2_an38.*--cpu with one of"):
        find_zephyr_board("mps2_an38")
    with pytest.raises(UnknownTargetError, match="cortex-m99"):
        find_zephyr_board("nucleo_h743zi", "cortex-m99")
    with pytest.raises(InputError, match="has a cortex-m3, not a cortex-m7"):
        find_zephyr_board("mps2_an385", "cortex-m7")


def test_an_emulated_board_is_not_flashed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="emulated"):
        flash_application(create(tmp_path), ZephyrTree(tmp_path, (3, 4, 0)))


def read_kconfig(
    application: Path, fragments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> kconfiglib.Kconfig:
    """Read the application's Kconfig and fragments as Zephyr does: any warning is an error."""
    monkeypatch.setenv("srctree", str(make_tree(tmp_path / "zephyr", "3.4")))
    monkeypatch.setenv("TVMTINY_MODULE", str(application / "zephyr"))
    kconfig = kconfiglib.Kconfig(str(application / "Kconfig"), warn_to_stderr=False)
    kconfig.warn_assign_undef = True
    kconfig.warn_assign_override = kconfig.warn_assign_redun = False
    for number, name in enumerate(fragments):
        kconfig.load_config(str(application / name), replace=number == 0)
    assert kconfig.warnings == []
    return kconfig


@pytest.mark.parametrize("mode", MODES)
def test_kconfig(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application = tmp_path / "application"
    extra = tmp_path / "extra.conf"
    extra.write_text("CONFIG_QEMU_ICOUNT_SHIFT=3\n")
    create(
        application,
        mode=mode,
        fragments=(extra,),
        arena_section="DTCM",
        benchmarks=BENCHMARKS if mode == "mlperf" else (),
    )
    fragments = ["prj.conf", "boards/mps2_an521.conf", f"conf/{mode}.conf"]
    fragments += ["conf/user/0-created.conf", "conf/user/1-extra.conf"]
    symbols = read_kconfig(application, fragments, tmp_path, monkeypatch).syms
    values = {name: symbol.str_value for name, symbol in symbols.items()}
    for other in MODES:
        assert values[f"TVMTINY_APP_{other.upper()}"] == ("y" if other == mode else "n")
    assert values["TVMTINY_LAYERS"] == ("y" if mode == "rpc" else "n")
    assert values["TVMTINY_SHELL"] == values["SHELL"] == ("y" if mode == "shell" else "n")
    assert values["UART_CONSOLE"] == "n"
    assert values["TVMTINY_ARENA_IN_SECTION"] == "y"
    assert values["TVMTINY_CONSTANTS_IN_SECTION"] == "n"
    assert values["QEMU_ICOUNT_SHIFT"] == "3"
    # The models' values come before the kernel's own defaults.
    stack = {
        "standalone": "MAIN_STACK_SIZE",
        "steps": "MAIN_STACK_SIZE",
        "rpc": "TVMTINY_APP_RPC_STACK_SIZE",
        "shell": "SHELL_STACK_SIZE",
        "mlperf": "MAIN_STACK_SIZE",
    }[mode]
    assert 1500 < int(values[stack]) < 4000
    # Inputs and results for MLPerf Tiny's runner may be floats.
    assert values["FPU"] == values["FPU_SHARING"] == ("y" if mode == "mlperf" else "n")
    assert values.get("TVMTINY_APP_MLPERF_ENERGY", "n") == "n"


def test_energy_is_shown_by_a_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path / "a", mode="mlperf-energy", benchmarks=BENCHMARKS)
    fragments = ["prj.conf", "conf/mlperf-energy.conf"]
    symbols = read_kconfig(tmp_path / "a", fragments, tmp_path, monkeypatch).syms
    for name in ("TVMTINY_APP_MLPERF", "TVMTINY_APP_MLPERF_ENERGY", "GPIO"):
        assert symbols[name].str_value == "y"


def test_a_stack_that_was_given_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path / "a", "zephyr:mps2_an386", stack_bytes=4711)
    fragments = ["prj.conf", "conf/standalone.conf", "conf/user/0-created.conf"]
    symbols = read_kconfig(tmp_path / "a", fragments, tmp_path, monkeypatch).syms
    assert symbols["MAIN_STACK_SIZE"].str_value == "4711"
    assert symbols["TVMTINY_COMPILE_OPTIONS"].str_value == "-O2 -mcpu=cortex-m4"


def test_floats_get_the_fpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    integer = packaged("digits")
    tensor = dataclasses.replace(integer.artifact.inputs[0], dtype="float32")
    artifact = dataclasses.replace(integer.artifact, inputs=(tensor,))
    create_application([PackagedModel(artifact)], find_zephyr_board(BOARD), tmp_path / "a")
    symbols = read_kconfig(tmp_path / "a", ["prj.conf"], tmp_path, monkeypatch).syms
    assert symbols["FPU"].str_value == symbols["FPU_SHARING"].str_value == "y"


def configure(application: Path, base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["cmake", "-S", application, "-B", base / "build", *arguments],
        env={**os.environ, "ZEPHYR_BASE": str(base)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@needs_programs("cmake", "gcc")
@pytest.mark.parametrize(("version", "mode"), [("3.3", "rpc"), ("3.4", "shell"), ("4.1", "mlperf")])
def test_cmake(version: str, mode: str, tmp_path: Path) -> None:
    application = tmp_path / "application"
    create(application, mode=mode, arena_section="DTCM", benchmarks=BENCHMARKS)
    (application / "conf" / "from-3.4.conf").write_text("")
    (application / "conf" / "before-4.0.conf").write_text("")
    base = make_tree(tmp_path / "zephyr", version)
    user = tmp_path / "user.conf"
    user.write_text("")
    # The user's value, in the variable that this version looks up in the cache first.
    given = [f"-DOVERLAY_CONFIG={user}"] if version == "3.3" else []
    for _ in range(2):
        done = configure(application, base, *given)
        assert done.returncode == 0, done.stderr
        lines = dict(
            line.removeprefix("-- ").split(": ", 1)
            for line in done.stdout.splitlines()
            if line.startswith(("-- fragments", "-- modules"))
        )
        names = [Path(name).name for name in lines["fragments"].split(";")]
        assert names == [
            *(["user.conf"] if version == "3.3" else []),
            f"{mode}.conf",
            *(["before-4.0.conf"] if version != "4.1" else []),
            *(["from-3.4.conf"] if version != "3.3" else []),
            "0-created.conf",
        ]
        assert lines["modules"] == str(application)
    # The models' own sources need no Zephyr.
    built = subprocess.run(
        ["cmake", "--build", base / "build", "--target", "tvmtiny_models"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert built.returncode == 0, built.stdout + built.stderr


#: The part of Zephyr that the modes standalone and steps call; wrong names or arguments fail.
_ZEPHYR = """\
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#define ARG_UNUSED(x) (void)(x)
#define K_FOREVER 0
#define K_MSEC(x) (x)
#define K_LOWEST_APPLICATION_THREAD_PRIO 1
#define K_SEM_DEFINE(name, count, limit) struct k_sem name
#define K_THREAD_DEFINE(name, size, entry, a, b, c, priority, options, delay) \
  void (*name)(void *, void *, void *) = entry
#define LOG_MODULE_REGISTER(...) extern int log_module
#define LOG_INF(...) (void)printf(__VA_ARGS__)
#define LOG_ERR(...) (void)printf(__VA_ARGS__)
#define LOG_WRN(...) (void)printf(__VA_ARGS__)
#define BUILD_ASSERT(condition, message) _Static_assert(condition, message)
#define K_TICKS(x) (x)
#define K_TIMEOUT_ABS_TICKS(x) (int)(x)
#define LOG_LEVEL_INF 3
#define DT_ALIAS(name) name
#define DEVICE_DT_GET_OR_NULL(node) NULL
struct k_sem { int count; };
struct device { int id; };
int k_sem_take(struct k_sem *semaphore, int wait);
void k_sem_give(struct k_sem *semaphore);
void k_yield(void);
int32_t k_sleep(int timeout);
int64_t k_uptime_ticks(void);
uint64_t k_ms_to_ticks_ceil64(uint64_t milliseconds);
uint32_t k_cycle_get_32(void);
uint32_t k_cyc_to_us_floor32(uint32_t cycles);
uint32_t sys_clock_hw_cycles_per_sec(void);
typedef void (*task_wdt_callback_t)(int channel_id, void *user_data);
int task_wdt_init(const struct device *hardware);
int task_wdt_add(uint32_t period, task_wdt_callback_t callback, void *user_data);
int task_wdt_delete(int channel);
int task_wdt_feed(int channel);
"""


def check_syntax(root: Path, sources: list[str], *defines: str) -> subprocess.CompletedProcess[str]:
    """Compile sources of the application in ``root / "a"`` against the declarations."""
    for name in ("kernel", "device", "logging/log", "task_wdt/task_wdt"):
        header = root / "zephyr" / f"{name}.h"
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(f"#pragma once\n{_ZEPHYR}" if name == "kernel" else "")
    defines = ("TVMTINY_APP_SENSOR_STACK_SIZE=512", "TVMTINY_APP_WATCHDOG_MS=5", *defines)
    return subprocess.run(
        ["gcc", "-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
        + ["-Wno-unused-function", "-Wno-unused-variable", "-Wno-format", "-include"]
        + ["zephyr/kernel.h", f"-I{root}", "-Ia/include", "-Ia/models"]
        + [f"-DCONFIG_{define}" for define in defines]
        + [f"a/{source}" for source in sources],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )


@needs_programs("gcc")
def test_the_mode_for_steps_compiles(tmp_path: Path) -> None:
    model = tvmtiny.load(models.path("sine"))
    artifact = tvmtiny.compile(model, BOARD, longest_slice=20_000)
    board = find_zephyr_board(BOARD)
    options = ApplicationOptions(mode="steps")
    both = [PackagedModel(artifact), packaged("digits")]
    create_application(both, board, tmp_path / "a", options)
    table = (tmp_path / "a" / "models" / "table/tvmtiny_models.c").read_text()
    assert ".step = sine_step," in table and ".step = NULL," in table
    sources = ["src/standalone.c", "src/watchdog.c", "src/inference.c"]
    sources.append("models/table/tvmtiny_models.c")
    done = check_syntax(tmp_path, sources, "TVMTINY_APP_STEPS=1", "TVMTINY_APP_PERIOD_MS=1")
    assert done.returncode == 0, done.stderr


@needs_programs("gcc")
@pytest.mark.parametrize("mode", ["STANDALONE", "STEPS"])
def test_the_duty_cycle_compiles(mode: str, tmp_path: Path) -> None:
    create(tmp_path / "a")
    defines = [f"TVMTINY_APP_{mode}=1", "TVMTINY_APP_DUTY_CYCLE=1"]
    defines.append("SYS_CLOCK_HW_CYCLES_PER_SEC=25000000")
    done = check_syntax(tmp_path, ["src/standalone.c"], *defines, "TVMTINY_APP_PERIOD_MS=85000")
    assert done.returncode == 0, done.stderr
    # 2^31 cycles of 25 MHz are 85.9 s.
    done = check_syntax(tmp_path, ["src/standalone.c"], *defines, "TVMTINY_APP_PERIOD_MS=86000")
    assert "TVMTINY_APP_PERIOD_MS is too long" in done.stderr


def test_kconfig_of_the_duty_cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = tmp_path / "extra.conf"
    extra.write_text("CONFIG_TIMEOUT_64BIT=y\nCONFIG_TVMTINY_APP_DUTY_CYCLE=y\n")
    create(tmp_path / "a", fragments=(extra,))
    fragments = ["prj.conf", "conf/standalone.conf", "conf/user/1-extra.conf"]
    symbols = read_kconfig(tmp_path / "a", fragments, tmp_path, monkeypatch).syms
    assert symbols["TVMTINY_APP_DUTY_CYCLE"].str_value == "y"
    assert symbols["TVMTINY_APP_PERIOD_MS"].str_value == "100"


#: A line of MLPerf Tiny's runner: commands from the input, answers to the output. A reading of the
#: clock takes a quarter of what 32 bits can count.
_RUNNER = """\
#include <stdint.h>
#include <stdio.h>
#include <zephyr/kernel.h>
#include "serial.h"
#include "tvmtiny_rpc.h"
static uint32_t now;
uint32_t k_cycle_get_32(void) { return now += 0x40000000u; }
uint32_t sys_clock_hw_cycles_per_sec(void) { return 100000000u; }
unsigned int irq_lock(void) { return 1; }
void irq_unlock(unsigned int key) { if (key != 1) { _Exit(3); } }
void k_timer_start(struct k_timer *timer, int first, int period) {
  if (first != 1000 || period != 1000) { _Exit(4); }
  timer->expired(timer);
}
void device_serial_start(void) {}
uint32_t tvmtiny_rpc_received(const uint8_t **bytes) {
  static uint8_t buffer[7];
  const uint32_t count = (uint32_t)fread(buffer, 1, sizeof buffer, stdin);
  if (count == 0) { exit(0); }
  *bytes = buffer;
  return count;
}
void tvmtiny_rpc_release(uint32_t count) { (void)count; }
void tvmtiny_rpc_send(const uint8_t *bytes, uint32_t count) { fwrite(bytes, 1, count, stdout); }
"""
_KERNEL = """\
#pragma once
#include <stdint.h>
#include <stdlib.h>
#define ARG_UNUSED(x) (void)(x)
#define K_SECONDS(x) ((x) * 1000)
#define K_TIMER_DEFINE(name, on_expiry, on_stop) struct k_timer name = {on_expiry}
struct k_timer { void (*expired)(struct k_timer *timer); };
uint32_t k_cycle_get_32(void);
uint32_t sys_clock_hw_cycles_per_sec(void);
unsigned int irq_lock(void);
void irq_unlock(unsigned int key);
void k_timer_start(struct k_timer *timer, int first, int period);
"""


@needs_programs("gcc")
def test_the_mode_for_mlperf_tiny_on_this_machine(tmp_path: Path) -> None:
    create(tmp_path / "a", mode="mlperf", benchmarks=BENCHMARKS)
    (tmp_path / "zephyr").mkdir()
    (tmp_path / "zephyr" / "kernel.h").write_text(_KERNEL)
    (tmp_path / "runner.c").write_text(_RUNNER)
    mlperf = ["mlperf", "mlperf_models", *(f"mlperf_{name}" for name in BENCHMARKS)]
    sources = [f"a/models/mlperf/{name}.c" for name in mlperf]
    sources += ["a/src/mlperf/main.c", "a/src/mlperf/mlperf_time.c", "runner.c"]
    for model in ("digits", "sine"):
        files = packaged(model).artifact.files
        sources += [f"a/models/{name}" for name in files if name.endswith(".c")]
    command = ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-I."]
    command += ["-Ia/src/rpc", "-Ia/models/mlperf", "-Ia/rpc", "-o", "runner"]
    subprocess.run([*command, *dict.fromkeys(sources)], cwd=tmp_path, check=True)
    digits = packaged("digits").artifact
    x = np.arange(64, dtype=np.int8).reshape(digits.inputs[0].shape)
    commands = ["name", "timestamp", "timestamp", "model kws01", "db load 64"]
    commands += [f"db {x.tobytes()[:32].hex()}", f"db {x.tobytes()[32:].hex()}", "infer 2 1"]
    done = subprocess.run(
        [tmp_path / "runner"],
        input="".join(f"{command}%" for command in commands),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "m-timestamp-mode-performance"
    assert lines.count("m-ready") == 1 + len(commands)
    # The first reading is the start, the second that of the timer.
    assert laps(lines) == [(2 + reading) * 2**30 // 100 for reading in range(5)]
    ((expected,),) = run_litert_outputs(models.path("digits").read_bytes(), [[x]])
    wanted = [f"{value:.3f}" for value in digits.outputs[0].dequantize(expected).flat]
    assert results(lines) == wanted


@needs_programs("cmake")
def test_models_without_benchmarks(tmp_path: Path) -> None:
    create(tmp_path / "a")
    base = make_tree(tmp_path / "zephyr", "3.4")
    refused = configure(tmp_path / "a", base, "-DTVMTINY_MODE=mlperf")
    assert refused.returncode != 0
    assert "The models are of no benchmarks" in refused.stderr


def test_what_is_not_served(tmp_path: Path) -> None:
    def served(directory: Path, **options: Any) -> str:
        with pytest.raises(InputError) as raised, serve_application(directory, **options):
            pass
        return str(raised.value)

    create(tmp_path / "a")
    assert "has the mode standalone, not mlperf" in served(tmp_path / "a")
    create(tmp_path / "b", mode="mlperf", benchmarks=BENCHMARKS)
    assert "is not built; run tvmtiny project build" in served(tmp_path / "b")
    assert "no model for 'ic01': kws01, ad01" in served(tmp_path / "b", benchmark="ic01")
    assert "listens to sounds" in served(tmp_path / "b", sounds=tmp_path)
    options = ApplicationOptions(mode="mlperf", benchmarks=("kws01",))
    board = find_zephyr_board("nucleo_l4r5zi", "cortex-m4")
    create_application([packaged("digits")], board, tmp_path / "c", options)
    assert "is a real board; flash it" in served(tmp_path / "c")


@needs_programs("cmake")
def test_cmake_refuses(tmp_path: Path) -> None:
    script = tmp_path / "script.cmake"
    fragments = shipped("zephyr_app") / "cmake"
    base = make_tree(tmp_path / "zephyr", "3.4")

    def said(call: str) -> str:
        script.write_text(f"include({fragments}/fragments.cmake)\n{call}\nmessage(STATUS ${{v}})")
        done = subprocess.run(["cmake", "-P", script], capture_output=True, text=True, timeout=60)
        return " ".join((done.stdout + done.stderr).split())

    assert "3.4" in said(f'tvmtiny_zephyr_version(v "{base}")')
    assert "ZEPHYR_BASE is not set" in said('tvmtiny_zephyr_version(v "")')
    assert "not a Zephyr tree" in said(f'tvmtiny_zephyr_version(v "{tmp_path}")')
    assert "can be standalone, steps, rpc, runner, shell, mlperf or mlperf-energy" in said(
        f'tvmtiny_fragments(v {base} "fast" 3.4)'
    )

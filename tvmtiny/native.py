"""Compile generated C for this machine, to run many inputs at once."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from tvmtiny.codegen.names import c_type
from tvmtiny.codegen.tensors import pack_inputs, split_tensors
from tvmtiny.errors import InputError
from tvmtiny.host.closing import Closing
from tvmtiny.host.files import write_text
from tvmtiny.host.toolchain import find_tool, run_tool
from tvmtiny.host.tools import Tool
from tvmtiny.host.unfinished import remove, work_folder_for

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = ["HOST_COMPILER", "NativeFeed", "NativeModel"]

#: The compiler of the host; Debian's gcc alone brings no C library.
HOST_COMPILER = Tool("cc", "gcc libc6-dev", "to compile the generated C for this machine")
#: Host seconds allowed per inference before the program counts as hung.
_SECONDS_A_RUN = 5.0
_LEAST_SECONDS = 60.0

_MAIN = """\
#include "{{ name }}.h"

#include <stdio.h>
#include <string.h>

static int put(const void *data, size_t bytes)
{
  return fwrite(data, 1, bytes, stdout) == bytes;
}

static int get(const void *place, size_t bytes)
{
  return fread((void *)(uintptr_t)place, 1, bytes, stdin) == bytes;
}

int main(void)
{
  struct tvmtiny_{{ name }}_inputs inputs;
  struct tvmtiny_{{ name }}_outputs outputs;
  tvmtiny_{{ name }}_bind(&inputs, &outputs);
  for (;;) {
{% for t in inputs %}
    if (!get(inputs.{{ t.c_name }}, {{ t.bytes }}u)) {
      return {{ "0" if loop.first else "2" }};
    }
{% endfor %}
{% if states %}
    tvmtiny_{{ name }}_reset();
{% endif %}
    if (tvmtiny_{{ name }}_run(&inputs, &outputs) != TVMTINY_OK) {
      return 3;
    }
{% for t in outputs %}
    if (!put(outputs.{{ t.c_name }}, {{ t.bytes }}u)) {
      return 4;
    }
{% endfor %}
  }
}
"""


_FEED_MAIN = """\
#include "{{ name }}.h"

#include <stdio.h>

int main(void)
{
  static {{ type }} block[{{ samples }}u];
  uint32_t count;
  while (fread(&count, sizeof count, 1, stdin) == 1 && count <= {{ samples }}u) {
    int32_t answer[2 + {{ events }}];
    if (fread(block, sizeof block[0], count, stdin) != count) {
      return 2;
    }
    answer[0] = tvmtiny_{{ name }}_feed(block, count);
    answer[1] = (int32_t)tvmtiny_{{ name }}_decisions();
    for (uint32_t i = 0; i < {{ events }}u; ++i) {
      answer[2u + i] = tvmtiny_{{ name }}_score(i);
    }
    if (fwrite(answer, sizeof answer, 1, stdout) != 1 || fflush(stdout) != 0) {
      return 3;
    }
  }
  return 0;
}
"""


def _build(artifact: Artifact, directory: Path, main: str, **more: Any) -> Path:
    """Compile a model's C together with a main program for this machine."""
    for name, text in artifact.files.items():
        write_text(directory / name, text)
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(main).render(
        name=artifact.name,
        inputs=artifact.inputs,
        outputs=artifact.outputs,
        states=artifact.states,
        **more,
    )
    # No model's name ends in an underscore, so these names cannot clash.
    write_text(directory / "main_.c", text)
    sources = sorted(name for name in artifact.files if name.endswith(".c"))
    command = [find_tool(HOST_COMPILER), "-std=c99", "-O2", "-DTVMTINY_PORTABLE", "-o", "program_"]
    run_tool([*command, *sources, "main_.c"], directory, directory / "build_.log")
    return directory / "program_"


class NativeFeed(Closing):
    """A native program that feeds blocks of samples to a model's generated C.

    Parameters
    ----------
    artifact
        Model with a front end that takes samples in blocks.

    Raises
    ------
    InputError
        The model has no such front end.
    ToolMissingError, BuildError
        Raised as by `NativeModel`.
    """

    def __init__(self, artifact: Artifact) -> None:
        if artifact.feed is None:
            raise InputError(
                f"{artifact.name} does not take samples in blocks; add a front end, such as "
                "--frontend microfrontend"
            )
        self._feed = artifact.feed.feed
        self._dtype = np.dtype(artifact.inputs[0].dtype)
        self._directory = work_folder_for("native")
        try:
            program = _build(
                artifact,
                self._directory,
                _FEED_MAIN,
                samples=self._feed.samples,
                events=len(self._feed.classes),
                type=c_type(artifact.inputs[0].dtype),
            )
            self._process = subprocess.Popen(
                [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except BaseException:
            remove(self._directory)
            raise

    def feed(self, samples: np.ndarray) -> tuple[int, int, list[int]]:
        """Feed one block of samples.

        Parameters
        ----------
        samples
            At most as many samples as a decision takes.

        Returns
        -------
        tuple
            Return value of the C function, number of decisions so far, and the sum for each event.

        Raises
        ------
        InputError
            The block is longer than a decision, or the program has failed.
        """
        if len(samples) > self._feed.samples:
            raise InputError(
                f"a block of {len(samples)} samples is longer than a decision; give at most "
                f"{self._feed.samples}"
            )
        data = np.ascontiguousarray(samples, self._dtype)
        assert self._process.stdin is not None and self._process.stdout is not None
        wanted = 4 * (2 + len(self._feed.classes))
        try:
            self._process.stdin.write(np.uint32(len(data)).tobytes() + data.tobytes())
            self._process.stdin.flush()
            answer = self._process.stdout.read(wanted)
        except OSError:
            answer = b""
        if len(answer) != wanted:
            raise InputError("the model failed on this machine")
        event, decisions, *sums = np.frombuffer(answer, np.int32).tolist()
        return event, decisions, sums

    def close(self) -> None:
        """Stop the program and delete its folder."""
        self._process.kill()
        self._process.communicate()
        remove(self._directory)


class NativeModel(Closing):
    """A model's generated C, compiled as a program for this machine.

    Kernels with special instructions are replaced by portable ones that give the same bytes. The
    state of a stateful model is reset before each run.

    Parameters
    ----------
    artifact
        Model compiled with inputs and outputs in its own arena.

    Raises
    ------
    InputError
        If inputs or outputs lie outside the arena, or the model has no input.
    ToolMissingError
        If this machine has no C compiler.
    BuildError
        If the compiler rejects the code.
    """

    def __init__(self, artifact: Artifact) -> None:
        tensors = (*artifact.inputs, *artifact.outputs)
        if not artifact.inputs or any(tensor.offset is None for tensor in tensors):
            raise InputError(
                "only a model with inputs and outputs in its arena can run on this machine; "
                "compile it without --io external"
            )
        self.artifact = artifact
        self._directory = work_folder_for("native")
        try:
            self._program = self._build()
        except BaseException:
            remove(self._directory)
            raise

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Run several inferences in sequence.

        Parameters
        ----------
        inputs
            One array for each input of the model, of its dtype and shape, with an additional
            leading dimension that counts inferences.

        Returns
        -------
        list of numpy.ndarray
            One array for each output, with the same leading dimension.

        Raises
        ------
        InputDataError
            If dtypes or shapes are wrong, or the inputs differ in the number of inferences.
        InputError
            If the program fails or hangs.
        """
        frames = [*zip(*inputs, strict=True)]
        data = b"".join(pack_inputs(self.artifact.inputs, frame) for frame in frames)
        seconds = max(_LEAST_SECONDS, _SECONDS_A_RUN * len(frames))
        try:
            done = subprocess.run(
                [str(self._program)], input=data, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"the model did not end within {seconds:g} s on this machine"
            ) from error
        if done.returncode != 0:
            raise InputError(f"the model failed on this machine with code {done.returncode}")
        return self._split(done.stdout, len(frames))

    def close(self) -> None:
        """Delete the program's folder."""
        remove(self._directory)

    def _build(self) -> Path:
        return _build(self.artifact, self._directory, _MAIN)

    def _split(self, data: bytes, count: int) -> list[np.ndarray]:
        outputs = self.artifact.outputs
        size = sum(tensor.bytes for tensor in outputs)
        if len(data) != size * count:
            raise InputError(
                "the model wrote a different number of bytes on this machine than its outputs have"
            )
        parts = [
            split_tensors(data[i * size : (i + 1) * size], outputs, "outputs") for i in range(count)
        ]
        return [np.stack(values) for values in zip(*parts, strict=True)]

"""Generated C compiled for this machine, for many inputs at once."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import jinja2
import numpy as np

from tvmtiny.codegen.tensors import pack_inputs, split_tensors
from tvmtiny.errors import InputError
from tvmtiny.host.files import write_text
from tvmtiny.host.toolchain import find_tool, run_tool
from tvmtiny.host.tools import Tool
from tvmtiny.host.unfinished import remove, work_folder_for

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = ["NativeModel"]

_COMPILER = Tool("cc", "gcc", "to compile the generated C for this machine")
#: Host seconds for one inference, after which the program counts as hung.
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


class NativeModel:
    """A model's generated C as a program of this machine.

    Kernels with special instructions are replaced by their portable twins, which give the same
    bytes. A model that remembers something forgets it before each run.

    Parameters
    ----------
    artifact
        Compiled with its inputs and outputs in its own arena.

    Raises
    ------
    InputError
        If inputs or outputs lie outside of the arena, or there is no input.
    ToolMissingError
        If this machine has no C compiler.
    BuildError
        If the compiler refuses the code.
    """

    def __init__(self, artifact: Artifact) -> None:
        tensors = (*artifact.inputs, *artifact.outputs)
        if not artifact.inputs or any(tensor.offset is None for tensor in tensors):
            raise InputError(
                "only a model whose inputs and outputs lie in its own arena runs on this machine; "
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
        """Run one inference after the other.

        Parameters
        ----------
        inputs
            One array for each input of the model, of its dtype and with one dimension more in
            front: the inferences.

        Returns
        -------
        list of numpy.ndarray
            The outputs, likewise.

        Raises
        ------
        InputDataError
            If dtypes or shapes are wrong, or the numbers of inferences differ.
        InputError
            If the program fails, or hangs.
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
        """Remove the program."""
        remove(self._directory)

    def __enter__(self) -> NativeModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _build(self) -> Path:
        artifact, directory = self.artifact, self._directory
        for name, text in artifact.files.items():
            write_text(directory / name, text)
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
        main = environment.from_string(_MAIN).render(
            name=artifact.name,
            inputs=artifact.inputs,
            outputs=artifact.outputs,
            states=artifact.states,
        )
        # No model has a name that ends in an underscore.
        write_text(directory / "main_.c", main)
        sources = sorted(name for name in artifact.files if name.endswith(".c"))
        command = [find_tool(_COMPILER), "-std=c99", "-O2", "-DTVMTINY_PORTABLE", "-o", "program_"]
        run_tool([*command, *sources, "main_.c"], directory, directory / "build_.log")
        return directory / "program_"

    def _split(self, data: bytes, count: int) -> list[np.ndarray]:
        outputs = self.artifact.outputs
        size = sum(tensor.bytes for tensor in outputs)
        if len(data) != size * count:
            raise InputError(
                "the model wrote another number of bytes on this machine than it has outputs"
            )
        parts = [
            split_tensors(data[i * size : (i + 1) * size], outputs, "outputs") for i in range(count)
        ]
        return [np.stack(values) for values in zip(*parts, strict=True)]

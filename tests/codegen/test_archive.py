"""The Model Library Format archive and the files that are saved."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tvm

import tvmtiny
from tvmtiny import models
from tvmtiny.codegen.archive import archive_bytes
from tvmtiny.codegen.saving import save
from tvmtiny.errors import OutputPathError


@pytest.fixture(scope="module")
def artifact() -> tvmtiny.Artifact:
    return tvmtiny.compile(tvmtiny.load(models.path("digits")), "mps2-an386")


def _members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        contents = {}
        for info in tar:
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
            assert info.isfile()
            handle = tar.extractfile(info)
            assert handle is not None
            contents[info.name] = handle.read()
        return contents


def test_layout(artifact: tvmtiny.Artifact) -> None:
    names = set(_members(archive_bytes(artifact)))
    folder = "./codegen/host"
    assert names >= {
        "./metadata.json",
        "./parameters/digits.params",
        "./src/digits.relax",
        f"{folder}/src/digits.c",
        f"{folder}/src/digits_kernels.c",
        f"{folder}/include/digits.h",
        f"{folder}/include/digits_kernels.h",
        f"{folder}/include/tvmtiny.h",
    }
    code = {name for name in names if name.startswith(folder)}
    assert len(code) == len(artifact.files)
    assert all(name.endswith(".c") == (f"{folder}/src/" in name) for name in code)


def test_metadata(artifact: tvmtiny.Artifact) -> None:
    metadata = json.loads(_members(archive_bytes(artifact))["./metadata.json"])
    assert metadata["version"] == 7
    module = metadata["modules"]["digits"]
    assert module["executors"] == ["aot"]
    (main,) = module["memory"]["functions"]["main"]
    assert main["workspace_size_bytes"] == artifact.arena_bytes
    assert main["constants_size_bytes"] == artifact.constants_bytes
    assert [t["shape"] for t in main["inputs"].values()] == [[1, 8, 8, 1]]
    assert [t["dtype"] for t in main["outputs"].values()] == ["int8"]
    functions = module["memory"]["functions"]["operator_functions"]
    assert [f["macs"] for f in functions] == [layer.macs for layer in artifact.layers]
    for tensor in (*artifact.inputs, *artifact.outputs):
        slot = module["memory"]["sids"][tensor.c_name]
        assert slot == {"arena_offset": tensor.offset, "size": tensor.bytes}


def test_parameters_are_the_constants(artifact: tvmtiny.Artifact) -> None:
    loaded = tvm.runtime.load_param_dict(
        _members(archive_bytes(artifact))["./parameters/digits.params"]
    )
    arrays = {name: value.numpy() for name, value in loaded.items()}
    assert sum(array.nbytes for array in arrays.values()) == artifact.constants_bytes
    source = artifact.files["digits.c"]
    for name, array in arrays.items():
        match = re.search(rf"\b{name}\[{array.size}\][^{{]*{{([^}}]*)}}", source)
        assert match is not None
        numbers = [int(text.strip("() ")) for text in match[1].split(",") if text.strip()]
        np.testing.assert_array_equal(numbers, array.ravel())


def test_header_states_the_sizes(artifact: tvmtiny.Artifact) -> None:
    header = artifact.files["digits.h"]
    for macro, value in (
        ("ARENA_BYTES", artifact.arena_bytes),
        ("CONSTANTS_BYTES", artifact.constants_bytes),
        ("LAYERS", len(artifact.layers)),
        ("MACS", artifact.macs),
        ("NUM_INPUTS", 1),
        ("NUM_OUTPUTS", 1),
    ):
        assert f"#define TVMTINY_DIGITS_{macro} {value}u\n" in header


def test_a_comment_per_layer(artifact: tvmtiny.Artifact) -> None:
    for layer in artifact.layers:
        assert f"/* Layer {layer.index}: {layer.operator}, " in artifact.files["digits.c"]


@pytest.mark.parametrize(
    "pattern", [r"\b20[0-9]{2}-[0-9]{2}", r"/(home|root|tmp|work|usr)/", "__(DATE|TIME|FILE)__"]
)
def test_no_dates_and_no_paths(artifact: tvmtiny.Artifact, pattern: str) -> None:
    own = {n: text for n, text in artifact.files.items() if not n.startswith("tvmtiny")}
    for name, text in {**own, "relax": artifact.relax}.items():
        assert not re.search(pattern, text), name
    assert str(Path.cwd()).encode() not in archive_bytes(artifact)


def test_names_of_any_length(artifact: tvmtiny.Artifact) -> None:
    name = "n" * 300
    files = {f"{name}.c": "", f"{name}.h": ""}
    members = _members(archive_bytes(dataclasses.replace(artifact, name=name, files=files)))
    for path in (f"parameters/{name}.params", *(f"codegen/host/{f}" for f in ("src", "include"))):
        assert any(member.startswith(f"./{path}") for member in members)
    assert f"./codegen/host/src/{name}.c" in members


def test_save(artifact: tvmtiny.Artifact, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    written = save(artifact, folder)
    assert {path.name for path in folder.iterdir()} == {*artifact.files, "digits.tar"}
    assert sorted(written) == sorted(folder.iterdir())
    assert (folder / "digits.tar").read_bytes() == archive_bytes(artifact)
    for name, text in artifact.files.items():
        assert (folder / name).read_text(encoding="utf-8") == text
    assert sorted(save(artifact, folder)) == sorted(written)


def test_save_where_a_file_is(artifact: tvmtiny.Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputPathError):
        save(artifact, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"

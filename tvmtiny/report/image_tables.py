"""Output about model images: summaries, tables, and differences between two images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvmtiny.images.image_format import Image, ImageTensor

if TYPE_CHECKING:
    from rich.table import Table

    from tvmtiny.rpc.updating import ModelState, UpdateResult

__all__ = [
    "ImageDifference",
    "compare_images",
    "difference_table",
    "image_summary",
    "image_table",
    "update_summary",
    "update_table",
]


@dataclass(frozen=True)
class ImageDifference:
    """The difference between two images.

    Attributes
    ----------
    fields
        Differing fields of the headers as texts: name, old value, new value.
    code_bytes, code_changed
        Size of the larger code, and number of its bytes that differ or exist in one image only.
    fits
        Whether firmware that runs the old image can run the new one unchanged: same CPU, inputs and
        outputs, and no more memory.
    """

    fields: tuple[tuple[str, str, str], ...]
    code_bytes: int
    code_changed: int
    fits: bool


def compare_images(old: Image, new: Image) -> ImageDifference:
    """Compare two images field by field."""
    before, after = image_summary(old), image_summary(new)
    fields = tuple(
        (name, _text(before[name]), _text(after[name]))
        for name in before
        if before[name] != after[name]
    )
    longest = max(len(old.code), len(new.code))
    same = sum(a == b for a, b in zip(old.code, new.code, strict=False))
    fits = (
        old.cpu == new.cpu
        and _interface(old) == _interface(new)
        and new.arena_bytes <= old.arena_bytes
        and new.state_bytes <= old.state_bytes
        and new.stack_bytes <= old.stack_bytes
    )
    return ImageDifference(fields, longest, longest - same, fits)


def image_summary(image: Image) -> dict[str, Any]:
    """Summarize an image for ``--json``."""
    return {
        "model": image.name,
        "cpu": image.cpu,
        "features": sorted(image.features),
        "version": image.version,
        "minimum_firmware": image.minimum_firmware,
        "bytes": image.total_bytes,
        "code_bytes": len(image.code) - image.constants_bytes,
        "constants_bytes": image.constants_bytes,
        "overhead_bytes": image.overhead_bytes,
        "arena_bytes": image.arena_bytes,
        "state_bytes": image.state_bytes,
        "stack_bytes": image.stack_bytes,
        "inputs": [_tensor(t) for t in image.inputs],
        "outputs": [_tensor(t) for t in image.outputs],
        "selftest": image.selftest is not None,
        "sha256": image.digest.hex(),
        "signature": image.signature_kind.text,
        "key_id": image.key_id.hex() if image.signature else None,
    }


def image_table(image: Image) -> Table:
    """Show an image as a table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in image_summary(image).items():
        table.add_row(name.replace("_", " "), _text(value))
    return table


def difference_table(difference: ImageDifference) -> Table:
    """Show the difference between two images as a table."""
    from rich.table import Table

    table = Table("", "old", "new", box=None, pad_edge=False, header_style="bold")
    for row in difference.fields:
        table.add_row(row[0].replace("_", " "), *row[1:])
    table.add_row("code", "", f"{difference.code_changed:,} of {difference.code_bytes:,} bytes")
    table.add_row("fits the firmware of the old one", "", "yes" if difference.fits else "no")
    return table


def update_summary(result: UpdateResult) -> dict[str, Any]:
    """Summarize an update for ``--json``."""
    return {
        **vars(result),
        "before": _state(result.before),
        "after": _state(result.after),
    }


def update_table(result: UpdateResult) -> Table:
    """Show an update as a table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, state in (("before", result.before), ("after", result.after)):
        runs = f"{state.name}, version {state.version}" if state.status == 0 else "no model"
        table.add_row(name, runs)
    kind = " of the difference" if result.difference else ""
    table.add_row("sent", f"{result.sent_bytes:,} bytes{kind}")
    table.add_row("there already", f"{result.kept_bytes:,} bytes")
    table.add_row("link broken", f"{result.interruptions} times")
    table.add_row("slots written", " and ".join(f"{n} times" for n in result.after.wear))
    return table


def _state(state: ModelState) -> dict[str, Any]:
    return {**vars(state), "tail": state.tail.hex(), "wear": list(state.wear)}


def _interface(image: Image) -> list[tuple[Any, ...]]:
    return [
        (t.name, t.dtype, t.shape, t.scale, t.zero_point) for t in (*image.inputs, *image.outputs)
    ]


def _tensor(tensor: ImageTensor) -> dict[str, Any]:
    return {**vars(tensor), "shape": list(tensor.shape)}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_text(item) for item in value)
    if isinstance(value, dict):
        shape = "x".join(map(str, value["shape"]))
        scale = (
            "" if value["scale"] is None else f", {value['scale']:g} * (x - {value['zero_point']})"
        )
        return f"{value['name']}: {value['dtype']} {shape}{scale}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value if value is not None else "none")

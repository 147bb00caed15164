"""``tvmtiny image``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import NameOption, TargetOption, compiles
from tvmtiny.cli.settings import Settings

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="An image, such as model.tvmi.")]


class _Group(TyperGroup):
    """A group whose default subcommand is ``make``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        helping = {"-h", "--help"}
        if args and args[0] not in self.commands and args[0] not in helping:
            args = ["make", *args]
        return super().parse_args(ctx, args)


_app = typer.Typer(
    name="image",
    cls=_Group,
    help="Build images of models, which firmware verifies and runs, and inspect them. "
    "tvmtiny image MODEL is short for tvmtiny image make MODEL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(_app)


@_app.command("make")
@compiles(leave_out=("place",))
def make(
    model: ModelArgument,
    target: TargetOption,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the image, such as model.tvmi.")
    ],
    name: NameOption = None,
    model_version: Annotated[
        int,
        typer.Option(
            help="Version of the model; a board refuses versions below its last confirmed one.",
            min=0,
        ),
    ] = 1,
    min_firmware: Annotated[
        int, typer.Option(help="Lowest firmware version that can run the image.", min=0)
    ] = 0,
    sign: Annotated[
        Path | None,
        typer.Option(
            "--sign",
            help="Private key to sign with: Ed25519 or ECDSA P-256, in PEM.",
            metavar="KEY.pem",
        ),
    ] = None,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Write a model as an image: header, hash, and position-independent code and constants.

    Example: tvmtiny image model.tflite --target cortex-m4 -o model.tvmi --sign key.pem
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.host.files import write_bytes
        from tvmtiny.images.build import build_image
        from tvmtiny.images.signing import sign as sign_image

        resolved = settings.target(target)
        loaded = settings.read(model, tell, name)
        artifact = settings.artifact(loaded, resolved, tell)
        tell("building the image")
        image = build_image(loaded, artifact, version=model_version, minimum_firmware=min_firmware)
        if sign is not None:
            image = sign_image(image, sign)
        write_bytes(output, image.pack())
    _show(output, json)


@_app.command("show")
def show(image: FileArgument, json: JsonOption = False) -> None:
    """Show the header of an image.

    Example: tvmtiny image show model.tvmi
    """
    _show(image, json)


@_app.command("verify")
def verify(
    image: FileArgument,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Public or private key in PEM.", metavar="KEY.pem"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check the hash of an image and, with a key, its signature.

    Example: tvmtiny image verify model.tvmi --key public.pem
    """
    from tvmtiny.images.image_format import read_image
    from tvmtiny.images.signing import read_public_key
    from tvmtiny.images.signing import verify as verify_image

    found = read_image(image)
    if key is not None:
        verify_image(found, read_public_key(key), str(image))
    checked = "hash" if key is None else "hash and signature"
    if json:
        print_json({"file": str(image), "checked": checked, "version": found.version})
        return
    text = f"{image}: {checked} valid, version {found.version}"
    console().print(text, markup=False, highlight=False, soft_wrap=True)


@_app.command("diff")
def diff(old: FileArgument, new: FileArgument, json: JsonOption = False) -> None:
    """Show how an image differs from an older one, and whether the same firmware can run it.

    Example: tvmtiny image diff old.tvmi new.tvmi
    """
    from dataclasses import asdict

    from tvmtiny.images.image_format import read_image
    from tvmtiny.report.image_tables import compare_images, difference_table

    difference = compare_images(read_image(old), read_image(new))
    if json:
        print_json(asdict(difference))
        return
    console().print(difference_table(difference))


@_app.command("delta")
def delta(
    old: FileArgument,
    new: FileArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the delta.")],
) -> None:
    """Write the delta from an old image to a new one, for slow or expensive links.

    Example: tvmtiny image delta old.tvmi new.tvmi -o new.delta
    """
    from tvmtiny.host.files import write_bytes
    from tvmtiny.images.delta import make_delta
    from tvmtiny.images.image_format import read_image

    data = make_delta(read_image(old), read_image(new))
    write_bytes(output, data)
    text = f"{output}: {len(data):,} bytes"
    console().print(text, markup=False, highlight=False, soft_wrap=True)


@_app.command("patch")
def patch(
    old: FileArgument,
    delta: Annotated[
        Path, typer.Argument(metavar="DELTA", help="A delta from tvmtiny image delta.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the new image.")],
    json: JsonOption = False,
) -> None:
    """Apply a delta to an old image, and check the hash of the new one.

    Example: tvmtiny image patch old.tvmi new.delta -o new.tvmi
    """
    from tvmtiny.errors import InputError
    from tvmtiny.host.files import write_bytes
    from tvmtiny.images.delta import apply_delta
    from tvmtiny.images.image_format import read_image

    before = read_image(old)
    try:
        data = delta.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the delta {delta}: {error.strerror}") from error
    write_bytes(output, apply_delta(before, data, str(delta)).pack())
    _show(output, json)


@_app.command("key")
def key(
    file: Annotated[Path, typer.Argument(metavar="KEY.pem", help="A public or private key.")],
    name: Annotated[str, typer.Option(help="Name of the array.")] = "image_key",
) -> None:
    """Print a public key as C source for firmware that verifies images.

    Example: tvmtiny image key public.pem
    """
    from tvmtiny.images.signing import key_source, read_public_key

    typer.echo(key_source(read_public_key(file), name), nl=False)


def _show(file: Path, json: bool) -> None:
    from tvmtiny.images.image_format import read_image
    from tvmtiny.report.image_tables import image_summary, image_table

    image = read_image(file)
    if json:
        print_json({"file": str(file), **image_summary(image)})
        return
    console().print(image_table(image))

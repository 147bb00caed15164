"""Conversion of a .tflite file to Relax and TIR."""

from tvmtiny.frontend.model import Model, load

__all__ = ["Model", "load"]

"""From scheduled TIR to C files and an archive."""

from tvmtiny.codegen.artifact import Artifact, LayerInfo, TensorInfo

__all__ = ["Artifact", "LayerInfo", "TensorInfo"]

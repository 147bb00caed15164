"""Generation of C files and an archive from scheduled TIR."""

from tvmtiny.codegen.artifact import Artifact, LayerInfo, TensorInfo

__all__ = ["Artifact", "LayerInfo", "TensorInfo"]

"""scikit-learn: linear models, perceptrons, trees and forests, linear support vectors, k-means."""

from __future__ import annotations

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from tvmtiny.errors import InputError, ModelFormatError
from tvmtiny.errors.base import one_line
from tvmtiny.host.imports import importing
from tvmtiny.importers.results import Imported, ImportOptions
from tvmtiny.importers.sklearn.converter import convert

__all__ = ["import_file", "import_object"]


def import_file(path: Path, options: ImportOptions) -> Imported:
    """Import an estimator from a joblib or pickle file.

    Raises
    ------
    InputError
        If `options` do not state that the file is trusted: such a file is a program that runs while
        it is read.
    ToolMissingError
        ``scikit-learn`` is not installed.
    ModelFormatError
        If the file cannot be read.
    UnsupportedModelError
        See `convert`.
    """
    if not options.trust:
        raise InputError(
            f"{path} is a pickle, which is a program: reading it runs whatever its maker put in; "
            "for a file that you made yourself, give tvmtiny import --trust, or "
            "ImportOptions(trust=True)"
        )
    with importing("scikit-learn", "'tvmtiny[sklearn]'", "to read estimators", "sklearn"):
        # Look for the requested package first, and then for its dependency.
        import_module("sklearn")
        joblib = import_module("joblib")
    notes = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator = joblib.load(path)
        notes = [one_line(w.message) for w in caught if "Version" in w.category.__name__]
    except Exception as error:
        # A pickle can raise any exception.
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise ModelFormatError(str(path), str(reason), "scikit-learn") from error
    return convert(estimator, options, tuple(notes))


def import_object(source: Any, options: ImportOptions) -> Imported:
    """Import a fitted estimator, or a pipeline that ends in one.

    Raises
    ------
    InputError, UnsupportedModelError
        See `convert`.
    """
    return convert(source, options, ())

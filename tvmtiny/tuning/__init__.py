"""Tuning: search the scheduling decisions of a model's layers by measuring them on a board."""

from tvmtiny.tuning.api import METRICS, TRIALS_FILE, TuneResult, tune
from tvmtiny.tuning.results import save_result

__all__ = ["METRICS", "TRIALS_FILE", "TuneResult", "save_result", "tune"]

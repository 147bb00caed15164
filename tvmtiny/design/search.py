"""Search for networks by accuracy and by their cost on a CPU, with Optuna."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tvmtiny.design.data import Dataset
from tvmtiny.design.figures import Budget, Figures, figures_of
from tvmtiny.design.keras_import import from_keras
from tvmtiny.design.network import guessed_ranges, macs, to_tflite
from tvmtiny.design.network_spaces import Build
from tvmtiny.design.training import TrainOptions, integers, keras_package, train
from tvmtiny.errors import InputError, TvmtinyError
from tvmtiny.errors.base import one_line, quoted
from tvmtiny.estimation.model import cost
from tvmtiny.frontend import load
from tvmtiny.host.files import write_bytes
from tvmtiny.host.imports import importing
from tvmtiny.targets import BoardLike, Target, resolve

__all__ = ["OBJECTIVES", "Candidate", "SearchResult", "search"]

#: Number of proposals that resemble good networks after a repeated one, and of repeated ones in a
#: row after which a search has seen its space.
_REPEATS, _MOST_REPEATS = 10, 100

#: Possible objectives, and whether higher values are better.
OBJECTIVES: Mapping[str, bool] = {
    "accuracy": True,
    "cycles": False,
    "instructions": False,
    "ram_bytes": False,
    "flash_bytes": False,
    "macs": False,
}


@dataclass(frozen=True)
class Candidate:
    """A network that was tried.

    Attributes
    ----------
    number
        Number of the trial.
    state
        ``complete``, or ``pruned`` if the network exceeds the budget; if the estimate before the
        training already says so, the network was not trained.
    parameters
        The parameters of the trial by name.
    figures
        The estimated cost; that of the file if the network was trained.
    macs
        Multiply-accumulate operations.
    accuracy, float_accuracy
        Accuracy of the int8 and of the float model on the samples for testing; None if the network
        was not trained.
    file
        Path of the .tflite file; None if no folder was given.
    """

    number: int
    state: str
    parameters: Mapping[str, Any]
    figures: Figures
    macs: int
    accuracy: float | None = None
    float_accuracy: float | None = None
    file: str | None = None

    def value(self, objective: str) -> float:
        """Return the figure called `objective`."""
        if objective == "macs":
            return self.macs
        if objective == "accuracy":
            return 0.0 if self.accuracy is None else self.accuracy
        return float(getattr(self.figures, objective))


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes
    ----------
    cpu
        Name of the CPU.
    objectives
        The objectives, in order.
    budget
        Limits that no trained candidate exceeds.
    candidates
        All candidates by number, including those of other processes.
    front
        Complete candidates that no other one beats in all objectives, the cheapest first.
    """

    cpu: str
    objectives: tuple[str, ...]
    budget: Budget
    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]


def search(
    build: Build,
    data: Dataset,
    target: Target | BoardLike,
    *,
    objectives: Sequence[str] = ("accuracy", "cycles"),
    budget: Budget | None = None,
    trials: int = 100,
    options: TrainOptions | None = None,
    storage: str | None = None,
    study: str = "tvmtiny",
    folder: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> SearchResult:
    """Search for networks; only those within the budget are trained, and nothing is built.

    Parameters
    ----------
    build
        Makes a Keras model from an Optuna trial, see `tvmtiny.design.network_spaces`.
    data
        Samples for training and testing.
    target
        A CPU or a board, the name of one, or the file of a board; see `tvmtiny.resolve`.
    objectives
        Names from `OBJECTIVES`; accuracy is maximized, all others are minimized.
    budget
        Limits of the cost; none by default.
    trials
        Number of networks in the study at the end, including those of other processes. No network
        is tried twice; a space with fewer networks ends the search.
    options
        Parameters of each training; their seed is also used for the search.
    storage, study
        Optuna's storage, such as ``sqlite:///study.db``, and name of the study. Processes and
        machines that use the same ones share their trials.
    folder
        Folder for the .tflite files of complete trials.
    progress
        Called with a line of text for each trial.

    Raises
    ------
    ToolMissingError
        If Optuna or Keras is not installed.
    UnknownTargetError, BoardFileError
        If there is no such CPU or board, or the file of the board cannot be used.
    InputError
        If an objective is unknown, `build` raises, returns no Keras model or one with an unknown
        layer, the storage cannot be used, or no layers were measured on the CPU.
    """
    _check(objectives, trials)
    resolved = resolve(target)
    with importing("optuna", "'tvmtiny[design]'", "to search networks"):
        import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    run = _Search(build, data, resolved, tuple(objectives), budget or Budget(), options, folder)
    seed = run.options.seed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best, *others = (
            optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, n_ei_candidates=candidates
            )
            for candidates in (24, 1)
        )
        # The best proposal may have been tried; then any that resembles good networks will do, and
        # at last any at all.
        samplers = (best, *others * _REPEATS, optuna.samplers.RandomSampler(seed=seed))
        directions = ["maximize" if OBJECTIVES[name] else "minimize" for name in objectives]
        try:
            found = optuna.create_study(
                storage=storage,
                study_name=study,
                sampler=best,
                directions=directions,
                load_if_exists=True,
            )
        except Exception as error:
            reason = f"{type(error).__name__}: {one_line(str(error))}"
            raise InputError(
                f"the storage {quoted(storage or 'memory')} cannot be used: {reason}"
            ) from error
        if [d.name.lower() for d in found.directions] != directions:
            raise InputError(
                f"the study {quoted(study)} in this storage has other objectives; give the same "
                "ones, or another storage"
            )

        tell = progress or (lambda _: None)

        def counted(one: Any) -> int:
            return sum(trial.state.name != "FAIL" for trial in one.trials)

        def ended(one: Any, frozen: Any) -> None:
            repeats = run.repeats
            one.sampler = samplers[min(repeats, len(samplers) - 1)]
            if counted(one) >= trials or repeats >= _MOST_REPEATS:
                one.stop()
            elif not repeats:
                tell(f"{counted(one)} of {trials} trials")

        if counted(found) < trials:
            found.optimize(run.objective, callbacks=[ended], catch=(_RepeatedError,))
    return run.result(found)


def _check(objectives: Sequence[str], trials: int) -> None:
    unknown = [name for name in objectives if name not in OBJECTIVES]
    if unknown or not objectives or len({*objectives}) < len(objectives):
        named = quoted(unknown[0]) if unknown else "none, or one twice"
        raise InputError(
            f"the objectives of a search cannot be {named}; known: {', '.join(OBJECTIVES)}"
        )
    if trials < 1:
        raise InputError(f"a search cannot have {trials} trials; give at least 1")


class _RepeatedError(Exception):
    """A network has been proposed before."""


class _Search:
    """The data that all trials share."""

    def __init__(
        self,
        build: Build,
        data: Dataset,
        target: Target,
        objectives: tuple[str, ...],
        budget: Budget,
        options: TrainOptions | None,
        folder: str | os.PathLike[str] | None,
    ) -> None:
        self._build, self._data, self._target = build, data, target
        self._objectives, self._budget = objectives, budget
        self.options = options or TrainOptions()
        self._folder = None if folder is None else Path(folder)
        #: Number of proposals in a row that had been tried before.
        self.repeats = 0

    def objective(self, trial: Any) -> tuple[float, ...]:
        """Estimate a network, and train it if it is within the budget."""
        keras_package().utils.set_random_seed(self.options.seed)
        model = self._built(trial)
        self._check_new(trial)
        network = from_keras(model)
        content = to_tflite(network, guessed_ranges(network))
        trial.set_user_attr("macs", macs(network))
        figures = self._affordable(trial, content)
        accuracy = None
        if "accuracy" in self._objectives:
            train(model, self._data, self.options)
            made = integers(model, self._data)
            accuracy, content = made.accuracy, made.content
            trial.set_user_attr("accuracy", accuracy)
            trial.set_user_attr("float_accuracy", made.float_accuracy)
            # Kernels depend on the ranges of activations, which were guessed before.
            figures = self._affordable(trial, content)
        if self._folder is not None:
            file = self._folder / f"trial_{trial.number}.tflite"
            self._folder.mkdir(parents=True, exist_ok=True)
            write_bytes(file, content)
            trial.set_user_attr("file", str(file))
        candidate = Candidate(trial.number, "complete", {}, figures, macs(network), accuracy)
        return tuple(candidate.value(name) for name in self._objectives)

    def _check_new(self, trial: Any) -> None:
        """End the trial if its network has been tried: it would be trained alike."""
        others = trial.study.get_trials(deepcopy=False)
        if any(
            other.params == trial.params
            for other in others
            if other.number != trial.number and other.state.name != "FAIL"
        ):
            self.repeats += 1
            raise _RepeatedError
        self.repeats = 0

    def _affordable(self, trial: Any, content: bytes) -> Figures:
        """Estimate a model; the trial ends here if the model is not within the budget."""
        import optuna

        figures = figures_of(cost(load(content, name="candidate"), self._target), 0)
        trial.set_user_attr("figures", asdict(figures))
        over = self._budget.over(figures)
        if over:
            raise optuna.TrialPruned(", ".join(over))
        return figures

    def _built(self, trial: Any) -> Any:
        import optuna

        try:
            model = self._build(trial)
        except (TvmtinyError, optuna.TrialPruned):
            raise
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {one_line(str(error))[:300]}"
            raise InputError(
                f"the build function failed in trial {trial.number}: {reason}"
            ) from error
        if hasattr(model, "layers") and not getattr(model, "built", True):
            raise InputError(
                f"the build function returned a model without a known input in trial {trial.number}"
                "; begin it with keras.Input"
            )
        if not hasattr(model, "layers") or not hasattr(model, "outputs"):
            raise InputError(
                f"the build function returned a {type(model).__name__} in trial {trial.number}; it "
                "must return a Keras model"
            )
        return model

    def result(self, study: Any) -> SearchResult:
        """Collect the candidates of a study."""
        best = {trial.number for trial in study.best_trials}
        candidates = []
        for trial in study.trials:
            known = trial.user_attrs
            state = trial.state.name.lower()
            if state in ("complete", "pruned") and "figures" in known:
                candidates.append(
                    Candidate(
                        trial.number,
                        state,
                        dict(trial.params),
                        Figures(**known["figures"]),
                        known["macs"],
                        known.get("accuracy"),
                        known.get("float_accuracy"),
                        known.get("file"),
                    )
                )
        cheap = next((name for name in self._objectives if name != "accuracy"), "accuracy")
        front = sorted(
            (c for c in candidates if c.number in best and c.state == "complete"),
            key=lambda c: (c.value(cheap), c.number),
        )
        return SearchResult(
            self._target.cpu.name, self._objectives, self._budget, tuple(candidates), tuple(front)
        )

"""Applications that are created and built once for all tests."""

from __future__ import annotations

from functools import cache

import pytest
from zephyr_applications import Built, mlperf_model

from tvmtiny.creating import create_zephyr_application
from tvmtiny.project.zephyr.application import ApplicationOptions
from tvmtiny.project.zephyr.board import find_zephyr_board
from tvmtiny.project.zephyr.build import ApplicationBuild, build_application
from tvmtiny.project.zephyr.source_tree import find_tree


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Create and build an application of MLPerf Tiny models, each combination once."""
    root = tmp_path_factory.mktemp("applications")

    @cache
    def build(board: str, mode: str, *names: str) -> ApplicationBuild:
        directory = root / f"{board.replace(':', '_')}-{mode}-{'-'.join(names)}"
        application = create_zephyr_application(
            [mlperf_model(name) for name in names],
            find_zephyr_board(board),
            directory,
            ApplicationOptions(mode=mode),
        )
        return build_application(application, find_tree())

    return build

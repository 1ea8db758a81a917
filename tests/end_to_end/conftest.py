"""The whole system on loopback: a trained model in its container process, the SageMaker Runtime, the bidder."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from loadtest.stack import Stack, running
from loadtest.training import Prepared, trained_model

TRAINED_ON_REQUESTS = 6_000


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A small model and its profiles, made as the demo makes its own."""
    quiet = Console(file=io.StringIO())
    return trained_model(quiet, tmp_path_factory.mktemp("cache"), count=TRAINED_ON_REQUESTS)


@pytest.fixture(scope="session")
def stack(prepared: Prepared) -> Iterator[Stack]:
    with running(prepared.model_dir, environment=prepared.environment()) as stack:
        yield stack

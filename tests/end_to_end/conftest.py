"""The whole system on loopback: a trained model in its container process, the SageMaker Runtime, the bidder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.stack import Stack, running
from loadtest.training import trained_model

TRAINED_ON_REQUESTS = 6_000
TMAX_MS = "60000"
"""What a request without tmax is given: the machine's pace must not decide a test."""


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, trained as the demo trains its own."""
    quiet = Console(file=io.StringIO())
    return trained_model(quiet, tmp_path_factory.mktemp("cache"), count=TRAINED_ON_REQUESTS)


@pytest.fixture(scope="session")
def stack(model_dir: Path) -> Iterator[Stack]:
    with running(model_dir) as stack:
        yield stack

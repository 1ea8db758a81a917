"""Fixtures for the tests of constructs."""

from __future__ import annotations

import pytest

from infra.synthesis import Composition, synthesise_all
from tests.infra.stacks import Bare, bare_stack


@pytest.fixture(scope="module")
def bare() -> Bare:
    """One bare stack a module: put your construct in it in a fixture of module scope, and synthesise it once."""
    return bare_stack()


@pytest.fixture(scope="session")
def compositions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Composition, ...]:
    """All four, synthesised once for all tests."""
    return tuple(synthesise_all(tmp_path_factory.mktemp("assemblies")))

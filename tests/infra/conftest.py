"""Fixtures for the tests of constructs."""

from __future__ import annotations

import pytest

from tests.infra.stacks import Bare, bare_stack


@pytest.fixture(scope="module")
def bare() -> Bare:
    """One bare stack a module: put your construct in it in a fixture of module scope, and synthesise it once."""
    return bare_stack()

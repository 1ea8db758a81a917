"""Fixtures for the tests of constructs."""

from __future__ import annotations

import dataclasses

import pytest

from infra.environments import DEV, FabricSizes
from infra.synthesis import Composition, synthesise, synthesise_all
from tests.infra.stacks import Bare, bare_stack


@pytest.fixture(scope="module")
def bare() -> Bare:
    """One bare stack a module: put your construct in it in a fixture of module scope, and synthesise it once."""
    return bare_stack()


@pytest.fixture(scope="session")
def compositions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Composition, ...]:
    """All four, synthesised once for all tests."""
    return tuple(synthesise_all(tmp_path_factory.mktemp("assemblies")))


@pytest.fixture(scope="session")
def with_options(tmp_path_factory: pytest.TempPathFactory) -> Composition:
    """dev on EKS with what no environment has on: a permission boundary, and a gateway on RTB Fabric."""
    environment = dataclasses.replace(DEV, permission_boundary="boundary", fabric=FabricSizes(timeout_ms=300))
    return synthesise(environment, "eks", tmp_path_factory.mktemp("assembly"))

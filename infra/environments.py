"""The environments: every size and limit of the deployment, in one typed place.

A section belongs to one construct, which gets it as an argument. Units are in the names. `dev` is the smallest thing
that shows everything; `prod` is what the sizing formulas in docs/deployment.md give for the load named there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetworkSizes:
    """`availability_zones` at least three; `cidr` of the whole VPC."""

    cidr: str
    availability_zones: int
    flow_log_days: int


@dataclass(frozen=True, slots=True)
class Environment:
    """One deployment. `name` is part of every resource's name; `region` is fixed, so that nothing is looked up."""

    name: str
    region: str
    network: NetworkSizes


DEV = Environment(
    name="dev",
    region="us-east-1",
    network=NetworkSizes(cidr="10.40.0.0/16", availability_zones=3, flow_log_days=14),
)

PROD = Environment(
    name="prod",
    region="us-east-1",
    network=NetworkSizes(cidr="10.50.0.0/16", availability_zones=3, flow_log_days=365),
)

ENVIRONMENTS = {environment.name: environment for environment in (DEV, PROD)}

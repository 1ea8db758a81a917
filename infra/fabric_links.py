"""Links to exchanges, as far as CloudFormation cannot: `python -m infra.fabric_links prod GATEWAY --accept PEER`.

It accepts links that the named exchanges ask for, with the same masking of errors and logging as those that the stack
makes; sets the time-out of all links in use; and keeps traffic in its zone. Neither of the latter has a property in
CloudFormation (aws-cdk-lib 2.275), and a link that an exchange asks for is no resource of ours.

The rule kept here: without --apply it only says what it would do, and it accepts nobody who is not named. It can be run
again: a time-out is then set to what it is, as the API does not tell it. Exit 0: all was made, or would be. 1: AWS
refused. 2: the options were not understood.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.environments import ENVIRONMENTS, FabricSizes
from infra.rtb_fabric import log_sampling, masking

IN_ITS_ZONE = "AVAILABILITY_ZONE_AFFINITY"
# What an update of a gateway would be told again, so that it stays.
KEPT = ("port", "protocol", "domainName", "listenerConfig", "trustStoreConfiguration", "managedEndpointConfiguration")


@dataclass(frozen=True, slots=True)
class Change:
    """A call of the API that is to be made: the client's method and its arguments, with `why` in words."""

    method: str
    arguments: dict[str, Any]
    why: str


def changes(client: Any, gateway_id: str, sizes: FabricSizes, accepted: Sequence[str]) -> Iterator[Change]:
    """What is not as `sizes` has it, of the gateway and its links. `accepted`: gateways of exchanges."""
    gateway = client.get_responder_gateway(gatewayId=gateway_id)
    if gateway.get("clientRoutingPolicy") != IN_ITS_ZONE:
        yield Change(
            "update_responder_gateway",
            {name: gateway[name] for name in KEPT if name in gateway}
            | {"gatewayId": gateway_id, "clientRoutingPolicy": IN_ITS_ZONE, "clientToken": str(uuid.uuid4())},
            f"{gateway_id}: bids stay in the zone they come in",
        )
    for link in _links(client, gateway_id):
        yield from _changes_of(link, gateway_id, sizes, accepted)


def _changes_of(link: dict[str, Any], gateway_id: str, sizes: FabricSizes, accepted: Sequence[str]) -> Iterator[Change]:
    named = {"gatewayId": gateway_id, "linkId": link["linkId"]}
    logs = {"applicationLogs": {"sampling": log_sampling(sizes)}}
    peer = link["peerGatewayId"]
    if link["status"] == "REQUESTED" and peer in accepted:
        attributes = {"responderErrorMasking": masking(sizes)}
        yield Change(
            "accept_link",
            named | {"attributes": attributes, "logSettings": logs, "timeoutInMillis": sizes.timeout_ms},
            f"{link['linkId']}: {peer} is accepted",
        )
    elif link["status"] == "ACTIVE":
        yield Change(
            "update_link",
            named | {"logSettings": logs, "timeoutInMillis": sizes.timeout_ms, "clientToken": str(uuid.uuid4())},
            f"{link['linkId']}: {peer} waits {sizes.timeout_ms} ms",
        )


def _links(client: Any, gateway_id: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_links").paginate(gatewayId=gateway_id):
        yield from page["links"]


def carry_out(client: Any, made: Iterable[Change], apply: bool) -> None:
    """Say each change, and make it if `apply`."""
    for change in made:
        print(("" if apply else "would be done: ") + change.why)
        if apply:
            getattr(client, change.method)(**change.arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.fabric_links", description="Links to exchanges")
    parser.add_argument("environment", choices=sorted(ENVIRONMENTS))
    parser.add_argument("gateway", help="the responder gateway's id, an output of the stack")
    parser.add_argument("--accept", action="append", default=[], metavar="PEER", help="an exchange's gateway id")
    parser.add_argument("--apply", action="store_true", help="do it; without, only say what would be done")
    parser.add_argument("--endpoint-url", help="of the API, for a rehearsal")
    options = parser.parse_args(arguments)
    environment = ENVIRONMENTS[options.environment]
    if environment.fabric is None:
        parser.error(f"{environment.name} is not on RTB Fabric: see `fabric` in infra/environments.py")
    client = boto3.client("rtbfabric", region_name=environment.region, endpoint_url=options.endpoint_url)
    try:
        carry_out(client, changes(client, options.gateway, environment.fabric, options.accept), options.apply)
    except (BotoCoreError, ClientError) as error:
        print(f"RTB Fabric: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Everything that a template is held to, in one list of findings; an empty one is what is wanted.

Templates are CloudFormation's own text, so the checks do not know how they were made. Warnings of cfn-lint count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cfnlint.config import ConfigMixIn
from cfnlint.runner import Runner

from infra import containers, exposure, grants, identity, nag
from infra.synthesis import Composition

RULES = (
    identity.unexplained_wildcards,
    identity.wide_invocations,
    grants.idle_grants,
    exposure.open_security_groups,
    exposure.open_egress,
    exposure.buckets_without_tls,
    exposure.public_buckets,
    exposure.open_resources,
    containers.loose_containers,
    containers.plain_secrets,
)


# Rules of cfn-lint that are not followed, and why.
UNFOLLOWED = {
    "W3005": "depending on a role means its policies too, which a reference to the role does not wait for",
    "W3010": "zones are named in infra/environments.py: asking the account for them would be a look-up when deploying, "
    "and its answer may lack PrivateLink's SageMaker Runtime or change",
}


def problems(composition: Composition) -> Iterator[str]:
    """What is wrong in `composition`, but for what cfn-lint says; each beginning with where it is."""
    for each in dict.fromkeys(nag.unsuppressed(composition.findings)):
        yield f"{composition.name} {each.path}: {each.rule}: {each.text}"
    for name, template in composition.templates.items():
        for rule in RULES:
            for finding in rule(template):
                yield f"{composition.name} {name}: {rule.__name__}: {finding}"


def distinct(compositions: Sequence[Composition]) -> dict[Path, str]:
    """The templates' files, with the Region of each. One that is the same in two compositions is there once."""
    found = {
        file.read_bytes(): (file, each.regions[name]) for each in compositions for name, file in each.files.items()
    }
    return dict(found.values())


def lint(regions: Mapping[Path, str]) -> list[str]:
    """What cfn-lint says of templates, each for its Region. Takes seconds of CPU for each."""
    found = []
    for region in sorted(set(regions.values())):
        files = [str(file) for file, its in regions.items() if its == region]
        config = ConfigMixIn(templates=files, regions=[region], ignore_checks=list(UNFOLLOWED))
        found += [f"{each.filename}:{each.linenumber}: {each.rule.id}: {each.message}" for each in Runner(config).run()]
    return found


def stale(compositions: Sequence[Composition]) -> list[str]:
    """Explanations and suppressions that nothing in any of `compositions` needs."""
    templates = [template for composition in compositions for template in composition.templates.values()]
    found = [finding for composition in compositions for finding in composition.findings]
    return [repr(entry) for entry in (*identity.stale_wildcards(templates), *nag.stale(found))]

"""docs/well-architected.md: its counts agree with its rows, and every file and test that it names is there."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from tests.infra.guides import ROOT

PAGE = (ROOT / "docs/well-architected.md").read_text()
PILLARS = (
    "Operational excellence",
    "Security",
    "Reliability",
    "Performance efficiency",
    "Cost optimisation",
    "Sustainability",
)
ACCOUNT = "**account**: "


@dataclass(frozen=True)
class Claim:
    """A row: what is claimed, what makes it true, what shows it."""

    pillar: str
    text: str
    by: str
    shown: str

    @property
    def on_an_account_only(self) -> bool:
        return self.shown.startswith(ACCOUNT)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def claims() -> list[Claim]:
    """All rows of all pillars."""
    found = []
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        pillar, _, body = section.partition("\n")
        lines = [line for line in body.splitlines() if line.startswith("|")]
        assert cells(lines[0]) == ["claim", "made true by", "shown by"]
        found += [Claim(pillar, *cells(line)) for line in lines[2:]]
    return found


def counts() -> dict[str, tuple[int, int, int]]:
    """Pillar → claims, shown, only on a real account, as the page says."""
    table = PAGE.partition("\n## ")[0]
    rows = [cells(line) for line in table.splitlines() if line.startswith("|")][2:]
    return {name.strip("*"): (int(all_), int(shown), int(account)) for name, all_, shown, account in rows}


every_claim = pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim.text[:50])


def test_every_pillar_makes_claims() -> None:
    """The six of the framework, in its order."""
    assert tuple(dict.fromkeys(claim.pillar for claim in claims())) == PILLARS


def test_the_counts_are_those_of_the_rows() -> None:
    """By pillar and in all."""
    made = claims()
    expected = {}
    for pillar in (*PILLARS, "all"):
        of = [claim for claim in made if pillar in (claim.pillar, "all")]
        account = sum(claim.on_an_account_only for claim in of)
        expected[pillar] = (len(of), len(of) - account, account)
    assert counts() == expected


def test_no_claim_is_made_twice() -> None:
    """Each counts once."""
    texts = [claim.text for claim in claims()]
    assert len(texts) == len(set(texts))


@every_claim
def test_what_makes_it_true_is_there(claim: Claim) -> None:
    """Files of the repository."""
    files = re.findall(r"`([^`]+)`", claim.by)
    assert files
    assert [name for name in files if not (ROOT / name).is_file()] == []


@every_claim
def test_what_shows_it_is_there(claim: Claim) -> None:
    """Tests by file and name, or what to do on an account."""
    if claim.on_an_account_only:
        assert len(claim.shown) > len(ACCOUNT) + 20
        return
    named = re.findall(r"`([\w/]+)::(\w+)`", claim.shown)
    assert named
    assert re.sub(r"`[\w/]+::\w+`(, )?", "", claim.shown) == ""
    for file, test in named:
        path = ROOT / f"tests/{file}.py"
        assert path.is_file(), path
        assert re.search(rf"^(async )?def {test}\(", path.read_text(), re.MULTILINE), f"{file}::{test}"

"""cdk-nag's findings are held against the suppressions, in both directions."""

from __future__ import annotations

from aws_cdk import aws_s3 as s3

from infra import nag
from infra.suppressions import SUPPRESSIONS, Suppression
from tests.infra.stacks import Bare


def test_a_bucket_as_it_comes_is_found_until_suppressed(bare: Bare) -> None:
    """No TLS, no access log: found under the construct's path; a suppression covers its own rule and path only."""
    s3.Bucket(bare.stack, "Careless")
    found = {(each.rule, each.path) for each in bare.findings()}
    assert found == {
        ("AwsSolutions-S1", "Bare/Careless/Resource"),
        ("AwsSolutions-S10", "Bare/Careless/Resource"),
    }
    tls = Suppression("AwsSolutions-S10", "Careless/*", "…")
    other = Suppression("AwsSolutions-S1", "Other/*", "…")
    left = nag.unsuppressed(bare.findings(), [tls, other])
    assert [each.rule for each in left] == ["AwsSolutions-S1"]
    assert nag.stale(bare.findings(), [tls, other]) == [other]


def test_every_suppression_says_why() -> None:
    """A reason is a sentence, not a word."""
    assert [each for each in SUPPRESSIONS if len(each.reason.split()) < 8] == []

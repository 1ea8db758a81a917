"""The image repositories: tags that stay, layers that are scanned and encrypted, an end to what is old."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.environments import DEV, PROD
from infra.images import Images
from tests.infra.stacks import Bare, resources_of


@pytest.fixture(scope="module")
def repositories(bare: Bare) -> dict[str, dict[str, Any]]:
    """Name → resource, of prod and dev."""
    Images(bare.stack, "Prod", name="prod", sizes=PROD.images, key=bare.key)
    Images(bare.stack, "Dev", name="dev", sizes=DEV.images, key=bare.key)
    found = resources_of(bare.template(), "AWS::ECR::Repository").values()
    return {each["Properties"]["RepositoryName"]: each for each in found}


def test_bidder_model_and_collector_have_one_each(repositories: dict[str, Any]) -> None:
    """In every environment."""
    kinds = ("bidder", "model", "collector")
    assert set(repositories) == {f"rtb-{name}/{kind}" for name in ("prod", "dev") for kind in kinds}


def test_tags_stay_and_images_are_scanned_and_encrypted(repositories: dict[str, Any]) -> None:
    """With the project's own key."""
    for each in repositories.values():
        assert each["Properties"]["ImageTagMutability"] == "IMMUTABLE"
        assert each["Properties"]["ImageScanningConfiguration"] == {"ScanOnPush": True}
        assert each["Properties"]["EncryptionConfiguration"]["EncryptionType"] == "KMS"
        assert each["Properties"]["EncryptionConfiguration"]["KmsKey"]["Fn::GetAtt"][0].startswith("BareKey")


def test_old_images_go(repositories: dict[str, Any]) -> None:
    """Untagged ones by age, the others by number."""
    for name, sizes in (("rtb-prod/model", PROD.images), ("rtb-dev/model", DEV.images)):
        rules = json.loads(repositories[name]["Properties"]["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        limits = {each["selection"]["tagStatus"]: each["selection"]["countNumber"] for each in rules}
        assert limits == {"untagged": sizes.keep_untagged_days, "any": sizes.keep_images}


def test_what_is_in_production_outlives_the_stack(repositories: dict[str, Any]) -> None:
    """Dev leaves nothing behind."""
    assert repositories["rtb-prod/model"]["DeletionPolicy"] == "Retain"
    assert repositories["rtb-dev/model"]["DeletionPolicy"] == "Delete"
    assert repositories["rtb-dev/model"]["Properties"]["EmptyOnDelete"] is True


def test_cdk_nag_is_content(bare: Bare, repositories: dict[str, Any]) -> None:
    """AwsSolutions, but for what is suppressed with a reason."""
    assert bare.findings() == []

"""Restrictions fail closed, hints count as absent, required fields fail the message."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from openrtb_schemas import REQUEST, RESTRICTION, BidRequest, restriction_paths, unreadable_restrictions

RESTRICTIONS = list(restriction_paths(BidRequest))
UNREADABLE = [{"no": ["thing"]}, [[]]]


NEEDED = {
    "imp[]": {"id": "i"},
    "video": {"mimes": ["m"]},
    "audio": {"mimes": ["m"]},
    "native": {"request": "{}"},
    "deals[]": {"id": "d"},
}


def message_with(path: str, value: Any) -> dict[str, Any]:
    """A valid request but for this value at this path, such as ``imp[].banner.battr``."""
    *parents, last = path.split(".")
    body: Any = placed(last, value)
    for step in reversed(parents):
        body = placed(step, NEEDED.get(step, {}) | body)
    return {"id": "r", "imp": [{"id": "i"}]} | body


def placed(step: str, value: Any) -> dict[str, Any]:
    return {step.removesuffix("[]"): [value] if step.endswith("[]") else value}


def failure(body: Any) -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        REQUEST.validate_python(body)
    return raised.value


@pytest.mark.parametrize("unreadable", UNREADABLE, ids=["object", "arrays"])
@pytest.mark.parametrize("path", RESTRICTIONS)
def test_an_unreadable_restriction_fails_closed(path, unreadable):
    """Each restriction that cannot be read is reported as such, at its place, and nothing else is."""
    error = failure(message_with(path, unreadable))
    assert unreadable_restrictions(error) == [path.replace("[]", "[0]")]
    assert [detail["type"] for detail in error.errors()] == [RESTRICTION]


@pytest.mark.parametrize("path", RESTRICTIONS)
def test_a_restriction_that_is_null_is_absent(path):
    """Null at a restriction is no restriction, and leaves no key."""
    read: Any = REQUEST.validate_python(message_with(path, None))
    *parents, last = path.split(".")
    for step in parents:
        read = read[step.removesuffix("[]")]
        read = read[0] if step.endswith("[]") else read
    assert last not in read


def test_the_restrictions_that_must_fail_closed_are_all_there():
    """The lists, floors, currencies and regulations are restrictions."""
    named = ["bcat", "acat", "cattax", "badv", "bapp", "wseat", "bseat", "wlang", "wlangb", "cur", "at", "tmax"]
    named += [f"imp[].{name}" for name in ["bidfloor", "bidfloorcur", "secure", "pmp.private_auction"]]
    named += [f"imp[].pmp.deals[].{name}" for name in ["bidfloor", "bidfloorcur", "wseat", "wadomain"]]
    named += [f"imp[].{kind}.battr" for kind in ["banner", "video", "audio", "native"]]
    named += [f"regs.{name}" for name in ["coppa", "gdpr", "us_privacy", "gpp", "gpp_sid"]]
    named += ["device.dnt", "device.lmt", "user.consent"]
    assert set(named) <= set(RESTRICTIONS)


@pytest.mark.parametrize("part", ["device", "user", "regs", "imp[].banner", "imp[].pmp", "imp[].pmp.deals[]"])
def test_a_part_that_is_no_object_fails_closed(part):
    """An object that holds restrictions is one itself: what is no object is not read as none."""
    error = failure(message_with(part, 5))
    assert unreadable_restrictions(error) == [part.replace("[]", "[0]")]


def test_a_part_that_is_no_array_fails_closed():
    """Deals that are no array are not read as no deals."""
    assert unreadable_restrictions(failure(message_with("imp[].pmp.deals", "all"))) == ["imp[0].pmp.deals"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="no object"),
        pytest.param({"imp": [{"id": "i"}]}, id="no id"),
        pytest.param({"id": None, "imp": [{"id": "i"}]}, id="a null id"),
        pytest.param({"id": "r"}, id="no imp"),
        pytest.param({"id": "r", "imp": []}, id="an empty imp"),
        pytest.param({"id": "r", "imp": {"id": "i"}}, id="an imp that is no array"),
        pytest.param({"id": "r", "imp": [7]}, id="an impression that is no object"),
        pytest.param({"id": "r", "imp": [{}]}, id="an impression without id"),
        pytest.param({"id": "r", "imp": [{"id": "i", "video": {}}]}, id="a video without mimes"),
        pytest.param({"id": "r", "imp": [{"id": "i", "pmp": {"deals": [{}]}}]}, id="a deal without id"),
    ],
)
def test_a_broken_required_field_is_malformed_and_no_restriction(body):
    """A required field that is missing or unreadable fails the message, and not as a restriction."""
    assert unreadable_restrictions(failure(body)) == []


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        pytest.param({"user": {"yob": "old", "gender": "F"}}, {"user": {"gender": "F"}}, id="a scalar"),
        pytest.param({"device": {"w": 1.5}}, {"device": {}}, id="a fraction for an int"),
        pytest.param({"device": {"carrier": {}}}, {"device": {}}, id="an object for a string"),
        pytest.param({"site": "here"}, {}, id="a scalar for an object"),
        pytest.param({"site": {"cat": ["IAB1", {}, None]}}, {"site": {"cat": ["IAB1"]}}, id="an item of an array"),
        pytest.param({"user": {"eids": [5, {"source": "s"}]}}, {"user": {"eids": [{"source": "s"}]}}, id="an object's"),
    ],
)
def test_an_unreadable_hint_counts_as_absent(sent, read):
    """What only helps to bid better is left out where it cannot be read, and only that."""
    base = {"id": "r", "imp": [{"id": "i"}]}
    assert REQUEST.validate_python(base | sent) == base | read


def spoiled(
    objects: dict[str, Any], kind: str, value: dict[str, Any], path: str = ""
) -> Iterator[tuple[str, str, bool]]:
    """Spoils one field of a message after the other, in place: yields its parent, its path, whether it is required."""
    for name, field in objects[kind]["fields"].items():
        right, value[name] = value[name], [[]]
        if name != "ext":
            yield path.removesuffix("."), path + name, field.endswith("!")
        value[name] = right
        bare = field.rstrip("[]!")
        if bare in objects:
            inner, step = (right[0], f"{name}[]") if "[]" in field else (right, name)
            yield from spoiled(objects, bare, inner, f"{path}{step}.")


def below_a_restriction(path: str) -> bool:
    """A supply chain is one restriction as a whole: whatever it needs is part of it."""
    return any(
        path == restriction or path.startswith((f"{restriction}.", f"{restriction}[")) for restriction in RESTRICTIONS
    )


def test_a_supply_chain_with_a_node_missing_its_seller_fails_closed():
    """It is never shortened, nor left out: whoever is in it might be blocked."""
    body = {"id": "r", "imp": [{"id": "i"}], "source": {"schain": {"complete": 1, "ver": "1", "nodes": [{"asi": "a"}]}}}
    with pytest.raises(ValidationError) as caught:
        REQUEST.validate_python(body)
    assert unreadable_restrictions(caught.value) == ["source.schain"]


def test_every_field_of_a_request_is_of_exactly_one_kind(table, complete):
    """Spoil any one field of a complete request: it fails closed, or is malformed, or is read without the field."""
    objects = table["openrtb"]
    body = complete(objects, "BidRequest")
    parents = {path.rpartition(".")[0] for path in RESTRICTIONS}
    parts = parents | {parent[:end] for parent in parents for end in range(len(parent)) if parent[end] == "."} | {""}
    outcomes = {"failed closed": 0, "malformed": 0, "read": 0}
    for parent, path, required in spoiled(objects, "BidRequest", body):
        try:
            REQUEST.validate_python(body)
            outcome = "read"
        except ValidationError as error:
            outcome = "failed closed" if unreadable_restrictions(error) else "malformed"
        if required and parent in parts:
            expected = "malformed"
        elif path in RESTRICTIONS or {path, f"{path}[]"} & parts or (required and below_a_restriction(parent)):
            expected = "failed closed"
        else:
            expected = "read"
        assert outcome == expected, path
        outcomes[outcome] += 1
    assert all(outcomes.values()), outcomes

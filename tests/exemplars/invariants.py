"""What holds of any answer, whatever was asked.

The rule: an answer is judged from documents alone (the request, the campaigns as a catalog has them), by
`loadtest.verify.Judge` and by the checks here, which ask the catalog what the answer does not show.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bidder.domain import Exchange, Rates
from loadtest.traffic import BidRequestCase, Kind
from loadtest.verify import Judge
from loadtest.verify import Rates as JudgeRates
from tests.exemplars.reading import meant

Json = dict[str, Any]

RATES = Rates("2026-01-02", "USD", {"EUR": 0.8, "GBP": 0.75, "JPY": 150.0})
JUDGE = Judge(JudgeRates({"USD": 1.0, **{code: 1 / rate for code, rate in RATES.per_base.items()}}))
# A catalog's words for AdCOM's numbers: banner types, deliveries, linearity.
CODES = {"xhtml_text": 1, "xhtml_banner": 2, "javascript": 3, "iframe": 4}
CODES |= {"streaming": 1, "progressive": 2, "download": 3, "linear": 1, "overlay": 2}
# Those that share their ids: versions of the Content Taxonomy from 2.0, and of the Ad Product Taxonomy (AdCOM).
TAXONOMIES = ({2, 5, 6, 7, 9}, {3, 8})
_ANY = frozenset({"bid", "no-bid", "refused"})


@dataclass(slots=True)
class Outcome:
    """What came of one request."""

    status: int
    body: bytes
    reason: str  # why there was no bid; "" with one, and for a 400
    keys: tuple[str, ...]  # under which the user's profile was looked up
    rows: bytes  # what the model was given
    unhandled: int  # bids that ended in an exception, answered with a no-bid

    @property
    def response(self) -> Json:
        parsed: Json = json.loads(self.body) if self.status == 200 else {}
        return parsed

    @property
    def bids(self) -> list[Json]:
        """In the answer's order, each with its seat."""
        return [{"seat": seat.get("seat"), **bid} for seat in self.response.get("seatbid", ()) for bid in seat["bid"]]


class Invariants:
    """Those of a bidder with these campaigns (documents) on this exchange. `vendor`: our id in the Global Vendor
    List."""

    def __init__(self, campaigns: list[Json], exchange: Exchange, vendor: int, takes_incomplete_chains: bool) -> None:
        self._exchange, self._vendor, self._takes_incomplete_chains = exchange, vendor, takes_incomplete_chains
        self._campaigns = {campaign["id"]: campaign for campaign in campaigns}
        self._creatives = {each["id"]: each for campaign in campaigns for each in campaign["creatives"]}
        self._owners = {each["id"]: campaign for campaign in campaigns for each in campaign["creatives"]}

    def violations(self, body: bytes, outcome: Outcome) -> list[str]:
        """Everything that is wrong with the answer, whatever was asked."""
        if outcome.status not in (200, 204, 400):
            return [f"status {outcome.status}"]
        found = ["an exception inside"] if outcome.unhandled else []
        if outcome.status == 204 and outcome.body:
            found.append(f"204 with a body: {outcome.body!r}")
        if outcome.keys:
            found += [f"a profile was looked up: {why}" for why in self._opted_out(meant(body))]
        if not outcome.bids:
            return found
        request = meant(body)
        lists = [request.pop(name) for name in ("wlang", "wlangb") if request.get(name)]  # checked by `_bid`
        headers = {"content-type": "application/json", "content-length": str(len(outcome.body))}
        found += self._whole(request)
        case = BidRequestCase(request["id"], body, Kind.VALID, request, _ANY)
        judged = JUDGE.verdict(case, 200, headers, outcome.body).violations
        found += [f"{each.rule}: {each.detail}" for each in judged if each.rule not in self._excused(request, outcome)]
        for bid in outcome.bids:
            found += [f"bid {bid['id']}: {wrong}" for wrong in self._bid(request, bid, lists)]
        found += self._blocks(request, outcome)
        for imp in request["imp"]:
            bids = [bid for bid in outcome.bids if bid["impid"] == imp["id"]]
            found += [f"imp {imp['id']}: {wrong}" for wrong in self._together(imp, bids)]
        return found

    def _excused(self, request: Json, outcome: Outcome) -> set[str]:
        """The judge's rules that do not count: on what the exchange's profile leaves out; on flexible sizes, which the
        judge does not know and `_bid` checks."""
        excused = set(self._exchange.omitted)
        if self._exchange.markup == "registered":
            excused |= {"adm", "size"}
        if any("wratio" in bid for bid in outcome.bids):
            excused.add("size")
        return excused

    def _opted_out(self, request: Json) -> Iterator[str]:
        """The signals of the request that are known without reading a consent string, in 2.6's place or 2.5's."""
        device, regs = request.get("device") or {}, request.get("regs") or {}
        ext = regs.get("ext") or {}
        yield from (name for name in ("lmt", "dnt") if device.get(name))
        if regs.get("coppa"):
            yield "coppa"
        if not self._vendor and regs.get("gdpr", ext.get("gdpr")) in (1, "1"):
            yield "gdpr without consent to us"
        for us_privacy in (regs.get("us_privacy") or ext.get("us_privacy"), regs.get("us_privacy")):
            if isinstance(us_privacy, str) and us_privacy[2:3] in ("Y", "y"):
                yield f"us_privacy {us_privacy}"

    def _whole(self, request: Json) -> Iterator[str]:
        """What forbids every bid."""
        dsa = ((request.get("regs") or {}).get("ext") or {}).get("dsa")
        if isinstance(dsa, dict) and dsa.get("dsarequired") in (2, 3):
            yield "a bid that does not say who is behind it, where that is required"
        chain = (request.get("source") or {}).get("schain")
        if chain is not None and chain["complete"] != 1 and not self._takes_incomplete_chains:
            yield "bought through an incomplete supply chain"

    def _together(self, imp: Json, bids: list[Json]) -> Iterator[str]:
        """What the bids of one impression must be together (§7.6)."""
        offer = next((imp[kind] for kind in ("video", "audio") if kind in imp), {})
        pod_s, most = offer.get("poddur", 0), offer.get("maxseq", 0)
        if not (pod_s or most > 1):
            deals = sum("dealid" in bid for bid in bids) if self._exchange.deals_beside_open else 0
            if len(bids) - deals > self._exchange.bids_per_imp:
                yield f"{len(bids)} bids, the exchange takes {self._exchange.bids_per_imp}"
        elif len(bids) > 1:
            domains = [domain for bid in bids for domain in set(bid["adomain"])]
            if len(domains) != len(set(domains)):
                yield f"an advertiser twice in a pod: {sorted(domains)}"
            if pod_s and sum(bid.get("dur", 0) for bid in bids) > pod_s:
                yield f"{[bid.get('dur') for bid in bids]} s in a pod of {pod_s} s"
            if most and len(bids) > most:
                yield f"{len(bids)} ads in a pod of {most}"

    def _blocks(self, request: Json, outcome: Outcome) -> Iterator[str]:
        """A road-block is alone, on every impression, and says that they go together."""
        owners = {self._owners[bid["crid"]]["id"] for bid in outcome.bids if bid["crid"] in self._owners}
        blocks = {owner for owner in owners if self._campaigns[owner].get("roadblock")}
        if blocks:
            if request.get("allimps") != 1:
                yield f"road-blocks {blocks} where not all impressions are offered"
            if sorted(bid["impid"] for bid in outcome.bids) != sorted(imp["id"] for imp in request["imp"]):
                yield f"road-blocks {blocks} not on every impression once"
            if len(owners) > 1:
                yield f"road-blocks {blocks} not alone"
        grouped = any(seat.get("group") == 1 for seat in outcome.response["seatbid"])
        if grouped != (bool(blocks) and len(outcome.bids) > 1):
            yield f"group {int(grouped)} for road-blocks {blocks}"

    def _is_labelled(self, bid: Json, taxonomy: int) -> bool:
        family = next((each for each in TAXONOMIES if taxonomy in each), {taxonomy})
        labels = self._campaigns[bid["cid"]].get("more_categories", ())
        return bool(family & {bid.get("cattax", 1), *(more["taxonomy"] for more in labels)})

    def _bid(self, request: Json, bid: Json, languages: list[list[str]]) -> Iterator[str]:
        """What the judge cannot know without the catalog, or leaves to the exchange's taste."""
        imp = next((imp for imp in request["imp"] if imp["id"] == bid["impid"]), None)
        creative = self._creatives.get(bid["crid"])
        if imp is None or creative is None:
            yield f"creative {bid['crid']!r} or impression {bid['impid']!r} does not exist"
            return
        blocked = {_spelt(text) for text in _parts(request.get("badv"))} - {""}
        if names := [
            name for name in bid.get("adomain", ()) if any(f".{name}".endswith(f".{each}") for each in blocked)
        ]:
            yield f"advertiser {names} is blocked"
        if both := set(_parts(request.get("bcat"))) & set(bid.get("cat", ())):
            yield f"categories {both} are blocked"
        if (request.get("regs") or {}).get("coppa") and not self._campaigns[bid["cid"]].get("suitable_for_children"):
            yield "not suitable for children"
        if (imp.get("qty") or {"multiplier": 1})["multiplier"] <= 0:
            yield "for an impression that sells nothing"
        if sum(each["id"] == imp["id"] for each in request["imp"]) > 1:
            yield "for an impression that shares its id"
        if round(bid["price"] * 1e6) != bid["price"] * 1e6 and abs(round(bid["price"], 6) - bid["price"]) > 1e-12:
            yield f"price {bid['price']!r} is finer than a micro-unit"
        kind = creative["format"]
        offer = imp.get(kind)
        if offer is None:
            yield f"a {kind} creative for an impression that offers none"
            return
        if set(bid.get("apis", [bid["api"]] if "api" in bid else ())) - set(offer.get("api", ())):
            yield f"needs API frameworks {bid.get('apis')}, the slot has {offer.get('api')}"
        for listed in languages:
            if not any(_covers(each, creative.get("language", "")) for each in listed):
                yield f"language {creative.get('language')!r} is not among {listed}"
        if (request.get("bcat") or request.get("acat")) and not self._is_labelled(bid, request.get("cattax", 1)):
            yield f"no category of taxonomy {request.get('cattax', 1)}, in which categories are listed"
        if kind == "banner" and _code(creative, "type", 2) in offer.get("btype", ()):
            yield f"banner type {creative.get('type', 2)} is blocked"
        if kind == "banner" and offer.get("mimes") and creative.get("mime", "text/html") not in offer["mimes"]:
            yield f"{creative.get('mime', 'text/html')} is not among {offer['mimes']}"
        if kind == "banner" and "wratio" in bid and not _is_flexible(offer, bid):
            yield f"ratio {bid['wratio']}:{bid.get('hratio')} of {bid.get('w')}x{bid.get('h')} was not asked for"
        if kind in ("video", "audio"):
            yield from _played(creative, offer, bid)
        if "skipoffset" in bid.get("adm", "") and not {"attr", 16} & {*bid.get("attr", ()), *self._exchange.omitted}:
            yield "skippable, which its attributes do not say"
        offered = (imp.get("pmp") or {}).get("deals", ())
        if sum(deal["id"] == bid.get("dealid") for deal in offered) > 1:
            yield "for a deal that shares its id"
        deal = next((deal for deal in offered if deal["id"] == bid.get("dealid")), {})
        agreed = deal.get("bidfloor", 0.0) if deal.get("at") == 3 else 0.0
        same_money = deal.get("bidfloorcur", "USD") == only_currency(request)
        if agreed and same_money and abs(bid["price"] - agreed) > 1e-6:
            yield f"price {bid['price']} where {agreed} was agreed"


def _is_flexible(offer: Json, bid: Json) -> bool:
    """§3.2.10: the ratio asked for, kept exactly, and not narrower than asked."""
    return any(
        (size.get("wratio"), size.get("hratio")) == (bid["wratio"], bid["hratio"])
        and bid["w"] * bid["hratio"] == bid["h"] * bid["wratio"]
        and bid["w"] >= size.get("wmin", 0)
        for size in offer.get("format", ())
    )


def _played(creative: Json, offer: Json, bid: Json) -> Iterator[str]:
    files = [
        file
        for file in creative["media"]
        if file["mime"] in offer["mimes"]
        and (not offer.get("delivery") or _code(file, "delivery", 2) in offer["delivery"])
        and offer.get("minbitrate", 0) <= file["bitrate_kbps"] <= (offer.get("maxbitrate") or 1 << 62)  # 0: not said
    ]
    if not files:
        yield "no file of a type, delivery and bit rate that the player takes"
    duration_s = creative["duration_s"]
    if offer.get("rqddurs") and duration_s not in offer["rqddurs"]:
        yield f"{duration_s} s, only {offer['rqddurs']} are taken"
    extended = offer.get("maxextended", 0)
    longest = duration_s if extended == -1 else (offer.get("maxduration") or duration_s) + max(0, extended)
    if not offer.get("minduration", 0) <= duration_s <= longest:
        yield f"{duration_s} s is not within {offer.get('minduration')} to {offer.get('maxduration')}"
    if "linearity" in offer and _code(creative, "linearity", 1) != offer["linearity"]:
        yield f"linearity {creative.get('linearity', 1)}, asked for {offer['linearity']}"


def _parts(listed: list[str] | None) -> list[str]:
    """The entries of a list, also where the only one holds them all."""
    entries = listed or []
    return [part for text in entries for part in (re.split(r"[,;|\s]+", text) if len(entries) == 1 else [text])]


def _spelt(domain: str) -> str:
    """Without scheme, "www.", path and last dot."""
    found = re.fullmatch(r"\s*(?:[a-z]+://)?(?:www\.)?([^/?#:\s]*?)\.?(?:[/?#:].*)?\s*", domain.lower(), re.DOTALL)
    return found[1] if found else ""


def _covers(listed: str, tag: str) -> bool:
    """RFC 4647, basic filtering: "en" covers "en-GB", not the other way round."""
    listed, tag = listed.strip().lower().replace("_", "-"), tag.lower()
    return bool(tag) and (listed == "*" or tag == listed or tag.startswith(f"{listed}-"))


def _code(entry: Json, name: str, default: int) -> int:
    value = entry.get(name, default)
    return CODES.get(value, value)


def only_currency(request: Json) -> str:
    """The one currency that a request leaves, or "" where there is a choice."""
    allowed = request.get("cur") or ["USD"]
    return allowed[0] if len(allowed) == 1 else ""

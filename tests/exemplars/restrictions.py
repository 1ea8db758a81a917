"""Restrictions that a request may make, each with values that campaigns of the catalog would break."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

EASILY_FORBIDDEN: tuple[Json, ...] = (
    {
        "like": "banner",
        "id": "c-shaky",
        "advertiser": {"id": "shaky", "domains": ["shaky.example"]},
        "pays": 2.6,
        "creative": {"html": '<img src="http://cdn.example/a.png">'},
    },
    {
        "like": "banner",
        "id": "c-marked",
        "advertiser": {"id": "marked", "domains": ["marked.example"]},
        "pays": 2.7,
        "creative": {"attributes": [10]},
    },
    {
        "like": "video",
        "id": "c-skippable",
        "advertiser": {"id": "skippable", "domains": ["skippable.example"]},
        "pays": 12.1,
        "creative": {"skippable": True, "attributes": [16]},
    },
)
"""Best payers that break restrictions which the other campaigns keep to."""
NODES = [{"asi": "ssp.example", "sid": "1", "hp": 1}]
ASSETS: tuple[Json, ...] = (
    {"title": {"len": 3}},
    {"img": {"type": 3, "wmin": 5000, "hmin": 1}},
    {"data": {"type": 2, "len": 4}},
    {"video": {"mimes": ["video/mp4"], "minduration": 1, "maxduration": 30, "protocols": [2]}},
)
TERMS: tuple[Json, ...] = (
    {},
    {"wseat": ["another"]},
    {"wadomain": ["another.example"]},
    {"bidfloor": 2, "at": 3},
    {"bidfloor": 1, "bidfloorcur": "EUR", "guar": 1},
    {"bidfloor": 1e6},
    {"mincpmpersec": 0.5},
    {"durfloors": [{"mindur": 20, "bidfloor": 4}]},
)


def restrictions_of(campaigns: list[Json]) -> list[tuple[str, list[Any]]]:
    """Places in a request, such as `imp.banner.battr`, and what to put there."""
    categories = [[category] for campaign in campaigns for category in campaign.get("categories", ())]
    parents = [[category[0].split("-")[0]] for category in categories]
    domains = [[domain] for campaign in campaigns for domain in campaign["advertiser"]["domains"]]
    seats = [[campaign["seat"]] for campaign in campaigns]
    bundles = [[campaign["bundle"]] for campaign in campaigns if campaign.get("bundle")]
    deals = [deal for campaign in campaigns for deal in campaign.get("targeting", {}).get("deals", ())]
    creatives = [creative for campaign in campaigns for creative in campaign["creatives"]]
    attributes = [[number] for creative in creatives for number in creative.get("attributes", ())]
    offers = [f"imp.{kind}" for kind in ("banner", "video", "audio", "native")]
    restrictions: list[tuple[str, list[Any]]] = [
        ("bcat", categories + parents),
        ("acat", categories + parents),
        ("cattax", [1, 2, 7]),
        ("badv", domains + [[f"EU.{domain[0]}"] for domain in domains]),
        ("badv", [f"other.example, {domain[0]}" for domain in domains]),
        ("badv", [[f"https://WWW.{domain[0]}./\n"] for domain in domains]),
        ("bcat", [f"IAB99,{category[0]}" for category in categories]),
        ("bapp", bundles or [["com.example"]]),
        ("wseat", seats),
        ("bseat", seats),
        ("cur", [["EUR"], ["JPY", "EUR"], ["XTS"], ["USD"]]),
        ("wlang", [["en"], ["de"], ["xx"]]),
        ("wlangb", [["en-GB"], ["de"], ["*"]]),
        ("source", [{"schain": {"ver": "1.0", "complete": 0, "nodes": NODES}}]),
        ("regs", [{"coppa": 1}, {"gdpr": 1}, {"us_privacy": "1YYN"}, {"gpp_sid": [7]}]),
        ("regs", [{"ext": each} for each in ({"gdpr": 1}, {"us_privacy": "1YYN"}, {"dsa": {"dsarequired": 3}})]),
        ("device.lmt", [1, "1", True]),
        ("device.dnt", [1, "1", True]),
        ("imp.id", ["1"]),
        ("imp.pmp", [{"deals": [{"id": deal, "bidfloor": 1}, {"id": deal}]} for deal in deals]),
        ("imp.qty", [{"multiplier": 0}, {"multiplier": -1.5}, {"multiplier": 14.2}]),
        ("imp.pmp", [{"private_auction": 1, "deals": [{"id": deal, **terms}]} for deal in deals for terms in TERMS]),
        ("imp.bidfloor", [0.5, 2.5, 2.500001, 12, 60, 1e308]),
        ("imp.bidfloorcur", ["EUR", "JPY", "XTS"]),
        ("imp.secure", [1]),
        ("imp.pmp", [{"private_auction": 1}, {"private_auction": 1, "deals": [{"id": "d", "bidfloor": 1}]}]),
        ("imp.banner.btype", [[1, 2], [2], [3, 4]]),
        ("imp.banner.mimes", [["image/png"], ["text/html"]]),
    ]
    restrictions += [(f"{offer}.battr", attributes) for offer in offers]
    restrictions += [(f"{offer}.api", [[], [5], [7], [3, 5, 6, 7]]) for offer in offers]
    for offer in ("imp.video", "imp.audio"):
        restrictions += [
            (f"{offer}.minduration", [0, 15, 16, 31]),
            (f"{offer}.maxduration", [5, 14, 15, 30]),
            (f"{offer}.rqddurs", [[15], [30], [7]]),
            (f"{offer}.mincpmpersec", [0.01, 0.8, 5]),
            (f"{offer}.durfloors", [[{"mindur": 1, "maxdur": 20, "bidfloor": 3}, {"mindur": 21, "bidfloor": 9}]]),
            (f"{offer}.protocols", [[1], [2], [3, 7], [9]]),
            (f"{offer}.mimes", [["video/webm"], ["video/mp4"], ["audio/mpeg"]]),
            (f"{offer}.minbitrate", [1000, 2500, 100_000]),
            (f"{offer}.maxbitrate", [100, 1000, 2500]),
            (f"{offer}.poddur", [10, 30, 60]),
            (f"{offer}.maxseq", [1, 2, 4]),
            (f"{offer}.delivery", [[1], [2], [3]]),
        ]
    restrictions += [("imp.video.linearity", [1, 2]), ("imp.video.skip", [0, 1])]
    restrictions.append(("imp.native.request.assets", [[{"id": 1, "required": 1, **asset}] for asset in ASSETS]))
    return restrictions

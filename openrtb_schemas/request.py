"""The bid request, where it comes from and the law it is under.

The rule: who may bid, for whom, in which currency and within what time is a restriction, as is all of ``regs``.
"""

from typing import Annotated, Required

from pydantic import FailFast, Field

from openrtb_schemas.audience import Device, User
from openrtb_schemas.context import DOOH, App, Site
from openrtb_schemas.impression import Imp
from openrtb_schemas.reading import Array, Ext, Hint, Int, Part, Restriction, Restrictions, Tolerant


class SupplyChainNode(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.26: one seller in the supply chain."""

    asi: Required[str]
    sid: Required[str]
    rid: Hint[str]
    name: Hint[str]
    domain: Hint[str]
    hp: Hint[Int]
    ext: Ext


class SupplyChain(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.25: who sold the inventory on, from the publisher down. Whole or not at all."""

    complete: Required[Int]
    nodes: Required[Array[SupplyChainNode]]
    ver: Required[str]
    ext: Ext


class Source(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.2: where the inventory comes from and who decides the sale."""

    fd: Hint[Int]
    tid: Hint[str]
    pchain: Hint[str]
    schain: Restriction[SupplyChain]
    ext: Ext


class Regs(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.3: the regulations in force."""

    coppa: Restriction[Int]
    gdpr: Restriction[Int]
    us_privacy: Restriction[str]
    gpp: Restriction[str]
    gpp_sid: Restrictions[Int]  # GppSection
    ext: Ext


class BidRequest(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.1: an auction, and what is offered in it. ``tmax`` in milliseconds."""

    id: Required[str]
    imp: Required[Annotated[list[Imp], Field(min_length=1), FailFast()]]
    site: Hint[Site]
    app: Hint[App]
    dooh: Hint[DOOH]
    device: Part[Device]
    user: Part[User]
    test: Restriction[Int]
    at: Restriction[Int]  # AuctionType
    tmax: Restriction[Int]
    wseat: Restrictions[str]
    bseat: Restrictions[str]
    allimps: Hint[Int]
    cur: Restrictions[str]
    wlang: Restrictions[str]
    wlangb: Restrictions[str]
    acat: Restrictions[str]
    bcat: Restrictions[str]
    cattax: Restriction[Int]  # CategoryTaxonomy
    badv: Restrictions[str]
    bapp: Restrictions[str]
    source: Part[Source]
    regs: Part[Regs]
    ext: Ext

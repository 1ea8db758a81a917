"""Where the ad is shown: a site, an app or an out-of-home screen, its publisher, its content.

The rule: all of this is known or not; nothing here restricts a bid, so everything is a hint.
"""

from openrtb_schemas.audience import Data
from openrtb_schemas.reading import Ext, Hint, Hints, Int, Tolerant


class Producer(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.17: who produced the content, where that is not the publisher."""

    id: Hint[str]
    name: Hint[str]
    cattax: Hint[Int]  # CategoryTaxonomy
    cat: Hints[str]
    domain: Hint[str]
    ext: Ext


class Network(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.23: the network that the content is on, such as a television network."""

    id: Hint[str]
    name: Hint[str]
    domain: Hint[str]
    ext: Ext


class Channel(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.24: the channel that the content is on."""

    id: Hint[str]
    name: Hint[str]
    domain: Hint[str]
    ext: Ext


class Publisher(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.15: the publisher of the site, app or screen."""

    id: Hint[str]
    name: Hint[str]
    cattax: Hint[Int]  # CategoryTaxonomy
    cat: Hints[str]
    domain: Hint[str]
    ext: Ext


class Content(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.16: what the ad is shown with. ``len`` in seconds."""

    id: Hint[str]
    episode: Hint[Int]
    title: Hint[str]
    series: Hint[str]
    season: Hint[str]
    artist: Hint[str]
    genre: Hint[str]
    gtax: Hint[Int]  # CategoryTaxonomy
    genres: Hints[str]
    album: Hint[str]
    isrc: Hint[str]
    producer: Hint[Producer]
    url: Hint[str]
    cattax: Hint[Int]  # CategoryTaxonomy
    cat: Hints[str]
    prodq: Hint[Int]  # ProductionQuality
    context: Hint[Int]  # ContentContext
    contentrating: Hint[str]
    userrating: Hint[str]
    qagmediarating: Hint[Int]  # MediaRating
    keywords: Hint[str]
    kwarray: Hints[str]
    livestream: Hint[Int]  # LivestreamMode
    sourcerelationship: Hint[Int]
    len: Hint[Int]
    language: Hint[str]
    langb: Hint[str]
    embeddable: Hint[Int]
    data: Hints[Data]
    network: Hint[Network]
    channel: Hint[Channel]
    realtime: Hint[Int]  # RealtimeMode
    firstbroadcast: Hint[Int]
    ext: Ext
    videoquality: Hint[Int]  # 2.5


class Site(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.13: the website."""

    id: Hint[str]
    name: Hint[str]
    domain: Hint[str]
    cattax: Hint[Int]  # CategoryTaxonomy
    cat: Hints[str]
    sectioncat: Hints[str]
    pagecat: Hints[str]
    page: Hint[str]
    ref: Hint[str]
    search: Hint[str]
    mobile: Hint[Int]
    privacypolicy: Hint[Int]
    publisher: Hint[Publisher]
    content: Hint[Content]
    keywords: Hint[str]
    kwarray: Hints[str]
    inventorypartnerdomain: Hint[str]
    ext: Ext


class App(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.14: the application."""

    id: Hint[str]
    name: Hint[str]
    bundle: Hint[str]
    domain: Hint[str]
    storeurl: Hint[str]
    cattax: Hint[Int]  # CategoryTaxonomy
    cat: Hints[str]
    sectioncat: Hints[str]
    pagecat: Hints[str]
    ver: Hint[str]
    privacypolicy: Hint[Int]
    paid: Hint[Int]
    publisher: Hint[Publisher]
    content: Hint[Content]
    keywords: Hint[str]
    kwarray: Hints[str]
    inventorypartnerdomain: Hint[str]
    ext: Ext


class DOOH(Tolerant, total=False):
    """OpenRTB 2.6 §3.2.32: the digital out-of-home screen."""

    id: Hint[str]
    name: Hint[str]
    venuetype: Hints[str]
    venuetypetax: Hint[Int]  # DoohVenueTaxonomy
    publisher: Hint[Publisher]
    domain: Hint[str]
    keywords: Hint[str]
    content: Hint[Content]
    ext: Ext

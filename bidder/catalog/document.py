"""The catalog as people write it: campaigns with their goal, targeting and creatives, in readable JSON.

The rule kept here: every mistake that one campaign can hold is found here, with an unknown field counting as one. What
takes two campaigns (an id used twice) is found by the reader. Lists are alternatives; conditions hold together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from bidder.catalog import fields as f
from bidder.report import shown
from bidder.stages.categories import unsuitable_for_children

_Size = Annotated[int, Field(gt=0, le=20_000)]
_Frequency = Annotated[int, Field(ge=0, le=1_000_000)]
_EITHER = (("first_in_pod", "last_in_pod"), ("first_pod", "last_pod"))
_Duration = Annotated[int, Field(gt=0, le=7_200)]


class Part(BaseModel):
    """A part of the document: no unknown fields, and no text where a number is meant."""

    # Frozen and made of tuples, so hashable: a default that is not, pydantic copies, and reads four times as slowly.
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


# -- where a campaign may bid ----------------------------------------------------------------------------------------


def _choice(value: Any) -> Any:
    """A plain list is short for {"include": […]}. Tuples, as strict reading wants of Python values."""
    if isinstance(value, list):
        return {"include": tuple(value)}
    if isinstance(value, dict):
        return {key: tuple(entry) if isinstance(entry, list) else entry for key, entry in value.items()}
    return value


class Places(Part):
    include: tuple[f.Place, ...] = ()
    exclude: tuple[f.Place, ...] = ()


class Ids(Part):
    include: tuple[f.Text, ...] = ()
    exclude: tuple[f.Text, ...] = ()


class Countries(Part):
    include: tuple[f.Country, ...] = ()
    exclude: tuple[f.Country, ...] = ()


_PlaceChoice = Annotated[Places, BeforeValidator(_choice)]
_IdChoice = Annotated[Ids, BeforeValidator(_choice)]
_CountryChoice = Annotated[Countries, BeforeValidator(_choice)]


class Circle(Part):
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)
    km: float = Field(gt=0, le=20_000)


class Geo(Part):
    countries: _CountryChoice = Countries()
    regions: tuple[f.Region, ...] = ()
    metros: tuple[f.LowerText, ...] = ()
    cities: tuple[f.LowerText, ...] = ()
    zips: tuple[f.LowerText, ...] = ()
    circles: tuple[Circle, ...] = Field((), max_length=100)


class Device(Part):
    types: tuple[f.DeviceType, ...] = ()
    os: tuple[f.LowerText, ...] = ()
    os_min_versions: dict[f.LowerText, f.OsVersion] | None = None
    connections: tuple[f.Connection, ...] = ()
    carriers: tuple[f.LowerText, ...] = ()
    languages: tuple[f.Language, ...] = ()


class Inventory(Part):
    exchanges: tuple[f.LowerText, ...] = ()
    channels: tuple[Literal["site", "app", "dooh"], ...] = ()
    sites: _PlaceChoice = Places()
    apps: _IdChoice = Ids()
    bundles: _IdChoice = Ids()
    publishers: _IdChoice = Ids()
    categories: _IdChoice = Ids()
    positions: tuple[f.Position, ...] = ()
    venues: tuple[f.LowerText, ...] = ()


class Audience(Part):
    segments: _IdChoice = Ids()


class Attributes(Part):
    """No slot is at once what two of `_EITHER` say."""

    required: tuple[f.SlotAttribute, ...] = ()
    blocked: tuple[f.SlotAttribute, ...] = ()

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        for one, other in _EITHER if self.required else ():
            if one in self.required and other in self.required:
                raise ValueError(f"{one} and {other} are both required, but no slot is said to be both")
        return self


class Daypart(Part):
    """Hours in the user's own time, `from` inclusive, `to` exclusive."""

    days: list[f.Day] = Field([0, 1, 2, 3, 4, 5, 6], min_length=1)
    start: int = Field(0, ge=0, le=24, alias="from")
    to: int = Field(24, ge=0, le=24)

    @model_validator(mode="after")
    def _runs_forward(self) -> Self:
        if self.start >= self.to:
            raise ValueError(
                f"to {self.to} is not after from {self.start}; for a span over midnight write two dayparts"
            )
        return self


class Targeting(Part):
    geo: Geo = Geo()
    device: Device = Device()
    inventory: Inventory = Inventory()
    audience: Audience = Audience()
    dayparts: tuple[Daypart, ...] = Field((), max_length=168)
    deals: tuple[f.Text, ...] = ()
    attributes: Attributes = Attributes()


# -- creatives -------------------------------------------------------------------------------------------------------


class CreativePart(Part):
    """What creatives of all formats have."""

    id: f.Id
    landing_url: f.Url
    impression_trackers: tuple[f.Url, ...] = Field((), max_length=20)
    preview_url: f.Url | None = None
    language: f.LanguageTag = ""
    secure: bool | None = None  # not said: derived from the URLs
    apis: tuple[f.Api, ...] = ()
    attributes: tuple[f.CreativeAttribute, ...] = ()

    @model_validator(mode="after")
    def _keeps_its_word(self) -> Self:
        insecure = next((url for url in self.assets() if url.startswith("http://")), None)
        if self.secure and insecure:
            raise ValueError(f"secure is true, but {shown(insecure)} is not https")
        return self

    def assets(self) -> Iterator[str]:
        """The URLs that the ad itself loads."""
        yield from self.impression_trackers

    @property
    def is_secure(self) -> bool:
        if self.secure is not None:
            return self.secure
        return all(
            url.startswith("https://") for url in (self.landing_url, self.preview_url or "https://", *self.assets())
        )


class Banner(CreativePart):
    """`html` may hold ${CLICK_URL}, which becomes the click tracker's URL."""

    format: Literal["banner"]
    w: _Size
    h: _Size
    html: str = Field(min_length=1, max_length=100_000)
    mime: f.Mime = "text/html"
    type: f.BannerType = 2

    def assets(self) -> Iterator[str]:
        yield from super().assets()
        if "http://" in self.html:  # a link in the markup may be one or not: taken as one
            yield "http://…"


class AudioFile(Part):
    url: f.Url
    mime: f.AudioMime
    bitrate_kbps: int = Field(gt=0, le=1_000_000)
    delivery: f.Delivery = 2


class VideoFile(Part):
    url: f.Url
    mime: f.VideoMime
    w: _Size
    h: _Size
    bitrate_kbps: int = Field(gt=0, le=1_000_000)
    delivery: f.Delivery = 2


class Companion(Part):
    """An image that goes with the ad. Its landing page is the ad's where it has none of its own."""

    url: f.Url
    w: _Size
    h: _Size
    mime: f.Mime = "image/jpeg"
    landing_url: f.Url | None = None
    shown: Literal["any", "beside", "end_card"] = "any"


class _Played(CreativePart):
    duration_s: _Duration
    media: Sequence[AudioFile | VideoFile]
    protocols: list[f.Protocol] = Field(min_length=1)
    skippable: bool = False
    skip_after_s: int = Field(0, ge=0)
    companions: tuple[Companion, ...] = Field((), max_length=20)

    @model_validator(mode="after")
    def _skips_within(self) -> Self:
        if self.skip_after_s and not self.skippable:
            raise ValueError(f"skip_after_s is {self.skip_after_s}, but skippable is not true")
        if self.skip_after_s >= self.duration_s:
            raise ValueError(f"skip_after_s {self.skip_after_s} is not before the end at {self.duration_s} s")
        return self

    def assets(self) -> Iterator[str]:
        yield from super().assets()
        yield from (media.url for media in self.media)
        yield from (companion.url for companion in self.companions)


class Video(_Played):
    """The size is that of the first media file where it is not given."""

    format: Literal["video"]
    media: list[VideoFile] = Field(min_length=1, max_length=50)
    w: int = Field(0, ge=0, le=20_000)
    h: int = Field(0, ge=0, le=20_000)
    linearity: f.Linearity = 1


class Audio(_Played):
    format: Literal["audio"]
    media: list[AudioFile] = Field(min_length=1, max_length=50)


class Image(Part):
    type: f.ImageType
    url: f.Url
    w: _Size
    h: _Size
    mime: f.Mime = "image/jpeg"


class Native(CreativePart):
    """`cta` is short for the text "ctatext"; `privacy_url` is the page behind the buyer's privacy notice."""

    format: Literal["native"]
    title: str = Field(min_length=1, max_length=140)
    texts: f.NativeTexts = {}
    images: tuple[Image, ...] = Field((), max_length=20)
    cta: str = Field("", max_length=50)
    privacy_url: f.Url | None = None

    @model_validator(mode="after")
    def _calls_once(self) -> Self:
        if self.cta and 12 in self.texts:
            raise ValueError("cta and texts.ctatext are the same; give one of them")
        return self

    def assets(self) -> Iterator[str]:
        yield from super().assets()
        yield from (image.url for image in self.images)
        if self.privacy_url:
            yield self.privacy_url


Creative = Annotated[Banner | Video | Audio | Native, Field(discriminator="format")]


# -- who bids, for what ----------------------------------------------------------------------------------------------


class Advertiser(Part):
    id: f.Id
    domains: list[f.Host] = Field(min_length=1, max_length=20)


class Goal(Part):
    """`amount` is paid for 1,000 viewed impressions, for a click, or for an action."""

    kind: Literal["cpm", "cpc", "cpa"]
    amount: f.Micros


class Flight(Part):
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.start and self.end and self.end <= self.start:
            raise ValueError(f"end {_iso(self.end)} is not after start {_iso(self.start)}")
        return self


class Labels(Part):
    """The ad's categories in one taxonomy more (AdCOM's number)."""

    taxonomy: int = Field(ge=1, le=999)
    ids: tuple[f.Text, ...] = Field(min_length=1, max_length=20)


class Campaign(Part):
    """`prior` is the probability, 0 to 1, that an impression brings what the goal pays for. An exchange blocks in its
    own taxonomy, and an ad without a category in it does not pass: `more_categories` has the ad's in others. A
    `roadblock` is on all impressions of a request that offers all that there are, or on none."""

    id: f.Id
    advertiser: Advertiser
    seat: f.Id
    goal: Goal
    max_cpm: f.Micros
    currency: f.Currency = "USD"
    prior: float = Field(gt=0, le=1)
    categories: tuple[f.Text, ...] = Field((), max_length=20)
    category_taxonomy: int = Field(1, ge=1, le=999)
    more_categories: tuple[Labels, ...] = Field((), max_length=9)
    suitable_for_children: bool = False
    bundle: str = Field("", max_length=200)
    roadblock: bool = False
    flight: Flight = Flight()
    daily_frequency_cap: _Frequency = 0
    targeting: Targeting = Targeting()
    creatives: list[Creative] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _is_what_it_says(self) -> Self:
        labels = [
            (self.category_taxonomy, self.categories),
            *((more.taxonomy, more.ids) for more in self.more_categories),
        ]
        taxonomies = [taxonomy for taxonomy, _ in labels]
        if twice := next((taxonomy for taxonomy in taxonomies if taxonomies.count(taxonomy) > 1), None):
            raise ValueError(f"categories of taxonomy {twice} are given twice; write one list")
        if self.suitable_for_children and (reason := unsuitable_for_children(labels)):
            raise ValueError(f"suitable_for_children is true, but {reason}")
        return self


CAMPAIGN = TypeAdapter(Campaign)
FORMATS = ("banner", "video", "audio", "native")
_PARTS = (
    *(
        Campaign,
        Labels,
        Flight,
        Goal,
        Advertiser,
        Native,
        Image,
        Audio,
        Video,
        VideoFile,
        Banner,
        Targeting,
        Daypart,
        Attributes,
    ),
    *(Audience, Inventory, Device, Geo, Circle, Countries),
)
FIELD_NAMES = sorted({field.alias or name for part in _PARTS for name, field in part.model_fields.items()})


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")

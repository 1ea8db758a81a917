"""The world that the traffic comes from: countries, devices and 5,000 people.

The rule: data and seeded draws only. Everything is derived from `random.Random` and integer seeds, never from
`hash()` or the clock, so that a seed means the same traffic on every platform. All names are reserved ones (RFC 2606,
RFC 5737).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from loadtest.consent import draw
from loadtest.zipf import Zipf

USERS = 5_000
SEGMENTS = ("auto-intenders", "travel", "parents", "gamers", "finance", "seg-owns-veloce")
PHONE, TABLET, DESKTOP, TV = 4, 5, 2, 3  # device types of AdCOM


# -- countries -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    region: str  # ISO 3166-2, without the country
    city: str
    zip: str
    latitude: float
    longitude: float
    utc_offset_min: int
    metro: str = ""


@dataclass(frozen=True, slots=True)
class Country:
    code: str  # ISO 3166-1 alpha-3
    weight: int
    language: str
    currency: str
    gdpr: bool
    carriers: tuple[tuple[str, str], ...]  # name, MCC-MNC
    places: tuple[Place, ...]


COUNTRIES = (
    Country(
        "USA", 46, "en", "USD", False, (("Verizon", "310-004"), ("T-Mobile", "310-260"), ("AT&T", "310-410")),
        (
            Place("CA", "Los Angeles", "90012", 34.05, -118.24, -420, "803"),
            Place("CA", "San Francisco", "94103", 37.77, -122.41, -420, "807"),
            Place("NY", "New York", "10001", 40.75, -73.99, -240, "501"),
            Place("TX", "Austin", "78701", 30.27, -97.74, -300, "635"),
            Place("IL", "Chicago", "60601", 41.88, -87.62, -300, "602"),
            Place("WA", "Seattle", "98101", 47.61, -122.33, -420, "819"),
            Place("FL", "Miami", "33101", 25.77, -80.19, -240, "528"),
            Place("CO", "Denver", "80202", 39.75, -105.0, -360, "751"),
            Place("UT", "Salt Lake City", "84101", 40.76, -111.9, -360, "770"),
        ),
    ),
    Country(
        "DEU", 10, "de", "EUR", True, (("Telekom", "262-01"), ("Vodafone", "262-02"), ("O2", "262-03")),
        (
            Place("BE", "Berlin", "10115", 52.53, 13.38, 120),
            Place("BY", "München", "80331", 48.14, 11.57, 120),
            Place("BW", "Stuttgart", "70173", 48.78, 9.18, 120),
            Place("HH", "Hamburg", "20095", 53.55, 10.0, 120),
        ),
    ),
    Country(
        "GBR", 10, "en", "GBP", True, (("EE", "234-30"), ("Vodafone", "234-15")),
        (
            Place("ENG", "London", "SW1A 1AA", 51.5, -0.14, 60),
            Place("ENG", "Leeds", "LS1 1UR", 53.8, -1.55, 60),
            Place("ENG", "Manchester", "M1 1AE", 53.48, -2.24, 60),
            Place("SCT", "Edinburgh", "EH1 1YZ", 55.95, -3.19, 60),
        ),
    ),
    Country(
        "FRA", 8, "fr", "EUR", True, (("Orange", "208-01"), ("SFR", "208-10")),
        (
            Place("IDF", "Paris", "75001", 48.86, 2.34, 120),
            Place("ARA", "Lyon", "69001", 45.77, 4.83, 120),
        ),
    ),
    Country(
        "JPN", 7, "ja", "JPY", False, (("NTT DOCOMO", "440-10"), ("SoftBank", "440-20")),
        (
            Place("13", "Tokyo", "100-0001", 35.68, 139.75, 540),
            Place("27", "Osaka", "530-0001", 34.7, 135.5, 540),
        ),
    ),
    Country(
        "BRA", 6, "pt", "BRL", False, (("Vivo", "724-06"), ("Claro", "724-05")),
        (
            Place("SP", "São Paulo", "01001-000", -23.55, -46.63, -180),
            Place("RJ", "Rio de Janeiro", "20010-000", -22.91, -43.18, -180),
        ),
    ),
    Country(
        "IND", 5, "en", "INR", False, (("Jio", "405-857"), ("Airtel", "404-10")),
        (
            Place("MH", "Mumbai", "400001", 18.94, 72.84, 330),
            Place("KA", "Bengaluru", "560001", 12.98, 77.61, 330),
        ),
    ),
    Country(
        "CAN", 4, "en", "CAD", False, (("Rogers", "302-720"), ("Bell", "302-610")),
        (
            Place("ON", "Toronto", "M5H 2N2", 43.65, -79.38, -240),
            Place("QC", "Montréal", "H2Y 1C6", 45.5, -73.56, -240),
        ),
    ),
    Country(
        "AUS", 2, "en", "AUD", False, (("Telstra", "505-01"),), (Place("NSW", "Sydney", "2000", -33.87, 151.21, 600),)
    ),
    Country(
        "MEX", 2, "es", "MXN", False, (("Telcel", "334-020"),),
        (Place("CMX", "Ciudad de México", "06000", 19.43, -99.13, -360),),
    ),
)  # fmt: skip
_COUNTRY_WEIGHTS = [country.weight for country in COUNTRIES]


# -- devices ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Device:
    """A model. In `agent`, its user agent, `{v}` and `{u}` stand for the OS version with dots and with underscores."""

    weight: int
    type: int  # AdCOM device type
    make: str
    model: str
    os: str
    versions: tuple[str, ...]
    width: int
    height: int
    ppi: int
    ratio: float
    agent: str
    browser: str = ""  # brand of `device.sua`, where the browser sends client hints


_KHTML = "(KHTML, like Gecko)"
_IOS = f"AppleWebKit/605.1.15 {_KHTML} Version/17.5 Mobile/15E148 Safari/604.1"
_SAFARI = f"AppleWebKit/605.1.15 {_KHTML} Version/17.5 Safari/605.1.15"
_CHROME = f"AppleWebKit/537.36 {_KHTML} Chrome/126.0.0.0"
DEVICES = (
    Device(22, PHONE, "Apple", "iPhone", "iOS", ("17.5", "17.4", "16.7", "18.1"), 390, 844, 460, 3.0,
           f"Mozilla/5.0 (iPhone; CPU iPhone OS {{u}} like Mac OS X) {_IOS}"),
    Device(18, PHONE, "Samsung", "SM-S918B", "Android", ("14", "13", "12"), 412, 915, 500, 2.6,
           f"Mozilla/5.0 (Linux; Android {{v}}; SM-S918B) {_CHROME} Mobile Safari/537.36", "Google Chrome"),
    Device(9, PHONE, "Google", "Pixel 8", "Android", ("14", "15"), 412, 892, 428, 2.6,
           f"Mozilla/5.0 (Linux; Android {{v}}; Pixel 8) {_CHROME} Mobile Safari/537.36", "Google Chrome"),
    Device(7, PHONE, "Xiaomi", "Redmi Note 12", "Android", ("13", "12", "11"), 393, 873, 395, 2.75,
           f"Mozilla/5.0 (Linux; Android {{v}}; Redmi Note 12) {_CHROME} Mobile Safari/537.36", "Google Chrome"),
    Device(5, TABLET, "Apple", "iPad", "iOS", ("17.5", "16.7"), 820, 1180, 264, 2.0,
           f"Mozilla/5.0 (iPad; CPU OS {{u}} like Mac OS X) {_IOS}"),
    Device(18, DESKTOP, "Microsoft", "PC", "Windows", ("10", "11"), 1920, 1080, 96, 1.0,
           f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36", "Google Chrome"),
    Device(9, DESKTOP, "Apple", "Macintosh", "macOS", ("14.5", "13.6"), 1728, 1117, 254, 2.0,
           f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_SAFARI}"),
    Device(7, TV, "Roku", "Ultra", "Roku OS", ("12.5", "13.0"), 1920, 1080, 0, 1.0, "Roku/DVP-{v} ({v}.0.4182)"),
    Device(5, TV, "Samsung", "QE55Q60C", "Tizen", ("7.0", "6.5"), 1920, 1080, 0, 1.0,
           f"Mozilla/5.0 (SMART-TV; Linux; Tizen {{v}}) AppleWebKit/537.36 {_KHTML} Version/{{v}} TV Safari/537.36"),
)  # fmt: skip
_DEVICE_WEIGHTS = [device.weight for device in DEVICES]


# -- people ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """One of `USERS` people: who, where, with what. The same for every seed, as the same people meet every exchange."""

    buyer_id: str
    country: Country
    place: Place
    device: Device
    version: str
    address: str  # last part of the IP address
    advertising_id: str
    third_party_id: str  # what vendors of shared ids know the person by
    segments: tuple[str, ...]
    year_of_birth: int
    gender: str
    limits_tracking: bool
    consents: bool  # where the GDPR asks
    consent: str  # the TC string that says so, "" where the GDPR does not ask


@lru_cache(maxsize=USERS)
def person(number: int) -> Person:
    """The person of a number in 0..USERS-1."""
    rng = Random(900_000_000 + number)
    country = rng.choices(COUNTRIES, _COUNTRY_WEIGHTS)[0]
    device = rng.choices(DEVICES, _DEVICE_WEIGHTS)[0]
    limits = rng.random() < 0.18
    consents = rng.random() < 0.8
    return Person(
        buyer_id=f"user-{number:06d}",
        country=country,
        place=rng.choice(country.places),
        device=device,
        version=rng.choice(device.versions),
        address=f"{rng.randrange(1, 255)}",
        advertising_id="00000000-0000-0000-0000-000000000000" if limits else random_uuid(rng),
        third_party_id=random_uuid(rng),
        segments=tuple(rng.sample(SEGMENTS, rng.choice((0, 0, 1, 1, 2, 3)))),
        year_of_birth=rng.randrange(1945, 2007),
        gender=rng.choice("MFO"),
        limits_tracking=limits,
        consents=consents,
        consent=draw(rng, consents) if country.gdpr else "",
    )


PEOPLE = Zipf(range(USERS), 10)


def random_uuid(rng: Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))

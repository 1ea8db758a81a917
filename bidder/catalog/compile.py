"""A document → a compiled catalog.

The rule kept here: the document is checked whole before anything is written of it, and one campaign at a time is an
object: 100,000 of them would take 1 GB.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import IO

import orjson

from bidder.catalog.image import write_image
from bidder.catalog.reader import read_campaigns, worth
from bidder.domain import Campaign, CreativeSpec, Rates
from bidder.domain.records import Codec, Shared
from bidder.stages.compiled import compiled, has_deals


def compile_document(document: bytes, rates: Rates | None, out: IO[bytes]) -> None:
    """Write the image of `document` (unpacked) to `out`. CatalogError: what is wrong with the document.

    Those with deals stand first, then the others, each best last. With `rates`, values are compared in one currency,
    and a campaign whose currency has no rate is worth nothing; without, numbers are compared as they stand; of equal
    ones the first by id is the best."""
    specs: Shared[CreativeSpec] = Shared()
    codec = Codec(Campaign, {CreativeSpec: specs})
    drafts: list[tuple[bool, int, str, bytes]] = []

    def add(campaign: Campaign) -> None:
        record = orjson.dumps(codec.write(campaign))
        # Copied: orjson gives out bytes with room for five times as many.
        drafts.append((has_deals(campaign), -worth(campaign, rates), campaign.id, bytes(memoryview(record))))

    version = read_campaigns(document, add)
    drafts.sort(reverse=True)
    records = [record for *_, record in drafts]
    about = orjson.dumps({"version": version})
    write_image(out, _parts(about, records, codec, specs))


def _parts(
    about: bytes, records: Sequence[bytes], codec: Codec[Campaign], specs: Shared[CreativeSpec]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    yield "about", [about]
    yield "specs", [orjson.dumps(list(map(Codec(CreativeSpec).write, specs.all)))]
    yield "ends", [array("Q", accumulate(map(len, records), initial=0)).tobytes()]
    yield "records", records
    for name, part in compiled((codec.read(orjson.loads(record)) for record in records), specs):
        yield name, [part]

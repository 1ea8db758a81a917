"""The floor that counts for one creative in one slot.

The rule kept here: deal, then video or audio, then slot (§7.11). A floor is compared in its own currency or converted
rounding up, never down.
"""

from __future__ import annotations

from bidder.domain import Campaign, CreativeSpec, Deal, Format, MediaOffer, Rates, Slot

Floor = tuple[int, str]
"""(micro-units CPM, currency)"""


def floor_of(slot: Slot, spec: CreativeSpec, deal: Deal | None) -> Floor | None:
    """The floor, or None where the slot's floors by duration do not take the creative's duration."""
    if deal is not None:
        return deal.floor_micros, deal.floor_currency
    media = slot.video if spec.format is Format.VIDEO else slot.audio if spec.format is Format.AUDIO else None
    if media is not None and (media.duration_floors or media.floor_per_second_micros is not None):
        micros = _by_duration(media, spec.duration_s)
        return None if micros is None else (micros, slot.floor_currency)
    return slot.floor_micros, slot.floor_currency


def _by_duration(media: MediaOffer, duration_s: int) -> int | None:
    """`durfloors` (§3.2.35) name ranges; `mincpmpersec` (§3.2.7) is a price a second."""
    if media.duration_floors:
        fitting = [
            micros
            for low, high, micros in media.duration_floors
            if low <= duration_s and (not high or duration_s <= high)
        ]
        return max(fitting) if fitting else None
    return (media.floor_per_second_micros or 0) * duration_s


def reachable(campaign: Campaign, floor: Floor, rates: Rates) -> bool:
    """Whether the campaign's maximum is at least the floor: if not, asking the model would be in vain."""
    micros, currency = floor
    if currency == campaign.currency:
        return campaign.max_cpm_micros >= micros
    if not (rates.knows(currency) and rates.knows(campaign.currency)):
        return False
    return campaign.max_cpm_micros >= rates.convert(micros, currency, campaign.currency)

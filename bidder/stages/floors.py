"""The floor that counts for one creative in one slot.

The rule kept here: deal, then video or audio, then slot (§7.11). Who gives several floors means the highest of them. A
floor is compared in its own currency or converted rounding up, never down.
"""

from __future__ import annotations

from math import ceil, inf

from bidder.domain import AUDIO, VIDEO, Campaign, CreativeSpec, Deal, MediaOffer, Rates, Slot

Floor = tuple[int, str]
"""(micro-units CPM, currency)"""


def floor_of(slot: Slot, spec: CreativeSpec, deal: Deal | None) -> Floor | None:
    """The floor, or None where floors by duration do not take the creative's duration (§3.2.35)."""
    if deal is not None and has_own_floor(deal, spec):
        micros = _deal_floor(deal, spec)
        return None if micros is None else (micros, deal.floor_currency)
    media = slot.video if spec.format is VIDEO else slot.audio if spec.format is AUDIO else None
    if media is not None and (media.duration_floors or media.floor_per_second_micros is not None):
        micros = _by_duration(media, spec.duration_s)
        return None if micros is None else (micros, slot.floor_currency)
    return slot.floor_micros, slot.floor_currency


def has_own_floor(deal: Deal, spec: CreativeSpec) -> bool:
    """Whether the deal itself says what the creative costs; floors by duration speak of video and audio only."""
    if deal.floor_micros is not None:
        return True
    return spec.duration_s > 0 and (bool(deal.duration_floors) or deal.floor_per_second_micros is not None)


def _deal_floor(deal: Deal, spec: CreativeSpec) -> int | None:
    whole = deal.floor_micros or 0
    if not spec.duration_s or (not deal.duration_floors and deal.floor_per_second_micros is None):
        return whole
    micros = _by_duration(deal, spec.duration_s)
    return None if micros is None else max(micros, whole)


def _by_duration(terms: MediaOffer | Deal, duration_s: int) -> int | None:
    """`durfloors` (§3.2.35) name ranges; `mincpmpersec` (§3.2.7) is a price a second."""
    lowest = ceil((terms.floor_per_second_micros or 0) * duration_s)
    if not terms.duration_floors:
        return lowest
    fitting = [
        micros for low, high, micros in terms.duration_floors if low <= duration_s and (not high or duration_s <= high)
    ]
    return max(*fitting, lowest) if fitting else None


def priced_by_duration(slot: Slot) -> bool:
    """Whether durations have floors of their own; else all that is bid in the slot without a deal has one."""
    video, audio = slot.video, slot.audio
    return (video is not None and (video.floor_per_second_micros is not None or bool(video.duration_floors))) or (
        audio is not None and (audio.floor_per_second_micros is not None or bool(audio.duration_floors))
    )


def lowest_maximum(floor: Floor, currency: str, rates: Rates) -> int | float:
    """The floor in the campaign's currency: `reachable` for many campaigns. Infinite where there is no rate."""
    micros, floor_currency = floor
    if currency == floor_currency or not micros:
        return micros
    return rates.convert_up(micros, floor_currency, currency) if rates.converts(floor_currency, currency) else inf


def reachable(campaign: Campaign, floor: Floor, rates: Rates) -> bool:
    """Whether the campaign's maximum is at least the floor: if not, asking the model would be in vain."""
    micros, currency = floor
    if currency == campaign.currency:
        return campaign.max_cpm_micros >= micros
    if not micros:
        return True
    if not rates.converts(currency, campaign.currency):
        return False
    return campaign.max_cpm_micros >= rates.convert_up(micros, currency, campaign.currency)

"""What a bid costs, beside what it costs the bidder that most would write first: `make bench`.

    catalog ─▶ sagemaker_local (canned, 3 ms) ─▶ bidder │ baseline ─▶ saturated, then at half of that ─▶ pairs ─▶ table

The rule: ratios, not absolute times. Both systems run on the same core, take turns, get the same requests and ask the
same endpoint; everything else is on another core. Each turn begins with a yardstick, `orjson.loads` of the same bodies
on that core, so that a noisy neighbour shows. What counts is the ratio within a pair of turns, and the median of pairs.
"""

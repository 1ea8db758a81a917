"""What runs in a process of the load generator.

The rule: it measures the bidder, not itself. Arrivals are computed beforehand and not slowed by answers; latency runs
from the moment that a request was due. Nothing here imports what it does not need while the clock runs.

    worker ─▶ sender ─▶ lane ══ HTTP ══▶ bidder
                │ arrivals, alarm: when; message: what, and whose an answer is
                └▶ tally, histogram
"""

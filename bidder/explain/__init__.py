"""What becomes of one bid request, stage by stage: `POST /debug/explain` and `python -m bidder explain`.

The rule kept here: the answer is the bid path's own, made by its own pipeline with counters of its own; what is said
beside it is worked out afterwards. The bid path knows nothing of it and pays nothing for it.
"""

from bidder.explain.report import Explainer
from bidder.explain.text import as_text

__all__ = ["Explainer", "as_text"]

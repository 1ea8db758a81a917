"""The load generator: `run(Plan(...))` plays a plan against a bidder and returns a `Result`.

The rule: figures are the server's, or the result says that they are not. The work is done in processes of
`loadtest.sending`; here they are started, watched and added up.

    conduct ── plan ──▶ workers ══ HTTP ══▶ bidder
       │                   │                  │
       └─▶ result ◀── tallies, kept answers ◀─┴── CPU, memory, /metrics
"""

from loadtest.engine.conduct import RunError, run
from loadtest.engine.plan import Plan
from loadtest.engine.result import Progress, Result
from loadtest.sending.arrivals import Profile
from loadtest.sending.tally import Outcome, Tally

__all__ = ["Outcome", "Plan", "Profile", "Progress", "Result", "RunError", "Tally", "run"]

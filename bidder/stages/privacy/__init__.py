"""What privacy signals forbid, and its removal from a request before anything else reads it.

The rule kept here: fail closed. A signal that applies and cannot be read forbids all that it could forbid. `redact` is
the one door: it runs first in decoding, and what it takes out of the request no later stage can see, log or
learn from. A raw identifier never leaves this package but inside `ProfileKeys`, which give digests alone.

    bits      the bits of a base64url string
    tcf       TC strings (GDPR): which purposes the configured vendor may rely on
    gpp       Global Privacy Platform strings: sections, opt-outs of the US states
    signals   request → names of the signals found; the table: signal → what it forbids
    redaction what is forbidden → gone from the request
    keys      identifiers → digests, for the profile store that asks
"""

from bidder.stages.privacy.keys import MAX_KEYS, profile_key, profile_keys
from bidder.stages.privacy.redaction import Verdict, redact
from bidder.stages.privacy.signals import FORBIDS, Forbidden
from bidder.stages.privacy.tcf import NO_VENDOR, Policy

__all__ = [
    "FORBIDS",
    "MAX_KEYS",
    "NO_VENDOR",
    "Forbidden",
    "Policy",
    "Verdict",
    "profile_key",
    "profile_keys",
    "redact",
]

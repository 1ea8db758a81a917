"""The stages of a bid. The rule kept here: pure and synchronous; no clock, no I/O, no logging."""

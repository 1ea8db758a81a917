"""What is left of a deployment that was taken down: `python -m infra.leftovers dev`.

`probes` is the table of what can be left and how AWS is asked for it, `search` asks. The rule kept here: it only reads,
and what could not be looked at is reported as not looked at, never as clean.
"""

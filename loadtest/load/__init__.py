"""Load tests with a verdict: `run` at a rate, `sweep` for the highest rate that holds, `selftest` of the generator.

The rule: what is shown on the terminal, in JSON and on the page is one document, so that they cannot differ.

    options ─▶ target (a URL, or a stack of our own) ─▶ engine.run ─▶ document ─▶ thresholds, display, page
"""

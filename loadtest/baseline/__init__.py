"""The bidder that most would write first, written well: FastAPI, pydantic models, aioboto3. What the bidder is measured
against.

    POST /openrtb2/bid ─▶ request (BaseModel) ─▶ eligibility ─▶ features ─▶ invoke_endpoint ─▶ bids ─▶ response

The rule: no strawman. It reads the same catalog, asks the same endpoint about as many rows, keeps to floors, deals,
block lists and formats, and is served by the same stack (uvicorn, uvloop, httptools, one worker). What it leaves out
makes it cheaper, not dearer: TC strings are not read, only asked for; no supply chains, pods, user profiles, exchange
profiles or metrics.
"""

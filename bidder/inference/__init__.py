"""Rows to scores, through a SageMaker endpoint: the only wait in a bid.

    cascade ─▶ batcher ─▶ limiter, pool ─▶ connection ─▶ SageMaker Runtime
                  └─▶ sagemaker (wire) ─▶ signature, payload

The rule kept here: a score comes in time, is finite and belongs to its row, or the next tier answers.
"""

from bidder.inference.cascade import Cascade, Question, Shadow, SplitTier, Step, Tier
from bidder.inference.client import InferenceClient, Lane, Limits
from bidder.inference.credentials import Credentials, CredentialSource, StaticCredentials, chain_credentials
from bidder.inference.errors import InferenceError
from bidder.inference.stats import InferenceStats

__all__ = [
    "Cascade",
    "CredentialSource",
    "Credentials",
    "InferenceClient",
    "InferenceError",
    "InferenceStats",
    "Lane",
    "Limits",
    "Question",
    "Shadow",
    "SplitTier",
    "StaticCredentials",
    "Step",
    "Tier",
    "chain_credentials",
]

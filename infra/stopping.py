"""How a bidder stops behind a balancer without losing a bid, in seconds: which times have to be longer than which.

ECS first takes a task out of the balancer and waits for the deregistration delay; exchanges' open connections bid on
meanwhile. Then comes SIGTERM: the bidder is not ready but answers for `drain_s`, closes what is idle, and gives the
rest `stop_s`. A Spot interruption sends SIGTERM at once, so that `drain_s` alone must do for the balancer to notice.
Then comes SIGKILL. The rule kept here: the times are compared, never repeated.
"""

from __future__ import annotations

import math

from infra.environments import BalancerSizes, BidderSettings

MARGIN_S = 5  # for the process to leave after its last connection has
FARGATE_LONGEST_STOP_S = 120  # stopTimeout, ECS API reference, ContainerDefinition
NLB_IDLE_S = 350  # a TLS listener's, which cannot be set (Network Load Balancers guide, listeners)
EXCHANGES_KEEP_ALIVE_S = 300  # the longest that an exchange asks for; Google's 150


def stop_timeout_s(settings: BidderSettings) -> int:
    """From SIGTERM to SIGKILL."""
    return math.ceil(settings.drain_s + settings.stop_s) + MARGIN_S


def notice_s(balancer: BalancerSizes) -> int:
    """What the balancer takes to see that a target is not ready, at most."""
    return balancer.health_interval_s * balancer.unhealthy_count + balancer.health_timeout_s


def problems(settings: BidderSettings, balancer: BalancerSizes) -> list[str]:
    """What of these would lose bids, in words; empty: nothing."""
    idle_s = NLB_IDLE_S if balancer.kind == "network" else balancer.idle_s
    stopping_s = settings.drain_s + settings.stop_s
    rules = {
        f"the bidder drains for {settings.drain_s} s, the balancer notices after {notice_s(balancer)} s": (
            settings.drain_s >= notice_s(balancer)
        ),
        f"SIGKILL would come after {stop_timeout_s(settings)} s, at most {FARGATE_LONGEST_STOP_S} s can be": (
            stop_timeout_s(settings) <= FARGATE_LONGEST_STOP_S
        ),
        f"the balancer forgets a target after {balancer.deregistration_delay_s} s, which bids for {stopping_s} s": (
            balancer.deregistration_delay_s >= stopping_s
        ),
        f"the bidder keeps idle connections for {settings.keep_alive_s} s, exchanges for {EXCHANGES_KEEP_ALIVE_S} s": (
            settings.keep_alive_s >= EXCHANGES_KEEP_ALIVE_S
        ),
        f"the balancer drops idle connections after {idle_s} s, exchanges keep them for {EXCHANGES_KEEP_ALIVE_S} s": (
            idle_s >= EXCHANGES_KEEP_ALIVE_S
        ),
    }
    if balancer.kind == "network":  # it drops them without a word to either side, so the bidder has to be first
        rules[f"the bidder keeps idle connections for {settings.keep_alive_s} s, the balancer for {idle_s} s"] = (
            settings.keep_alive_s < idle_s
        )
    else:  # it sends the next request down a connection that it thinks is open, so it has to be first
        rules[f"the balancer keeps idle connections for {idle_s} s, the bidder for {settings.keep_alive_s} s"] = (
            settings.keep_alive_s > idle_s
        )
    return [problem for problem, holds in rules.items() if not holds]

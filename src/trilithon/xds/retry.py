"""Say what Envoy tries again: by default in the cluster, and in the route for a rule that says something itself.

The default stands in clusters because there are fewer of them than virtual hosts, and because Envoy reads a whole route
table anew for each changed route: with 1,000 virtual hosts the default in each of them is a third of that work.
A cluster's policy outranks those of routes, so the backends of a rule that has its own are clusters that have none.
"""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import RetryPolicy, RouteAction
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate

from trilithon.model.rule import Rule

# In these cases the request never reached a backend, so that trying again is safe whatever it asks for.
_NOT_SENT = "connect-failure,refused-stream,reset-before-request"
_DEFAULT_RETRIES = 2
# Look for a host that was not tried yet so many times; with few hosts none may be left. A look is a throw of dice and
# costs next to nothing: with 5, one of two endpoints dead, 1 of 8,000 requests met the dead one three times.
_HOST_SELECTION_ATTEMPTS = 40


def fill_retry(action: RouteAction, rule: Rule) -> None:
    """Write a rule's own retries."""
    retry = rule.retry
    if not rule.attempt_timeout and retry is None:
        return  # The cluster's policy holds.
    target = action.retry_policy
    target.MergeFrom(DEFAULT_RETRY)
    if rule.attempt_timeout:
        target.per_try_timeout.FromMilliseconds(rule.attempt_timeout)
    if retry is None:
        return
    target.num_retries.value = retry.attempts
    if retry.codes:
        target.retry_on = f"retriable-status-codes,{_NOT_SENT}"
        target.retriable_status_codes.extend(retry.codes)
    if retry.backoff:
        # Envoy waits for a random part of the interval, which doubles with each attempt.
        target.retry_back_off.base_interval.FromMilliseconds(retry.backoff)
        target.retry_back_off.max_interval.FromMilliseconds(retry.backoff * 10)


def _default_retry() -> RetryPolicy:
    """What every rule tries again that says nothing else."""
    policy = RetryPolicy(retry_on=_NOT_SENT, host_selection_retry_max_attempts=_HOST_SELECTION_ATTEMPTS)
    policy.num_retries.value = _DEFAULT_RETRIES
    predicate = policy.retry_host_predicate.add(name="previous-hosts")
    predicate.typed_config.Pack(PreviousHostsPredicate())
    return policy


DEFAULT_RETRY = _default_retry()

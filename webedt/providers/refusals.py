"""What went wrong between us and an upstream, in words for a person and in codes for programs.

The same for every upstream that speaks HTTP. What an upstream says of itself is never passed on: it may repeat what it
was sent, the key included.
"""

from webedt.providers.interface import ProviderError

# code, what a person reads, whether asking again later may help
_BY_STATUS: dict[int, tuple[str, str, bool]] = {
    400: ("provider_refused", "{} refused the request as not valid.", False),
    401: ("provider_unauthorized", "{} refused the API key.", False),
    402: ("provider_billing", "{} wants to be paid first: check the plan of the API key.", False),
    403: ("provider_forbidden", "{} does not let this API key do that.", False),
    404: ("provider_not_found", "{} does not know the model, or what else was asked for.", False),
    413: ("provider_request_too_large", "The conversation is too large for {}.", False),
    422: ("provider_refused", "{} refused the request as not valid.", False),
    429: ("provider_rate_limited", "The rate limit of {} is reached; try again later.", True),
    529: ("provider_overloaded", "{} is overloaded; try again later.", True),
}


def refused(upstream: str, status: int) -> ProviderError:
    """The upstream answered with an error status; `upstream` is its name as people know it."""
    found = _BY_STATUS.get(status)
    if found is None:
        return unavailable(upstream)
    code, message, retryable = found
    return ProviderError(code, message.format(upstream), retryable=retryable)


def unavailable(upstream: str) -> ProviderError:
    """It could not be reached, or answered 5xx."""
    return ProviderError("provider_unavailable", f"{upstream} is not available; try again later.", retryable=True)


def disconnected(upstream: str) -> ProviderError:
    """The connection ended in the middle of the answer."""
    return ProviderError("provider_disconnected", f"{upstream} ended the answer in the middle.", retryable=True)


def silent(upstream: str, *, begun: bool) -> ProviderError:
    """It said nothing for too long."""
    state = "The answer stopped." if begun else "No answer began."
    return ProviderError("provider_timeout", f"{upstream} was silent too long. {state}", retryable=True)


def malformed(upstream: str) -> ProviderError:
    """What it sent is not what its protocol sends."""
    message = f"{upstream} sent something that cannot be understood as an answer."
    return ProviderError("provider_malformed", message, retryable=True)


def counts_as_failure(error: ProviderError) -> bool:
    """Whether the upstream was not there or said that it cannot, for its circuit breaker. A refusal is an answer."""
    return error.code in ("provider_unavailable", "provider_overloaded", "provider_timeout", "provider_disconnected")

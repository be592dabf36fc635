"""What the service layer itself can refuse.

Owns the errors of wiring and life cycle. They are defects of a program, seen by its developer: none of them is
meant for a client, and nothing here knows what a service does.
"""

from __future__ import annotations


class ServiceError(Exception):
    """The service layer was used in a way that its contract refuses."""


class ServiceNotRegistered(ServiceError, LookupError):
    """Nothing is registered under the token; the message lists what is."""


class ServiceNotReady(ServiceError):
    """The service is registered, but it is not initialised yet, or is disposed of already."""


class ServiceStateError(ServiceError):
    """The call does not fit the present state: a late registration, a second owner, a closed scope."""

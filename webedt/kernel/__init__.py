"""The service layer: contracts as tokens, a provider that starts and stops what fulfils them, scopes, containers.

Imports the standard library, structlog and typing_extensions only; everything else may import this package.
"""

from webedt.kernel.background import Background
from webedt.kernel.base import BaseService
from webedt.kernel.container import ServiceContainer
from webedt.kernel.errors import ServiceError, ServiceNotReady, ServiceNotRegistered, ServiceStateError
from webedt.kernel.provider import ServiceProvider
from webedt.kernel.registration import Phase, Registration
from webedt.kernel.result import OperationResult, PublicError
from webedt.kernel.scope import ServiceScope
from webedt.kernel.service import AService, ServiceLookup
from webedt.kernel.transactions import ATransactions, Connection
from webedt.kernel.transition import State

__all__ = [
    "AService",
    "ATransactions",
    "Background",
    "BaseService",
    "Connection",
    "OperationResult",
    "Phase",
    "PublicError",
    "Registration",
    "ServiceContainer",
    "ServiceError",
    "ServiceLookup",
    "ServiceNotReady",
    "ServiceNotRegistered",
    "ServiceProvider",
    "ServiceScope",
    "ServiceStateError",
    "State",
]

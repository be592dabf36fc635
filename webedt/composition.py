"""The composition root: the one place that knows which implementation stands under which contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from aiohttp import TraceConfig, web

import webedt
from webedt.bus.interface import ABus
from webedt.bus.postgres import PostgresBus
from webedt.config import Settings
from webedt.database.interface import ADatabase
from webedt.database.postgres import PostgresDatabase
from webedt.database.sql import query_names
from webedt.database.traced import traced_connection
from webedt.fleet.heartbeat import AHeartbeat, Heartbeat
from webedt.fleet.identity import Identity
from webedt.fleet.leadership import ALeadership, Leadership
from webedt.http.admin import Admins, admin_routes
from webedt.http.application import build_application
from webedt.http.auth import AuthServices, auth_routes
from webedt.http.cookies import Cookies
from webedt.http.credentials import CredentialServices, credential_routes
from webedt.http.doorkeeper import Doorkeeper
from webedt.http.files import FileServices, file_routes
from webedt.http.lifecycle import Lifecycle
from webedt.http.middleware import Pipeline
from webedt.http.operations import operations_routes
from webedt.http.origins import Origins
from webedt.http.providers import ProviderServices, provider_routes
from webedt.http.runs import run_routes
from webedt.http.sessions import SessionServices, session_routes
from webedt.http.sharing import SharingServices, sharing_routes
from webedt.http.status import StatusReport, StatusServices
from webedt.http.stream_registry import AStreams, Streams
from webedt.http.streaming import StreamServices
from webedt.http.tracing import trace_requests
from webedt.http.transfers import Transfers
from webedt.http.web import load_assets, web_routes
from webedt.kernel import ATransactions, ServiceProvider
from webedt.log.interface import AEventWriter
from webedt.log.tails import ATails, Tails
from webedt.log.writer import EventWriter
from webedt.providers.anthropic import AnthropicProvider
from webedt.providers.claude import ClaudeProvider
from webedt.providers.claude_client import AClaudeWebClient, ClaudeWebClient
from webedt.providers.command import CommandProvider
from webedt.providers.interface import AProviders, ExecutionProvider
from webedt.providers.openai import OpenAIProvider
from webedt.providers.outgoing import trace_outgoing
from webedt.providers.registry import Providers
from webedt.providers.simulated import SimulatedProvider
from webedt.services.access import AAccess, Access
from webedt.services.auth import AAuth, Auth
from webedt.services.cleanup import ACleanup, Cleanup
from webedt.services.credentials import ACredentials, Credentials
from webedt.services.execution import AExecution, Execution
from webedt.services.files import AFiles, Files
from webedt.services.fleet_status import AFleetStatus, FleetStatus
from webedt.services.key_rotation import AKeyRotation, KeyRotation
from webedt.services.lists import ALists, Lists
from webedt.services.login_tokens import LoginTokens
from webedt.services.preferences import APreferences, StoredPreferences
from webedt.services.provider_choice import AProviderChoice, ProviderChoice
from webedt.services.remote_sync import ARemoteSync, RemoteSync
from webedt.services.retention import ARetention, Retention
from webedt.services.runs import ARuns, Runs
from webedt.services.sealing import Sealer
from webedt.services.sessions import ASessions, Sessions
from webedt.services.sharing import ASharing, Sharing
from webedt.storage.interface import AFileStore
from webedt.storage.object_store import ObstoreFileStore
from webedt.telemetry.logging import ALogger, ConsoleLogger
from webedt.telemetry.metrics import Metrics
from webedt.telemetry.tracing import ATracing, NoTracing


@dataclass(frozen=True)
class Replica:
    """One replica, put together but not started."""

    settings: Settings
    identity: Identity
    provider: ServiceProvider
    application: web.Application
    pipeline: Pipeline
    lifecycle: Lifecycle
    doorkeeper: Doorkeeper
    transfers: Transfers


def compose(settings: Settings) -> Replica:
    identity = Identity(uuid4(), settings.container_id)
    metrics = Metrics(settings.container_id)
    version = settings.build_version or webedt.__version__
    metrics.build_info.set(1, version, settings.build_commit_sha)
    provider = compose_services(settings, identity, metrics)
    lifecycle = Lifecycle()
    doorkeeper = Doorkeeper()
    transfers = Transfers()
    origins = Origins(settings.allowed_origins, settings.trusted_proxies)
    cookies = Cookies(secure=settings.production)
    pipeline = Pipeline(
        provider, identity, metrics, origins, cookies, lifecycle, doorkeeper, production=settings.production
    )
    status = StatusServices.from_provider(provider)
    report = StatusReport(status, settings, identity, lifecycle, version)
    routes = [
        *operations_routes(status.database, report, identity, lifecycle, metrics, version),
        *admin_routes(report, metrics, Admins.of(settings)),
        *auth_routes(AuthServices.from_provider(provider), cookies, origins),
        *run_routes(StreamServices.from_provider(provider)),
        *session_routes(SessionServices.from_provider(provider)),
        *sharing_routes(SharingServices.from_provider(provider), origins),
        *file_routes(FileServices.from_provider(provider), transfers, metrics),
        *provider_routes(ProviderServices.from_provider(provider)),
        *credential_routes(CredentialServices.from_provider(provider)),
        *web_routes(load_assets(Path(__file__).parent / "web")),
    ]
    application = build_application(pipeline, routes, version)
    tracing = provider.get(ATracing)
    if tracing.enabled:
        trace_requests(application, tracing)
    return Replica(settings, identity, provider, application, pipeline, lifecycle, doorkeeper, transfers)


def compose_services(settings: Settings, identity: Identity, metrics: Metrics) -> ServiceProvider:
    provider = ServiceProvider()
    lease = settings.lease_seconds
    tracing = compose_tracing(settings)
    provider.register(ATracing, tracing)
    logger = ConsoleLogger(settings.log_level, settings.container_id, json=settings.production, tracing=tracing)
    provider.register(ALogger, logger)
    database = compose_database(settings, metrics, tracing)
    provider.register(ADatabase, database)
    provider.register(ATransactions, database)
    provider.register(ABus, compose_bus(settings, identity, metrics))
    provider.register(AHeartbeat, Heartbeat(identity, lease))
    provider.register(ALeadership, Leadership(identity, metrics, lease))
    # Replay takes at most half of the pool, so that readers cannot starve those who write.
    provider.register(ATails, Tails(metrics, replay_concurrency=settings.db_pool_max // 2))
    provider.register(AEventWriter, EventWriter(metrics, lease))
    provider.register(AAuth, Auth(LoginTokens(settings.secrets), settings.auth_rate_limit_per_minute))
    provider.register(AAccess, Access())
    provider.register(ASessions, Sessions())
    provider.register(ASharing, Sharing(settings.secrets))
    trace_configs = [trace_outgoing(tracing)] if tracing.enabled else []
    web = ClaudeWebClient(settings, trace_configs)
    provider.register(AClaudeWebClient, web)
    providers = compose_providers(settings, web, trace_configs)
    provider.register(AProviders, Providers(providers, settings.chosen_provider, metrics))
    sealer = compose_sealer(settings)
    provider.register(ACredentials, Credentials(sealer))
    provider.register(AKeyRotation, KeyRotation(sealer))
    provider.register(AProviderChoice, ProviderChoice(sealer))
    provider.register(APreferences, StoredPreferences())
    execution = Execution(
        identity,
        metrics,
        lease_seconds=lease,
        max_active_runs=settings.max_active_runs,
        max_attempts=settings.max_attempts,
    )
    provider.register(AExecution, execution)
    provider.register(ARuns, Runs(concurrency=settings.db_pool_max // 2))
    provider.register(ALists, Lists(settings.db_statement_timeout_seconds))
    provider.register(AFleetStatus, FleetStatus(lease))
    cleanup = Cleanup(
        identity,
        metrics,
        timeout_minutes=settings.orphan_timeout_minutes,
        interval_minutes=settings.orphan_interval_minutes,
        lease_seconds=lease,
    )
    provider.register(ACleanup, cleanup)
    remote_sync = RemoteSync(
        interval_seconds=settings.remote_sync_seconds,
        budget_seconds=lease * 0.7,
        # Longer than a driver itself needs to see it or to give up: who is thrown out begins its patience anew.
        silent_seconds=3 * settings.provider_silence_seconds
        + settings.provider_first_token_seconds
        + settings.provider_idle_seconds,
    )
    provider.register(ARemoteSync, remote_sync)
    provider.register(AFileStore, ObstoreFileStore(settings))
    provider.register(AFiles, Files(settings.storage_quota_bytes))
    retention = Retention(
        compact_after_seconds=settings.compact_after_minutes * 60,
        trash_seconds=settings.trash_retention_days * 86400,
    )
    provider.register(ARetention, retention)
    provider.register(AStreams, Streams(metrics, settings.max_streams_per_user))
    return provider


def compose_tracing(settings: Settings) -> ATracing:
    if not settings.traces_endpoint:
        return NoTracing()
    from webedt.telemetry.opentelemetry import OpenTelemetryTracing  # takes half a second, for those who use it

    resource = {
        "service.name": "webedt",
        "service.version": settings.build_version or webedt.__version__,
        "service.instance.id": settings.container_id,
        **dict(settings.otel_resource_attributes),
    }
    if settings.otel_service_name:
        resource["service.name"] = settings.otel_service_name
    return OpenTelemetryTracing(
        settings.traces_endpoint,
        dict(settings.otel_exporter_otlp_headers),
        resource,
        sampler=settings.otel_traces_sampler,
        ratio=settings.otel_traces_sampler_arg,
    )


def compose_database(settings: Settings, metrics: Metrics, tracing: ATracing) -> PostgresDatabase:
    if not tracing.enabled:
        return PostgresDatabase(settings, metrics)
    return PostgresDatabase(settings, metrics, traced_connection(tracing, query_names()))


def compose_bus(settings: Settings, identity: Identity, metrics: Metrics) -> ABus:
    if not settings.redis_url:
        return PostgresBus(identity.instance_id, metrics)
    from webedt.bus.redis import RedisBus  # takes a tenth of a second, for those who use it

    return RedisBus(identity.instance_id, metrics, settings.redis_url, settings.secrets)


def compose_providers(
    settings: Settings, web: AClaudeWebClient, trace_configs: Sequence[TraceConfig] = ()
) -> list[ExecutionProvider]:
    """Also for `webedt check`, which starts none of them."""
    return [
        SimulatedProvider(allowed=settings.simulated_allowed),
        AnthropicProvider(settings, trace_configs),
        ClaudeProvider(settings, web),
        OpenAIProvider(settings, trace_configs),
        CommandProvider(settings),
    ]


def compose_sealer(settings: Settings) -> Sealer:
    """SESSION_SECRET opens too: what it sealed before there was an ENCRYPTION_KEY must not be lost."""
    return Sealer((*settings.encryption_keys, *settings.secrets))

"""The configuration: one frozen object read from the environment, every fault reported at once.

Each field carries its variable, its documentation and its parser, so that `README.md`, `webedt check` and the tests
speak of the same list. Nothing else reads `os.environ` for a setting.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from webedt import config_values as read
from webedt.config_values import MIN_SECRET_LENGTH, Network, Unquotable
from webedt.domain.errors import ConfigurationError

ENVIRONMENTS = ("development", "test", "production")
LOG_LEVELS = ("debug", "info", "warning", "error")
PROVIDERS = ("simulated", "anthropic", "claude", "openai", "command")
OTLP_PROTOCOL = "http/protobuf"
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
DEVELOPMENT_SECRET = "development-only-secret-that-protects-nothing"  # noqa: S105 - refused in production


def _setting(
    variables: str, doc: str, default: Any, parse: Callable[[str], Any] = read.text, *, secret: bool = False
) -> Any:
    """A field read from the first of the space-separated `variables` that is set and not empty."""
    metadata = {"variables": tuple(variables.split()), "doc": doc, "parse": parse, "secret": secret}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Seconds, bytes and counts as the names say. Build with `load_settings`, or directly in a test."""

    database_url: str = _setting(
        "DATABASE_URL", "PostgreSQL 15 or newer. Required by `serve`.", "", read.postgres_url, secret=True
    )
    database_direct_url: str = _setting(
        "DATABASE_DIRECT_URL",
        "A way to PostgreSQL around a transaction pooler; used by writer, heartbeat, listener and migrations.",
        "",
        read.postgres_url,
        secret=True,
    )
    redis_url: str = _setting(
        "REDIS_URL",
        "redis:// or rediss://, the same on all replicas: signals between them and frames go through it. Without it, "
        "and whenever it is away, PostgreSQL does alone.",
        "",
        read.redis_url,
        secret=True,
    )
    session_secrets: tuple[str, ...] = _setting(
        "SESSION_SECRET",
        "The same on all replicas; at least 32 characters. Required in production. Comma-separated: the first signs, "
        "all are accepted.",
        (),
        read.secrets,
        secret=True,
    )
    environment: str = _setting(
        "WEBEDT_ENV NODE_ENV", "development, test or production.", "development", read.choice(*ENVIRONMENTS)
    )
    container_id: str = _setting(
        "CONTAINER_ID HOSTNAME", "Name of this replica in headers, logs and metrics.", "local", read.name
    )
    host: str = _setting("HOST", "Address to listen on.", "0.0.0.0")  # noqa: S104 - a container listens on all
    port: int = _setting("PORT", "Port to listen on.", 3001, read.number(int, 1, 65535))
    allowed_origins: tuple[str, ...] = _setting(
        "ALLOWED_ORIGINS",
        "Other origins whose pages may use the API with the cookie, comma-separated.",
        (),
        read.origins,
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        "TRUSTED_PROXIES", "CIDRs of balancers whose X-Forwarded-For, -Proto and -Host count.", (), read.networks
    )
    log_level: str = _setting("LOG_LEVEL", "debug, info, warning or error.", "info", read.choice(*LOG_LEVELS))

    db_pool_max: int = _setting("DB_POOL_MAX", "Most connections of the pool.", 20, read.number(int, 2, 1000))
    db_pool_min: int = _setting("DB_POOL_MIN", "Connections the pool opens at once.", 2, read.number(int, 0, 1000))
    db_pool_idle_seconds: float = _setting(
        "DB_POOL_IDLE_SECONDS", "A pool connection unused for so long is closed.", 30.0, read.number(float, 1, 86400)
    )
    db_connect_timeout_seconds: float = _setting(
        "DB_CONNECT_TIMEOUT_SECONDS",
        "For a connection, and for getting one from the pool.",
        5.0,
        read.number(float, 0.1, 300),
    )
    db_statement_timeout_seconds: float = _setting(
        "DB_STATEMENT_TIMEOUT_SECONDS", "Longest statement.", 30.0, read.number(float, 0.1, 3600)
    )
    db_prepared_statements: bool = _setting(
        "DB_PREPARED_STATEMENTS", "With DATABASE_DIRECT_URL: on if the pooler supports them.", False, read.switch
    )

    lease_seconds: float = _setting(
        "LEASE_SECONDS", "A replica silent for so long loses its runs to others.", 10.0, read.number(float, 1, 3600)
    )
    max_attempts: int = _setting(
        "MAX_ATTEMPTS", "Attempts of a run, hand-overs not counted.", 3, read.number(int, 1, 100)
    )
    max_active_runs: int = _setting("MAX_ACTIVE_RUNS", "Runs this replica claims.", 100, read.number(int, 0, 100_000))
    max_streams_per_user: int = _setting(
        "MAX_STREAMS_PER_USER",
        "Open streams of one user, or of one share link, on this replica.",
        100,
        read.number(int, 1, 1_000_000),
    )
    lb_drain_delay_seconds: float = _setting(
        "LB_DRAIN_DELAY_SECONDS",
        "After SIGTERM: still serve, so that the balancer can notice.",
        5.0,
        read.number(float, 0, 600),
    )
    shutdown_timeout_seconds: float = _setting(
        "SHUTDOWN_TIMEOUT_SECONDS",
        "After that: how long runs that cannot be handed over, and transfers of files, may go on.",
        30.0,
        read.number(float, 0, 3600),
    )
    orphan_timeout_minutes: float = _setting(
        "ORPHAN_SESSION_TIMEOUT_MINUTES",
        "A running session quiet for so long, without a living owner, is ended.",
        30.0,
        read.number(float, 0.001, 100_000),
    )
    orphan_interval_minutes: float = _setting(
        "ORPHAN_CLEANUP_INTERVAL_MINUTES",
        "How often one leader looks for such sessions.",
        5.0,
        read.number(float, 0.001, 100_000),
    )
    compact_after_minutes: float = _setting(
        "COMPACT_AFTER_MINUTES",
        "So long after a run the deltas of its finished messages are removed; 0 is never.",
        60.0,
        read.number(float, 0, 10_000_000),
    )
    trash_retention_days: float = _setting(
        "TRASH_RETENTION_DAYS", "So long after its deletion a session is purged.", 30.0, read.number(float, 0, 100_000)
    )
    auth_rate_limit_per_minute: int = _setting(
        "AUTH_RATE_LIMIT_PER_MINUTE",
        "Login and register attempts of one address, all replicas; 0 is off.",
        10,
        read.number(int, 0, 1_000_000),
    )
    admin_emails: tuple[str, ...] = _setting(
        "ADMIN_EMAILS",
        "Who may see the operations page, comma-separated. Empty: everybody, but in production nobody.",
        (),
        read.emails,
    )

    default_provider: str = _setting(
        "DEFAULT_PROVIDER",
        "For prompts that name none. Else: simulated outside production; in production the first that is configured of "
        "claude, anthropic and openai.",
        "",
        read.choice(*PROVIDERS),
    )
    simulated_provider: bool = _setting(
        "SIMULATED_PROVIDER", "on allows the simulated provider in production.", False, read.switch
    )
    encryption_keys: tuple[str, ...] = _setting(
        "ENCRYPTION_KEY",
        "Encrypts stored API keys; at least 32 characters. Comma-separated: the first encrypts, all decrypt. Without "
        "it the key is derived from SESSION_SECRET.",
        (),
        read.keys,
        secret=True,
    )
    deployment_keys: bool = _setting(
        "DEPLOYMENT_KEYS", "off: keys of the deployment are for nobody, each user needs their own.", True, read.switch
    )
    anthropic_api_key: str = _setting(
        "ANTHROPIC_API_KEY", "For anthropic and claude, where the user has no key.", "", read.api_key, secret=True
    )
    anthropic_base_url: str = _setting(
        "ANTHROPIC_BASE_URL", "Another endpoint of Anthropic's API; plain http on loopback only.", "", read.http_url
    )
    anthropic_model: str = _setting("ANTHROPIC_MODEL", "Model for prompts that name none.", "claude-sonnet-5-5")
    anthropic_max_tokens: int = _setting(
        "ANTHROPIC_MAX_TOKENS", "Longest answer.", 8192, read.number(int, 1, 1_000_000)
    )
    claude_agent_id: str = _setting(
        "CLAUDE_AGENT_ID", "With CLAUDE_ENVIRONMENT_ID: switches the claude provider (managed agent sessions) on.", ""
    )
    claude_environment_id: str = _setting("CLAUDE_ENVIRONMENT_ID", "Where managed agent sessions run.", "")
    claude_confirm_tools: bool = _setting(
        "CLAUDE_CONFIRM_TOOLS",
        "What is answered when an agent asks whether it may use a tool: on is yes. Its own policy should not ask.",
        False,
        read.switch,
    )
    openai_api_key: str = _setting(
        "OPENAI_API_KEY", "For openai, where the user has no key.", "", read.api_key, secret=True
    )
    openai_base_url: str = _setting(
        "OPENAI_BASE_URL",
        "An OpenAI-compatible endpoint (Ollama, vLLM, OpenRouter …), such as http://localhost:11434/v1; plain http on "
        "loopback only. Needs no key unless the endpoint does.",
        "",
        read.http_url,
    )
    openai_model: str = _setting("OPENAI_MODEL", "Model for prompts that name none.", "")
    command_provider: tuple[str, ...] = _setting(
        "COMMAND_PROVIDER",
        'Switches the command provider on: a JSON list of read.arguments, such as ["my-agent", "--json"].',
        (),
        read.arguments,
        secret=True,  # an argument may be a token
    )
    command_directory: str = _setting(
        "COMMAND_DIRECTORY", "Where the command provider keeps a directory per session; else a temporary folder.", ""
    )
    provider_max_retries: int = _setting(
        "PROVIDER_MAX_RETRIES", "Retries of a refused request (429, 529, 5xx).", 4, read.number(int, 0, 20)
    )
    provider_history_tokens: int = _setting(
        "PROVIDER_HISTORY_TOKENS",
        "How much of the conversation a follow-up carries, estimated (anthropic, openai).",
        100_000,
        read.number(int, 0, 10_000_000),
    )
    provider_first_token_seconds: float = _setting(
        "PROVIDER_FIRST_TOKEN_SECONDS", "Longest wait for an answer to begin.", 120.0, read.number(float, 0.1, 3600)
    )
    provider_idle_seconds: float = _setting(
        "PROVIDER_IDLE_SECONDS", "Longest silence in an answer.", 300.0, read.number(float, 0.1, 3600)
    )
    provider_silence_seconds: float = _setting(
        "PROVIDER_SILENCE_SECONDS",
        "claude: a stream silent for so long is opened anew and what it missed is listed.",
        60.0,
        read.number(float, 0.1, 3600),
    )
    remote_sync_seconds: float = _setting(
        "REMOTE_SYNC_SECONDS",
        "How often one leader compares remote sessions with ours.",
        30.0,
        read.number(float, 0.05, 86400),
    )

    storage_url: str = _setting(
        "STORAGE_URL",
        "Where workspace files are kept: s3://bucket/prefix, or file:///directory, which all replicas must share. "
        "Else: .webedt/files in the working directory.",
        "",
        read.storage_url,
    )
    storage_quota_bytes: int = _setting(
        "STORAGE_QUOTA_BYTES", "What the files of one user may take.", 5 * 1024**3, read.number(int, 0, 2**50)
    )
    aws_endpoint_url: str = _setting(
        "AWS_ENDPOINT_URL", "Another endpoint that speaks S3; plain http on loopback only.", "", read.http_url
    )
    aws_region: str = _setting("AWS_REGION AWS_DEFAULT_REGION", "Region of the bucket, else us-east-1.", "")
    aws_access_key_id: str = _setting(
        "AWS_ACCESS_KEY_ID", "For the bucket; without it the other AWS_ variables that obstore knows count.", ""
    )
    aws_secret_access_key: str = _setting("AWS_SECRET_ACCESS_KEY", "With AWS_ACCESS_KEY_ID.", "", secret=True)
    aws_session_token: str = _setting("AWS_SESSION_TOKEN", "With temporary credentials.", "", secret=True)

    otel_exporter_otlp_endpoint: str = _setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Switches tracing on: a collector that takes OTLP over HTTP, such as http://collector:4318. Traces go to "
        "/v1/traces below it.",
        "",
        read.collector_url,
    )
    otel_exporter_otlp_traces_endpoint: str = _setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "The same, the whole URL of the place for traces.", "", read.collector_url
    )
    otel_exporter_otlp_headers: tuple[tuple[str, str], ...] = _setting(
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS OTEL_EXPORTER_OTLP_HEADERS",
        "What the collector wants to see, such as a key: name=value, comma-separated, values percent-encoded.",
        (),
        read.pairs,
        secret=True,
    )
    otel_exporter_otlp_protocol: str = _setting(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL OTEL_EXPORTER_OTLP_PROTOCOL",
        "The one that there is.",
        OTLP_PROTOCOL,
        read.choice(OTLP_PROTOCOL),
    )
    otel_service_name: str = _setting("OTEL_SERVICE_NAME", "Name of all replicas together in traces, else webedt.", "")
    otel_resource_attributes: tuple[tuple[str, str], ...] = _setting(
        "OTEL_RESOURCE_ATTRIBUTES", "More about this deployment, for its traces: name=value, as above.", (), read.pairs
    )
    otel_traces_sampler: str = _setting(
        "OTEL_TRACES_SAMPLER",
        f"Which traces are recorded: {', '.join(SAMPLERS)}.",
        "parentbased_always_on",
        read.choice(*SAMPLERS),
    )
    otel_traces_sampler_arg: float = _setting(
        "OTEL_TRACES_SAMPLER_ARG",
        "The share of traces, 0 to 1, that the samplers by ratio record.",
        1.0,
        read.number(float, 0, 1),
    )
    otel_sdk_disabled: bool = _setting("OTEL_SDK_DISABLED", "on: no tracing, whatever else is set.", False, read.switch)

    build_commit_sha: str = _setting("BUILD_COMMIT_SHA", "Shown in /health/status.", "unknown")
    build_timestamp: str = _setting("BUILD_TIMESTAMP", "Shown in /health/status.", "unknown")
    build_version: str = _setting("BUILD_VERSION", "Shown in /health/status; the package's version if empty.", "")

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def direct_url(self) -> str:
        """Where connections go that need a session of their own."""
        return self.database_direct_url or self.database_url

    @property
    def behind_pooler(self) -> bool:
        return bool(self.database_direct_url)

    @property
    def secrets(self) -> tuple[str, ...]:
        return self.session_secrets or (DEVELOPMENT_SECRET,)

    @property
    def storage_location(self) -> str:
        """`storage_url`, or what stands in for it."""
        return self.storage_url or Path(".webedt", "files").absolute().as_uri()

    @property
    def traces_endpoint(self) -> str:
        """Where spans are sent; empty: tracing is off."""
        below = self.otel_exporter_otlp_endpoint.rstrip("/")
        endpoint = self.otel_exporter_otlp_traces_endpoint or (below and f"{below}/v1/traces")
        return "" if self.otel_sdk_disabled else endpoint

    @property
    def simulated_allowed(self) -> bool:
        return not self.production or self.simulated_provider

    @property
    def chosen_provider(self) -> str | None:
        """The provider of a prompt that names none; never silently the simulated one in production."""
        if self.default_provider:
            return self.default_provider
        if not self.production:
            return "simulated"
        configured = {
            "claude": self.claude_agent_id and self.claude_environment_id,
            "anthropic": self.anthropic_api_key,
            "openai": self.openai_api_key or self.openai_base_url,
        }
        return next((name for name, settings in configured.items() if settings), None)


def load_settings(environ: Mapping[str, str], *, secret_required: bool = True) -> Settings:
    """Read the settings. Raises `ConfigurationError` with one line for each fault, not only the first.

    `secret_required`: whether production needs its `SESSION_SECRET`; migrating does not.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for item in fields(Settings):
        for variable in item.metadata["variables"]:
            raw = environ.get(variable, "").strip()
            if not raw:
                continue
            try:
                values[item.name] = item.metadata["parse"](raw)
            except ValueError as error:
                hidden = item.metadata["secret"] or isinstance(error, Unquotable)
                shown = "" if hidden else f" (is {raw!r})"
                faults.append(f"{variable}: {error}{shown}")
            break
    broken = {fault.split(":", 1)[0] for fault in faults}
    settings = Settings(**values)
    if not settings.database_url and "DATABASE_URL" not in broken:
        faults.append("DATABASE_URL: is required")
    secrets = settings.session_secrets
    if settings.production and secret_required and not secrets and "SESSION_SECRET" not in broken:
        faults.append(f"SESSION_SECRET: is required in production, at least {MIN_SECRET_LENGTH} characters")
    elif settings.production and any(len(secret) < MIN_SECRET_LENGTH for secret in secrets):
        which = "each of those between commas must" if len(secrets) > 1 else "must"
        faults.append(f"SESSION_SECRET: {which} have at least {MIN_SECRET_LENGTH} characters")
    if settings.db_pool_min > settings.db_pool_max:
        faults.append("DB_POOL_MIN: must not be greater than DB_POOL_MAX")
    if bool(settings.claude_agent_id) != bool(settings.claude_environment_id):
        faults.append("CLAUDE_AGENT_ID: needs CLAUDE_ENVIRONMENT_ID, and the reverse")
    if bool(settings.aws_access_key_id) != bool(settings.aws_secret_access_key):
        faults.append("AWS_ACCESS_KEY_ID: needs AWS_SECRET_ACCESS_KEY, and the reverse")
    if settings.default_provider == "anthropic" and settings.deployment_keys and not settings.anthropic_api_key:
        faults.append("DEFAULT_PROVIDER: anthropic needs ANTHROPIC_API_KEY, or DEPLOYMENT_KEYS=off")
    if settings.default_provider == "claude" and not settings.claude_agent_id:
        faults.append("DEFAULT_PROVIDER: claude needs CLAUDE_AGENT_ID and CLAUDE_ENVIRONMENT_ID")
    if settings.default_provider == "command" and not settings.command_provider:
        faults.append("DEFAULT_PROVIDER: command needs COMMAND_PROVIDER")
    if settings.default_provider == "simulated" and not settings.simulated_allowed:
        faults.append("DEFAULT_PROVIDER: simulated needs SIMULATED_PROVIDER=on in production")
    if settings.traces_endpoint and find_spec("opentelemetry.sdk") is None:
        faults.append("OTEL_EXPORTER_OTLP_ENDPOINT: needs webedt[tracing], which is not installed")
    if faults:
        raise ConfigurationError(faults)
    return settings

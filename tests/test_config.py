"""The configuration: every fault at once and by name, nothing secret in what is said."""

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests.support.collector import collector
from webedt.config import DEVELOPMENT_SECRET, Settings, load_settings
from webedt.domain.errors import ConfigurationError
from webedt.services.login_tokens import LoginTokens
from webedt.services.sealing import Sealer

ROOT = Path(__file__).parents[1]
DATABASE = {"DATABASE_URL": "postgresql://me:hunter2@db.example.com/webedt"}
GOOD_SECRET = "s" * 32
STORAGE = Path(tempfile.gettempdir(), "webedt-test-files").as_uri()
WRONG = {
    "DATABASE_URL": "mysql://me:hunter2@db/webedt",
    "WEBEDT_ENV": "staging",
    "PORT": "70000",
    "ALLOWED_ORIGINS": "https://app.example.com/path",
    "TRUSTED_PROXIES": "10.0.0.0/99",
    "ADMIN_EMAILS": "ops@example.com, ops",
    "DB_POOL_MAX": "many",
    "LEASE_SECONDS": "0",
    "LOG_LEVEL": "loud",
    "SIMULATED_PROVIDER": "perhaps",
    "ANTHROPIC_BASE_URL": "http://api.example.com",
    "DEFAULT_PROVIDER": "nobody",
}


def faults_of(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(environ)
    return list(refused.value.faults)


def names(faults: list[str]) -> list[str]:
    return [fault.split(":")[0] for fault in faults]


def run_webedt(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`webedt …` in a process of its own with nothing but these variables."""
    return subprocess.run(
        [sys.executable, "-m", "webedt", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "STORAGE_URL": STORAGE, **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_all_faults_are_listed_at_once_and_by_name() -> None:
    assert sorted(names(faults_of(WRONG))) == sorted(WRONG)


def test_a_fault_says_what_would_be_right_and_what_is_there() -> None:
    (fault,) = faults_of({**DATABASE, "PORT": "70000"})
    assert fault == "PORT: must be between 1 and 65535 (is '70000')"


def test_the_value_of_a_secret_is_never_told() -> None:
    (fault,) = faults_of({"DATABASE_URL": "mysql://me:hunter2@db/webedt"})
    assert fault == "DATABASE_URL: must begin with postgresql://"


def test_faults_between_settings_are_listed_with_the_others() -> None:
    environ = {"WEBEDT_ENV": "production", "DB_POOL_MIN": "10", "DB_POOL_MAX": "5", "PORT": "x", "DATABASE_URL": "db"}
    expected = ["DATABASE_URL", "DB_POOL_MIN", "PORT", "SESSION_SECRET"]
    assert sorted(names(faults_of(environ))) == expected


def test_the_database_is_required() -> None:
    assert faults_of({}) == ["DATABASE_URL: is required"]


@pytest.mark.parametrize("secret", ["", "short", "s" * 31])
def test_production_needs_a_secret_of_32_characters(secret: str) -> None:
    environ = {**DATABASE, "WEBEDT_ENV": "production", "SESSION_SECRET": secret}
    (fault,) = faults_of(environ)
    assert fault.startswith("SESSION_SECRET: ")
    assert "32 characters" in fault
    assert secret == "" or secret not in fault


def test_several_secrets_are_each_long_enough_in_production_and_none_is_empty_or_twice_there() -> None:
    production = {**DATABASE, "WEBEDT_ENV": "production"}
    other = "another-secret-that-is-long-enough"
    for given in (f"{other},{GOOD_SECRET}", f" {other} ,, {GOOD_SECRET},", f"{other},{GOOD_SECRET},{other}"):
        assert load_settings({**production, "SESSION_SECRET": given}).secrets == (other, GOOD_SECRET)
    (fault,) = faults_of({**production, "SESSION_SECRET": f"{GOOD_SECRET},hunter2"})
    assert fault == "SESSION_SECRET: each of those between commas must have at least 32 characters"
    (fault,) = faults_of({**production, "SESSION_SECRET": ","})
    assert fault == "SESSION_SECRET: has nothing but commas"


def test_production_takes_a_long_secret_and_never_the_one_of_development() -> None:
    settings = load_settings({**DATABASE, "WEBEDT_ENV": "production", "SESSION_SECRET": GOOD_SECRET})
    assert settings.production
    assert settings.secrets == (GOOD_SECRET,)
    assert load_settings(DATABASE).secrets == (DEVELOPMENT_SECRET,)


def test_node_env_is_accepted_and_webedt_env_goes_first() -> None:
    assert load_settings({**DATABASE, "NODE_ENV": "test"}).environment == "test"
    assert load_settings({**DATABASE, "NODE_ENV": "production", "SESSION_SECRET": GOOD_SECRET}).production
    both = {**DATABASE, "NODE_ENV": "production", "WEBEDT_ENV": "development"}
    assert load_settings(both).environment == "development"
    assert names(faults_of({**DATABASE, "NODE_ENV": "staging"})) == ["NODE_ENV"]


def test_the_container_is_named_by_its_id_or_else_its_host() -> None:
    assert load_settings({**DATABASE, "CONTAINER_ID": "pod-1", "HOSTNAME": "host"}).container_id == "pod-1"
    assert load_settings({**DATABASE, "HOSTNAME": "host"}).container_id == "host"
    assert load_settings(DATABASE).container_id == "local"


def test_what_is_empty_counts_as_not_set() -> None:
    assert load_settings({**DATABASE, "PORT": "", "LOG_LEVEL": "  ", "CONTAINER_ID": ""}) == load_settings(DATABASE)


def test_fractions_of_minutes_and_seconds_are_taken() -> None:
    environ = {**DATABASE, "ORPHAN_SESSION_TIMEOUT_MINUTES": "0.05", "LEASE_SECONDS": "1.5"}
    settings = load_settings(environ)
    assert (settings.orphan_timeout_minutes, settings.lease_seconds) == (0.05, 1.5)


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e9", "ten", "0x10"])
def test_a_number_that_is_none_or_out_of_bounds_is_refused(number: str) -> None:
    assert names(faults_of({**DATABASE, "LEASE_SECONDS": number})) == ["LEASE_SECONDS"]


def test_the_simulated_provider_is_never_silently_that_of_production() -> None:
    production = {**DATABASE, "WEBEDT_ENV": "production", "SESSION_SECRET": GOOD_SECRET}
    assert load_settings(DATABASE).chosen_provider == "simulated"
    assert load_settings(production).chosen_provider is None
    assert load_settings({**production, "ANTHROPIC_API_KEY": "key"}).chosen_provider == "anthropic"
    assert names(faults_of({**production, "DEFAULT_PROVIDER": "simulated"})) == ["DEFAULT_PROVIDER"]
    allowed = {**production, "DEFAULT_PROVIDER": "simulated", "SIMULATED_PROVIDER": "on"}
    assert load_settings(allowed).chosen_provider == "simulated"
    assert names(faults_of({**DATABASE, "DEFAULT_PROVIDER": "anthropic"})) == ["DEFAULT_PROVIDER"]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        load_settings(DATABASE).port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_is_and_no_variable_stands_for_two() -> None:
    variables = [name for item in fields(Settings) for name in item.metadata["variables"]]
    assert len(variables) == len(set(variables))
    for item in fields(Settings):
        assert item.metadata["doc"].endswith("."), item.name


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_command_lists_the_faults_and_ends_with_2(command: str) -> None:
    result = run_webedt(command, **WRONG, SESSION_SECRET="hunter3")
    assert result.returncode == 2
    assert result.stdout == ""
    for name in WRONG:
        assert f"  {name}: " in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter" not in result.stderr


def test_check_shows_settings_but_no_secret() -> None:
    url = "postgresql://me:hunter2@127.0.0.1:1/webedt?password=hunter4"
    result = run_webedt(
        "check", "--verbose", DATABASE_URL=url, SESSION_SECRET="hunter3" * 5, ANTHROPIC_API_KEY="hunter5"
    )
    assert result.returncode == 1, "nobody listens there"
    for item in fields(Settings):
        assert item.metadata["variables"][0] in result.stdout
    assert "cannot be reached" in result.stdout
    assert "127.0.0.1:1/webedt" in result.stdout
    assert "hunter" not in result.stdout + result.stderr


def test_check_shows_what_can_be_read_of_a_faulty_configuration() -> None:
    result = run_webedt("check", "--verbose", **WRONG, SESSION_SECRET="hunter3", DB_POOL_MIN="7")
    assert result.returncode == 2
    shown = {line.split()[0]: line[37:] for line in result.stdout.splitlines()}
    assert {name for name, value in shown.items() if value == "(not valid)"} == set(WRONG)
    assert (shown["DB_POOL_MIN"], shown["MAX_ATTEMPTS"], shown["SESSION_SECRET"]) == ("7", "3", "(set)")
    for name in WRONG:
        assert f"  {name}: " in result.stderr
    assert "hunter" not in result.stdout + result.stderr


def test_check_is_content_with_a_current_database(database_url: str, tmp_path: Path) -> None:
    result = run_webedt("check", DATABASE_URL=database_url, STORAGE_URL=tmp_path.as_uri())
    assert (result.returncode, result.stderr) == (0, "")
    assert f"files          ok  {tmp_path.as_uri()}" in result.stdout.splitlines()


def test_check_says_why_files_cannot_be_kept(database_url: str) -> None:
    bucket = {"STORAGE_URL": "s3://bucket", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    keys = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    result = run_webedt("check", "--verbose", DATABASE_URL=database_url, **bucket, **keys)
    assert result.returncode == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("files ")]
    assert "Error performing PUT http://127.0.0.1:9/bucket/probe/" in line
    assert "hunter2" not in result.stdout + result.stderr


def test_check_says_who_can_answer_and_why_others_cannot(database_url: str) -> None:
    result = run_webedt(
        "check", DATABASE_URL=database_url, WEBEDT_ENV="production", SESSION_SECRET="s" * 32,
        CLAUDE_AGENT_ID="a", CLAUDE_ENVIRONMENT_ID="e", DEPLOYMENT_KEYS="off", ANTHROPIC_API_KEY="hunter2",
    )  # fmt: skip
    lines = [
        line.removeprefix("provider").strip() for line in result.stdout.splitlines() if line.startswith("provider")
    ]
    found = {line.split("  ")[1]: line for line in lines}
    assert "off in production" in found["simulated"]
    assert "only for users with a key of their own" in found["claude"]
    assert found["claude"].endswith("(default)")
    result = run_webedt("check", DATABASE_URL=database_url)
    assert "ok  simulated  (default)" in result.stdout
    result = run_webedt("check", DATABASE_URL=database_url, WEBEDT_ENV="production", SESSION_SECRET="s" * 32)
    assert "no default" in result.stdout


async def test_check_says_whether_an_older_encryption_key_can_be_dropped(database_url: str) -> None:
    old, new = "o" * 32, "n" * 32
    connection = await asyncpg.connect(database_url)
    try:
        user = await connection.fetchval(
            "INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'a', 'x') RETURNING id"
        )
        for provider, key_id in (("a", Sealer([old]).key_id), ("b", Sealer([new]).key_id), ("c", b"unknown!")):
            await connection.execute("INSERT INTO credentials VALUES ($1, $2, $3, '')", user, provider, key_id)
    finally:
        await connection.close()
    both = await asyncio.to_thread(run_webedt, "check", DATABASE_URL=database_url, ENCRYPTION_KEY=f"{new},{old}")
    assert "1 sealed by the newest key (of ENCRYPTION_KEY), 1 by older ones" in both.stdout
    assert "1 cannot be read" in both.stdout
    assert both.returncode == 0
    without = await asyncio.to_thread(run_webedt, "check", DATABASE_URL=database_url, ENCRYPTION_KEY=new)
    assert "1 sealed by the newest key (of ENCRYPTION_KEY), 0 by older ones" in without.stdout
    assert "2 cannot be read" in without.stdout


async def test_check_says_whether_an_older_session_secret_can_be_dropped(database_url: str) -> None:
    old, new, user = "o" * 32, "n" * 32, uuid4()
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("INSERT INTO users (id, email, password_hash) VALUES ($1, 'a', 'x')", user)
        ids = [LoginTokens([old]).secret_id, LoginTokens([new]).secret_id, b"unknown!", None]
        await connection.executemany(
            "INSERT INTO sessions (id, token_hash, user_id, expires_at, secret_id) "
            "VALUES (gen_random_uuid(), $2::text::bytea, $1, now() + make_interval(days => $3), $4)",
            [(user, f"{place} {days}", days, one) for place, one in enumerate(ids) for days in (-1, 1)],
        )
    finally:
        await connection.close()
    both = await asyncio.to_thread(run_webedt, "check", DATABASE_URL=database_url, SESSION_SECRET=f"{new},{old}")
    assert [line.split(maxsplit=1)[1] for line in both.stdout.splitlines() if line.startswith("logins ")] == [
        "1 under the newest SESSION_SECRET, 1 under older ones",
        "1 not used since a version that did not say under which secret",
        "1 are not accepted: their SESSION_SECRET is not configured",
    ]
    without = await asyncio.to_thread(run_webedt, "check", DATABASE_URL=database_url, SESSION_SECRET=new)
    assert "1 under the newest SESSION_SECRET, 0 under older ones" in without.stdout
    assert "2 are not accepted" in without.stdout


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@redis",
        "redis://:hunt/er2@redis/0",
        "redis://:hunter2@redis:many",
        "redis://:hunter2@redis/hunter2",
        "rediss://:hunter2@redis?hunter2=1",
        "redis://:hunter2@",
    ],
)
def test_a_redis_url_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    (fault,) = faults_of({**DATABASE, "REDIS_URL": url})
    assert fault.startswith("REDIS_URL: ")
    assert "hunt" not in fault


def test_check_says_whether_redis_can_be_used(database_url: str, redis_url: str) -> None:
    result = run_webedt("check", DATABASE_URL=database_url, REDIS_URL=redis_url)
    assert result.returncode == 0
    assert f"redis          ok  {redis_url.rsplit('@', 1)[-1].removeprefix('redis://')}" in result.stdout
    result = run_webedt("check", "--verbose", DATABASE_URL=database_url, REDIS_URL="redis://:hunter2@127.0.0.1:1/0")
    assert result.returncode == 1
    assert "redis          cannot be used: " in result.stdout
    assert "127.0.0.1:1/0" in result.stdout
    assert "hunter" not in result.stdout + result.stderr


def test_check_says_which_migrations_are_missing(empty_database_url: str) -> None:
    result = run_webedt("check", DATABASE_URL=empty_database_url)
    assert result.returncode == 1
    assert "lacks 0001_initial" in result.stdout
    assert "webedt migrate" in result.stdout


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_BASE_URL", "https://user:hunter2@models.example.com/v1"),
        ("ANTHROPIC_BASE_URL", "http://hunter2@localhost:1"),
        ("COMMAND_PROVIDER", '["agent", "--token", "hunter2"'),
        ("ANTHROPIC_API_KEY", "hunter2 and more"),
        ("OPENAI_API_KEY", "hunter2\u00e4"),
        ("ENCRYPTION_KEY", "hunter2"),
    ],
)
def test_what_may_hold_a_secret_is_refused_without_quoting_it(variable: str, value: str) -> None:
    [fault] = faults_of({**DATABASE, variable: value})
    assert fault.startswith(variable)
    assert "hunter2" not in fault


def test_an_encryption_key_that_names_none_is_a_fault() -> None:
    assert names(faults_of({**DATABASE, "ENCRYPTION_KEY": ","})) == ["ENCRYPTION_KEY"]


def test_the_arguments_of_a_command_are_not_shown() -> None:
    [item] = [item for item in fields(Settings) if item.name == "command_provider"]
    assert item.metadata["secret"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("files", "must be s3://bucket/prefix or file:///directory"),
        ("file://host/files", "must be s3://bucket/prefix or file:///directory"),
        ("file:///", "must be s3://bucket/prefix or file:///directory"),
        ("s3://Not_A_Bucket/x", "must be s3://bucket/prefix or file:///directory"),
        ("s3://bucket/x?region=y", "must end behind its path"),
        ("s3://me:hunter2@bucket", "must not carry a user or a password"),
    ],
)
def test_a_place_for_files_that_is_none_is_refused(given: str, fault: str) -> None:
    (found,) = faults_of({**DATABASE, "STORAGE_URL": given})
    assert found.startswith(f"STORAGE_URL: {fault}")
    assert "hunter2" not in found


def test_files_have_a_place_without_any_setting() -> None:
    assert load_settings(DATABASE).storage_location == (Path.cwd() / ".webedt" / "files").as_uri()
    bucket = load_settings({**DATABASE, "STORAGE_URL": "s3://bucket/some/prefix", "AWS_DEFAULT_REGION": "eu-west-1"})
    assert (bucket.storage_location, bucket.aws_region) == ("s3://bucket/some/prefix", "eu-west-1")
    assert names(faults_of({**DATABASE, "AWS_ACCESS_KEY_ID": "x"})) == ["AWS_ACCESS_KEY_ID"]
    assert names(faults_of({**DATABASE, "AWS_ENDPOINT_URL": "http://minio:9000"})) == ["AWS_ENDPOINT_URL"]


def test_admins_are_read_as_accounts_are_stored() -> None:
    settings = load_settings({**DATABASE, "ADMIN_EMAILS": " Ops@Example.com, , second@example.com "})
    assert settings.admin_emails == ("ops@example.com", "second@example.com")


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "http://collector:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otel.example.com/otlp/"}, "https://otel.example.com/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/in"}, "http://collector:4318/in"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:2/v1/traces"},
            "http://b:2/v1/traces",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, ""),
    ],
)
def test_traces_go_where_the_variables_of_opentelemetry_say(given: dict[str, str], endpoint: str) -> None:
    assert load_settings({**DATABASE, **given}).traces_endpoint == endpoint


def test_headers_and_attributes_for_the_collector_are_read_as_opentelemetry_writes_them() -> None:
    settings = load_settings(
        {
            **DATABASE,
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20aHVudGVyMg==, x-tenant=a",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging",
        }
    )
    assert settings.otel_exporter_otlp_headers == (("Authorization", "Basic aHVudGVyMg=="), ("x-tenant", "a"))
    assert settings.otel_resource_attributes == (("deployment.environment.name", "staging"),)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318?key=hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ],
)
def test_what_cannot_be_traced_with_is_refused(variable: str, value: str) -> None:
    [fault] = faults_of({**DATABASE, variable: value})
    assert fault.startswith(f"{variable}: ")
    assert "hunter2" not in fault


def test_without_the_extra_an_endpoint_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webedt.config.find_spec", lambda _name: None)
    [fault] = faults_of({**DATABASE, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"})
    assert fault == "OTEL_EXPORTER_OTLP_ENDPOINT: needs webedt[tracing], which is not installed"
    load_settings(DATABASE)


async def test_check_says_whether_traces_can_be_sent(database_url: str) -> None:
    async def check(url: str) -> subprocess.CompletedProcess[str]:
        given = {"DATABASE_URL": database_url, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=hunter2"}
        return await asyncio.to_thread(run_webedt, "check", "--verbose", OTEL_EXPORTER_OTLP_ENDPOINT=url, **given)

    async with collector() as at:
        found = await check(at.url)
        assert found.returncode == 0
        assert f"traces         ok  {at.url}/v1/traces" in found.stdout.splitlines()
        assert at.headers[0]["x-key"] == "hunter2"
        at.refusing = 503
        refused = await check(at.url)
        assert refused.returncode == 1
        assert f"traces         are refused: 503 Service Unavailable  {at.url}/v1/traces" in refused.stdout.splitlines()
    away = await check("http://127.0.0.1:1")
    assert away.returncode == 1
    assert "traces         cannot be sent: ClientConnectorError  http://127.0.0.1:1" in away.stdout
    assert "hunter2" not in found.stdout + refused.stdout + away.stdout

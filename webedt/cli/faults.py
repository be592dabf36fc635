"""The configuration for a command, or all its faults at once, by name, and exit status 2."""

from collections.abc import Mapping

from webedt.cli.errors import CommandError
from webedt.config import Settings, load_settings
from webedt.domain.errors import ConfigurationError


def settings_or_fail(environ: Mapping[str, str], *, secret_required: bool = True) -> Settings:
    try:
        return load_settings(environ, secret_required=secret_required)
    except ConfigurationError as error:
        faults = "\n".join(f"  {fault}" for fault in error.faults)
        raise CommandError(f"the configuration is not valid:\n{faults}", exit_status=2) from error

"""WebEDT: a backend on which AI coding sessions run."""

from importlib.metadata import PackageNotFoundError, version


def __getattr__(name: str) -> str:
    """Look `__version__` up when somebody asks for it; reading the metadata would slow down every import."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return version("webedt")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"

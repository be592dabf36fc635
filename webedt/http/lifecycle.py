"""Where this process is in its life: the daemon moves it, the probes and the pipeline read it."""

import time


class Lifecycle:
    """`initialized`: every service has started. `draining`: the process was told to go."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.draining = False
        self.initialized = False

    @property
    def uptime_seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)

"""The wire: routes, handlers, problems, streams. A handler reads, calls one service, answers."""

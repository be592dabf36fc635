"""The event log, the heart: how events become durable, numbered and visible.

In: `producer` (one a run) → `writer` (one a replica, group commit). Out: `replay` (pages of bytes from the database)
and `tail` (one a session with readers here). The invariants stand in those four files.
"""

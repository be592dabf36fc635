-- The trace that a run belongs to, whichever replica drives it. A column that may be missing costs no rewrite.

ALTER TABLE runs ADD COLUMN traceparent text;

INSERT INTO schema_migrations (version, name) VALUES (7, 'tracing');

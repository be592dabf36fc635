-- Which SESSION_SECRET a login is stored under. Null: it was stored by a version that did not say, and has not been used
-- since; versions that know nothing of the column go on storing so.

ALTER TABLE sessions ADD COLUMN secret_id bytea;

INSERT INTO schema_migrations (version, name) VALUES (6, 'login_secrets');

-- name: find_valid_passes
-- The sweep's one question for all open streams: which of these logins, and which of these share links and the sessions
-- behind them, still hold? An id is one or the other; both kinds are random.
SELECT id FROM sessions WHERE id = ANY ($1::uuid[]) AND expires_at > now()
UNION ALL
SELECT sh.id
FROM shares sh
JOIN chat_sessions s ON s.id = sh.chat_session_id
WHERE sh.id = ANY ($1::uuid[]) AND (sh.expires_at IS NULL OR sh.expires_at > now()) AND s.deleted_at IS NULL;

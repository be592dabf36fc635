"""The rules of the wire contract that checks refer to, each in a sentence or two. A failed check prints its rule."""

RULES = {
    # Streams
    "ids": "Event ids of a session are 1, 2, 3, … without gap, double or reordering, on whatever replica. Where deltas "
    "were removed later, a later `message` whose `replacesFrom` is at or below the gap explains it.",
    "bytes": "Bytes once sent never change: a replay is what was sent live, on every replica.",
    "resume": "GET /api/resume/{id} sends the events after `Last-Event-ID` (or `?lastEventId=`), then goes on live "
    "until nothing is queued or running; then the server ends the stream.",
    "cursor": "The header `Last-Event-ID` wins over the query. An unparsable or too high value counts as 0, and the "
    "stream begins with a `reset` frame; none or an empty one counts as 0 without it.",
    "nothing": "Nothing after the cursor and nothing running or queued: 204, which stops an EventSource.",
    "deltas": "`?deltas=0`: whole messages only, no deltas.",
    "headers": "A stream is `Content-Type: text/event-stream`, `Cache-Control: no-cache, no-transform`, "
    "`X-Accel-Buffering: no`, without `Content-Length`.",
    "lines": "Lines of a stream end with LF alone, a blank line ends each frame, and no frame is left half-written.",
    "frames": "A frame of the log is `id: 7`, `event: type`, `data: {…}`: three lines in this order, the data one line "
    "of JSON.",
    "control": "Frames outside the log (`caught_up`, `reset`, `draining`) carry no id, so they never move a cursor.",
    "retry": "A stream begins with `retry:`.",
    "caught-up": "`caught_up {lastEventId, status}` comes once, after the replay.",
    "keep-alive": "A comment comes about every 15 s where nothing else does.",
    "events": "Log events have the types and members of the contract; each names its `runId`.",
    "text": "Text can break no frame and comes back as it was. NUL and unpaired surrogates become U+FFFD.",
    "overload": "A GET stream that cannot be served now answers an EventSource with 200, `retry:` and a clean end; "
    "other clients get 429 or 503 with `Retry-After`.",
    # Runs
    "execute": "POST /api/execute-remote answers 200 `text/event-stream` with `X-Session-ID`, `X-Run-ID` and "
    "`Location: /api/resume/{sessionId}`.",
    "post-scope": "The POST's stream goes from its own `user_message` to its own terminal event, also on an existing "
    "session and when it waits in the queue; between the two it is unfiltered.",
    "async": "With `Prefer: respond-async`: 202 `{sessionId, runId, status}` and `Location: /api/resume/{sessionId}`.",
    "detached": "A run does not depend on the connection that started it.",
    "one-end": "Exactly one of completed, failed and interrupted ends each run.",
    "message": "`message` is the whole message; `replacesFrom` is the id of its first delta or null.",
    "failed": "A run that fails ends with `failed {runId, code, message, retryable}`.",
    "own-session": "`websiteSessionId` must be the caller's own session, else 404.",
    "follow": "GET /api/sessions/{id}/events/stream is as resume, but stays open over later runs.",
    "pages": "GET /api/sessions/{id}/events answers `{events:[{id,type,data,runId,createdAt}], lastEventId, status}`; "
    "`wait` holds an empty answer that many seconds.",
    "send": "POST /api/sessions/{id}/send answers 202 `{sessionId, runId, status, position}`.",
    "busy": "On a busy session `onBusy` is queue (the default: one after the other, in order), interrupt, or reject "
    "(409).",
    "interrupt": 'POST /api/sessions/{id}/interrupt answers 202 `{sessionId, runId, status:"interrupting"}` on any '
    "replica, again for the same run the same; nothing running or queued, or a run that has ended: 409.",
    "queue-goes-on": "The queue goes on after an interrupt.",
    "idempotency": "Same user, `Idempotency-Key` and body (as JSON): the same run. Another body: 409. Keys are "
    "per user and route.",
    # Everything else
    "problems": "Errors are `application/problem+json` `{type,title,status,code,detail,requestId,errors?}` with the "
    "code of their status.",
    "ids-404": "A malformed id is `not_found`.",
    "api-404": "Unknown `/api/*` paths are JSON 404, never the web app.",
    "request-id": "Every response has `X-Request-ID`: the caller's if it is sane, at most 128 printable characters.",
    "container-id": "Every response has `X-Container-ID`.",
    "formats": "Times are ISO 8601 UTC with `Z`, ids are UUID strings.",
    "csrf": "With the cookie, unsafe methods need an `Origin` (or `Sec-Fetch-Site: same-origin`) of this host, else "
    "403; with Bearer they do not. Login and register refuse a foreign `Origin` and accept none at all.",
    "safe-get": "No GET has side effects.",
    "strangers": "Strangers see nothing: another user's id answers exactly as an id that does not exist.",
    "login": "Register 201, login 200: `{user:{id,email,displayName,createdAt}, session:{id,expiresAt}}` and the "
    "cookie; 401 is one text for unknown user and wrong password; 409 taken, whatever the case of the email.",
    "logins": "GET /api/auth/sessions lists `{id,createdAt,expiresAt,userAgent,current}`; such an id never logs in.",
    "goodbye": "Logout and revocation end open streams within seconds.",
    "share": "POST /api/sessions/{id}/share `{expiresInDays?: 1..365}` answers `{shareToken, url, expiresAt}`. "
    "GET /api/shared/{token} and its /events/stream need no login, are read-only, and answer 404 to an unknown token.",
    "unshare": "DELETE /api/sessions/{id}/share answers 204. An unshared link ends open streams within seconds, and so "
    "does a deleted session; the link is then 404.",
    "session": "A session is `{id, title, status, provider, model, repositoryUrl, branch, favorite, lastEventId, "
    "createdAt, updatedAt, completedAt, deletedAt}`.",
    "list": "GET /api/sessions?status=&q=&deleted=&limit=&cursor= answers `{sessions, nextCursor}`.",
    "patch": "PATCH `{title?, favorite?}` answers `{session}`.",
    "delete": "DELETE answers 204, ends queued runs, interrupts the running one and ends its streams; restore brings "
    "the session back.",
    "updates": "GET /api/sessions/updates is a stream of `created|updated|status_changed|deleted` with `{session}`, "
    "first a `snapshot` of the newest 50.",
    "files": "GET /api/sessions/{id}/files answers `{files:[{path,size,modifiedAt}], usedBytes, quotaBytes}`; GET, PUT "
    "and DELETE …/files/{path} are raw bytes with an `ETag`; nothing escapes from the session's own space.",
    "rate": "More than 10 login or register attempts a minute and address: 429 (where that limit is on).",
    "openapi": "/api/openapi.json says the same.",
    "probes": "/health, /live and /ready answer 200 with `{status, …}`.",
    "status": "/health/status says how replica and fleet are, in the documented shape.",
    "metrics": "/metrics is Prometheus text (OpenMetrics when asked), each sample with the label `container`.",
}

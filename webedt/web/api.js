// The server's answers as values, its refusals as ApiError. The only module that calls fetch.

export class ApiError extends Error {
  constructor(status, problem, retryAfterSeconds) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    Object.assign(this, { status, code: problem.code ?? '', errors: problem.errors ?? [], retryAfterSeconds });
  }
}

async function call(method, path, body, headers = {}) {
  const options = { method, headers: { Accept: 'application/json', ...headers } };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options).catch(() => {
    throw new ApiError(0, { code: 'unreachable', detail: 'The server cannot be reached.' });
  });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer ?? {}, Number(response.headers.get('Retry-After')) || 0);
  return answer;
}

const session = (id) => `/api/sessions/${encodeURIComponent(id)}`;

export const whoAmI = () => call('GET', '/api/auth/session');
export const login = (account) => call('POST', '/api/auth/login', account);
export const register = (account) => call('POST', '/api/auth/register', account);
export const logout = () => call('POST', '/api/auth/logout');

export const getSession = async (id) => (await call('GET', session(id))).session;
export const listSessions = (cursor) => call('GET', `/api/sessions?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
export const interrupt = (id, runId) => call('POST', `${session(id)}/interrupt`, { runId });

export const execute = (body, key) => call('POST', '/api/execute-remote', body, { Prefer: 'respond-async', 'Idempotency-Key': key });
export const send = (id, body, key) => call('POST', `${session(id)}/send`, body, { 'Idempotency-Key': key });

export const updatesUrl = () => '/api/sessions/updates';
export const eventsUrl = (id, lastId) => `${session(id)}/events/stream?lastEventId=${lastId}`;

export const eventsPage = (id, after, limit) => call('GET', `${session(id)}/events?after=${after}&limit=${limit}`);

const shared = (token) => `/api/shared/${encodeURIComponent(token)}`;

export const getShared = (token) => call('GET', shared(token));
export const sharedEventsUrl = (token, lastId) => `${shared(token)}/events/stream?lastEventId=${lastId}`;

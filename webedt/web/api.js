// What this page asks the server for. Refusals come as WebEDTError.
import { createClient } from './client.js';

export const client = createClient();

const call = (method, path, body) => client.request(method, path, { body });
const once = (path, body, key, headers) => client.request('POST', path, { body, headers: { ...headers, 'Idempotency-Key': key }, isRepeatable: true });
const session = (id) => `/api/sessions/${encodeURIComponent(id)}`;
export { call }; // for the modules of what else the page asks: sessions-api.js, account-api.js, files-api.js

export const whoAmI = () => call('GET', '/api/auth/session');
export const login = (account) => call('POST', '/api/auth/login', account);
export const register = (account) => call('POST', '/api/auth/register', account);
export const logout = () => call('POST', '/api/auth/logout');

export const getSession = async (id) => (await call('GET', session(id))).session;
export const interrupt = (id, runId) => client.interrupt(id, runId);

export const updatesUrl = () => '/api/sessions/updates';
export const eventsUrl = (id, lastId) => `${session(id)}/events/stream?lastEventId=${lastId}`;

export const execute = (body, key) => once('/api/execute-remote', body, key, { Prefer: 'respond-async' });
export const send = (id, body, key) => once(`${session(id)}/send`, body, key);
export const eventsPage = (id, after, limit) => call('GET', `${session(id)}/events?after=${after}&limit=${limit}`);

const shared = (token) => `/api/shared/${encodeURIComponent(token)}`;

export const getShared = (token) => call('GET', shared(token));
export const sharedEventsUrl = (token, lastId) => `${shared(token)}/events/stream?lastEventId=${lastId}`;

// What the list asks of the server.
import { call } from './api.js';
import { listUrl } from './list-query.js';

const session = (id) => `/api/sessions/${encodeURIComponent(id)}`;

export const listSessions = (query, cursor) => call('GET', listUrl(query, cursor));
export const changeSession = async (id, change) => (await call('PATCH', session(id), change)).session;
export const deleteSession = (id) => call('DELETE', session(id));
export const restoreSession = async (id) => (await call('POST', `${session(id)}/restore`)).session;

export const shareSession = (id, terms) => call('POST', `${session(id)}/share`, terms);
export const unshareSession = (id) => call('DELETE', `${session(id)}/share`);

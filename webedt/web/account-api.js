// What concerns the account: providers, defaults, keys, logins, and what else it may see.
import { call } from './api.js';

export const listProviders = () => call('GET', '/api/providers');
export const changePreferences = (change) => call('PATCH', '/api/user/preferences', change);
export const readPreferences = () => call('GET', '/api/user/preferences');

const credential = (provider) => `/api/user/credentials/${encodeURIComponent(provider)}`;
export const listKeys = async () => (await call('GET', '/api/user/credentials')).providers;
export const storeKey = (provider, apiKey) => call('PUT', credential(provider), { apiKey });
export const removeKey = (provider) => call('DELETE', credential(provider));

export const listLogins = async () => (await call('GET', '/api/auth/sessions')).sessions;
export const endLogin = (id) => call('DELETE', `/api/auth/sessions/${encodeURIComponent(id)}`);
export const endAllLogins = () => call('POST', '/api/auth/logout-all');

export const readAccess = () => call('GET', '/api/user/access');
export const readOperations = () => call('GET', '/api/operations');

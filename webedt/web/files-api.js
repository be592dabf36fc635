// A session's files.
import { call } from './api.js';
import { fileUrl, filesUrl } from './file-names.js';

export const listFiles = (sessionId) => call('GET', filesUrl(sessionId));
export const deleteFile = (sessionId, path) => call('DELETE', fileUrl(sessionId, path));

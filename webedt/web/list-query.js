// What the list is asked for: by words, by status, favorites, or the trash. Pure.
import { STATUS_WORDS } from './words.js';

export const EVERYTHING = { text: '', status: null, favorite: false, deleted: false };

// `show` is a value of the filter: all, favorite, trash, or a status.
export function queryOf(text, show) {
  return { text: text.trim(), status: Object.hasOwn(STATUS_WORDS, show) ? show : null, favorite: show === 'favorite', deleted: show === 'trash' };
}

export const isEverything = ({ text, status, favorite, deleted }) => !(text || status || favorite || deleted);

// As the server judges, so that a change that comes by itself stands where a new search would put it.
export function matches(session, query) {
  return Boolean(session.deletedAt) === query.deleted
    && (!query.status || session.status === query.status)
    && (!query.favorite || session.favorite)
    && (session.title ?? '').toLowerCase().includes(query.text.toLowerCase());
}

export function listUrl(query, cursor) {
  const asked = { limit: 50, q: query.text, status: query.status, favorite: query.favorite && 1, deleted: query.deleted && 1, cursor };
  const given = Object.entries(asked).filter(([, value]) => value);
  return `/api/sessions?${new URLSearchParams(given)}`;
}

export function emptyWords(query) {
  if (query.text) return `No ${query.deleted ? 'deleted ' : ''}session's title has “${query.text}” in it.`;
  if (query.deleted) return 'The trash is empty.';
  if (query.favorite) return 'No favorites yet. A star beside a session makes it one.';
  if (query.status) return `No session is ${STATUS_WORDS[query.status].toLowerCase()}.`;
  return 'Nothing here yet. Your sessions will appear as you start them.';
}

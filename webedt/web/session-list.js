// My sessions after their update events: (sessions, type, data, query) -> sessions, newest first. Pure.
import { EVERYTHING, matches } from './list-query.js';

const newestFirst = (a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : a.id < b.id ? 1 : -1);
const without = (sessions, id) => sessions.filter((session) => session.id !== id);

const onUpdate = {
  snapshot: (sessions, data) => [...data.sessions, ...olderThan(sessions, data.sessions)],
  created: put,
  updated: put,
  status_changed: put,
  deleted: (sessions, data, query) => (query.deleted ? put(sessions, data, query) : without(sessions, data.session.id)),
  page: (sessions, data, query) => data.sessions.reduce((all, session) => put(all, { session }, query), sessions),
};

export const UPDATE_TYPES = ['snapshot', 'created', 'updated', 'status_changed', 'deleted'];
export const SNAPSHOT_SIZE = 50;

export function reduceList(sessions, type, data, query = EVERYTHING) {
  return [...onUpdate[type](sessions, data, query)].sort(newestFirst);
}

// Two replicas may tell two changes in reverse.
function put(sessions, { session }, query) {
  if (sessions.some(({ id, updatedAt }) => id === session.id && updatedAt > session.updatedAt)) return sessions;
  return matches(session, query) ? [...without(sessions, session.id), session] : without(sessions, session.id);
}

// A snapshot shorter than its limit is everything; a full one says nothing of sessions older than its last.
function olderThan(sessions, newest) {
  if (newest.length < SNAPSHOT_SIZE) return [];
  const last = [...newest].sort(newestFirst).at(-1);
  return sessions.filter((session) => newestFirst(session, last) > 0);
}

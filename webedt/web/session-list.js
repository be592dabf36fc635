// My sessions after their update events: (sessions, type, data) -> sessions, newest first. Pure.

const newestFirst = (a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : a.id < b.id ? 1 : -1);
const without = (sessions, id) => sessions.filter((session) => session.id !== id);

const onUpdate = {
  snapshot: (sessions, data) => [...data.sessions, ...olderThan(sessions, data.sessions)],
  created: put,
  updated: put,
  status_changed: put,
  deleted: (sessions, data) => without(sessions, data.session.id),
  page: (sessions, data) => data.sessions.reduce((all, session) => put(all, { session }), sessions),
};

export const UPDATE_TYPES = ['snapshot', 'created', 'updated', 'status_changed', 'deleted'];
export const SNAPSHOT_SIZE = 50;

export function reduceList(sessions, type, data) {
  return [...onUpdate[type](sessions, data)].sort(newestFirst);
}

// Two replicas may tell two changes in reverse.
function put(sessions, { session }) {
  if (sessions.some(({ id, updatedAt }) => id === session.id && updatedAt > session.updatedAt)) return sessions;
  return session.deletedAt ? without(sessions, session.id) : [...without(sessions, session.id), session];
}

// A snapshot shorter than its limit is everything; a full one says nothing of sessions older than its last.
function olderThan(sessions, newest) {
  if (newest.length < SNAPSHOT_SIZE) return [];
  const last = [...newest].sort(newestFirst).at(-1);
  return sessions.filter((session) => newestFirst(session, last) > 0);
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reduceList, SNAPSHOT_SIZE } from '../../webedt/web/session-list.js';

const session = (n, more = {}) => ({ id: `s${n}`, title: `title ${n}`, status: 'running', createdAt: `2025-01-01T00:${String(n).padStart(2, '0')}:00Z`, deletedAt: null, ...more });
const ids = (sessions) => sessions.map(({ id }) => id);
const newest = (from, count) => Array.from({ length: count }, (_, i) => session(from - i));

test('a created session stands first, and a change does not move it', () => {
  const list = reduceList(reduceList([session(1)], 'created', { session: session(2) }), 'status_changed', { session: session(1, { status: 'failed' }) });
  assert.deepEqual(ids(list), ['s2', 's1']);
  assert.equal(list[1].status, 'failed');
});

test('a deleted session leaves, and comes back when it is restored', () => {
  const list = reduceList([session(2), session(1)], 'deleted', { session: session(2) });
  assert.deepEqual(ids(list), ['s1']);
  assert.deepEqual(ids(reduceList(list, 'updated', { session: session(2) })), ['s2', 's1']);
});

test('a snapshot after a reconnect drops what was deleted meanwhile', () => {
  assert.deepEqual(ids(reduceList([session(3), session(2), session(1)], 'snapshot', { sessions: [session(2)] })), ['s2']);
});

test('a full snapshot keeps the older pages that were already read', () => {
  const list = reduceList([session(59), session(2), session(1)], 'snapshot', { sessions: newest(58, SNAPSHOT_SIZE) });
  assert.equal(list.length, SNAPSHOT_SIZE + 2);
  assert.deepEqual(ids(list).slice(-2), ['s2', 's1']);
});

test('an older page adds no session twice', () => {
  assert.deepEqual(ids(reduceList([session(3), session(2)], 'page', { sessions: [session(2), session(1)] })), ['s3', 's2', 's1']);
});

test('an older state of a session that comes late does not win', () => {
  const list = reduceList([session(1, { status: 'completed', updatedAt: '2025-01-01T00:02:00Z' })], 'updated', {
    session: session(1, { status: 'running', updatedAt: '2025-01-01T00:01:00Z' }),
  });
  assert.equal(list[0].status, 'completed');
});

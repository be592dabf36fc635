import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyWords, EVERYTHING, isEverything, listUrl, matches, queryOf } from '../../webedt/web/list-query.js';
import { reduceList } from '../../webedt/web/session-list.js';

const session = (n, more = {}) => ({ id: `s${n}`, title: `title ${n}`, status: 'completed', favorite: false, deletedAt: null, createdAt: `2025-01-01T00:0${n}:00Z`, updatedAt: '2025-01-01T01:00:00Z', ...more });
const ids = (sessions) => sessions.map(({ id }) => id);
const DELETED = '2025-01-02T00:00:00Z';

test('the filter is a status, favorites, the trash, or everything', () => {
  assert.deepEqual(queryOf('  a b ', 'failed'), { text: 'a b', status: 'failed', favorite: false, deleted: false });
  assert.equal(queryOf('', 'favorite').favorite, true);
  assert.equal(queryOf('', 'trash').deleted, true);
  assert.ok(isEverything(queryOf(' ', 'all')));
  for (const show of ['running', 'favorite', 'trash']) assert.ok(!isEverything(queryOf('', show)), show);
  assert.ok(!isEverything(queryOf('x', 'all')));
  assert.equal(queryOf('', 'toString').status, null);
});

test('the server is asked for what was typed, and for nothing that was not', () => {
  assert.equal(listUrl(EVERYTHING), '/api/sessions?limit=50');
  assert.equal(listUrl(queryOf('a&status=failed #1', 'running'), 'c=='), '/api/sessions?limit=50&q=a%26status%3Dfailed+%231&status=running&cursor=c%3D%3D');
  assert.equal(listUrl(queryOf('', 'favorite')), '/api/sessions?limit=50&favorite=1');
  assert.equal(listUrl(queryOf('', 'trash')), '/api/sessions?limit=50&deleted=1');
});

test('a change enters and leaves a searched list as a new search would say', () => {
  const query = queryOf('PARSER', 'running');
  assert.ok(matches(session(1, { title: 'The parser', status: 'running' }), query));
  assert.ok(!matches(session(1, { title: 'The parser' }), query));
  assert.ok(!matches(session(1, { title: null, status: 'running' }), query));
  let list = reduceList([], 'created', { session: session(1, { title: 'a parser', status: 'running' }) }, query);
  list = reduceList(list, 'created', { session: session(2, { status: 'running' }) }, query);
  assert.deepEqual(ids(list), ['s1']);
  assert.deepEqual(ids(reduceList(list, 'status_changed', { session: session(1, { title: 'a parser' }) }, query)), []);
});

test('a session that is no favorite any more leaves the favorites', () => {
  const query = queryOf('', 'favorite');
  const list = reduceList([], 'page', { sessions: [session(1, { favorite: true }), session(2)] }, query);
  assert.deepEqual(ids(list), ['s1']);
  assert.deepEqual(ids(reduceList(list, 'updated', { session: session(1) }, query)), []);
});

test('what is deleted moves to the trash, and what is restored moves back', () => {
  const trash = queryOf('', 'trash');
  const gone = { session: session(1, { deletedAt: DELETED }) };
  assert.deepEqual(ids(reduceList([], 'deleted', gone, trash)), ['s1']);
  assert.deepEqual(ids(reduceList([session(1)], 'deleted', gone)), []);
  assert.deepEqual(ids(reduceList([session(1)], 'updated', gone)), []);
  assert.deepEqual(ids(reduceList([gone.session], 'updated', { session: session(1, { updatedAt: '2025-01-03T00:00:00Z' }) }, trash)), []);
});

test('what was shown too early is undone by what was there before', () => {
  const before = session(1);
  const hurried = reduceList([before], 'updated', { session: { ...before, favorite: true } });
  assert.equal(hurried[0].favorite, true);
  assert.equal(reduceList(hurried, 'updated', { session: before })[0].favorite, false);
  const newer = session(1, { title: 'renamed elsewhere', updatedAt: '2025-01-01T02:00:00Z' });
  assert.equal(reduceList([newer], 'updated', { session: before })[0].title, 'renamed elsewhere');
});

test('an empty list says why it is empty', () => {
  assert.match(emptyWords(queryOf('x<b>', 'all')), /“x<b>”/);
  assert.match(emptyWords(queryOf('x', 'trash')), /deleted session/);
  assert.match(emptyWords(queryOf('', 'trash')), /trash is empty/);
  assert.match(emptyWords(queryOf('', 'favorite')), /No favorites/);
  assert.match(emptyWords(queryOf('', 'pending')), /queued/);
  assert.match(emptyWords(EVERYTHING), /Nothing here yet/);
});

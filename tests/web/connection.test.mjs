import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectionWords, isTrouble, nextPhase } from '../../webedt/web/connection.js';

const after = (...signals) => signals.reduce(nextPhase, 'connecting');

test('a stream is live once it has caught up, and in trouble when it was lost', () => {
  assert.equal(after('opened'), 'catching up');
  assert.equal(after('opened', 'caught_up'), 'live');
  assert.equal(after('opened', 'caught_up', 'lost'), 'reconnecting');
  assert.ok(isTrouble(after('opened', 'caught_up', 'lost')));
});

test('a server that said that it restarts is not called lost', () => {
  assert.equal(after('opened', 'caught_up', 'draining', 'lost'), 'draining');
});

test('a first connection that does not come about is still the first', () => {
  assert.equal(after('lost'), 'connecting');
});

test('words say when the next try is, and that the network is away', () => {
  assert.equal(connectionWords('reconnecting', true, { retryInSeconds: 3 }), 'Reconnecting in 3 s');
  assert.equal(connectionWords('reconnecting', true, { retryInSeconds: 0 }), 'Reconnecting…');
  assert.equal(connectionWords('reconnecting', true, { retryInSeconds: 3, isOffline: true }), 'Offline: continues when the network is back');
});

test('words say that another server took over, while that is news', () => {
  assert.equal(connectionWords('live', true), 'Live');
  assert.equal(connectionWords('live', false), 'Caught up');
  assert.equal(connectionWords('live', true, { isElsewhere: true }), 'Live · another server took over');
});

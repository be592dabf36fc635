import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../webedt/web/client.js';

const event = (id, type = 'text_delta', data = {}) => ({ id, type, data });
const message = (id, replacesFrom) => event(id, 'message', { replacesFrom });
const taken = (ledger, ...events) => events.map((one) => ledger.take(one).map(({ id }) => id));

test('each id is let through once and in order', () => {
  const ledger = new Ledger();
  assert.deepEqual(taken(ledger, event(1), event(1), event(2), event(1), event(3)), [[1], [], [2], [], [3]]);
  assert.equal(ledger.cursor, 3);
});

test('what comes behind a gap waits for the message that explains it', () => {
  const ledger = new Ledger(2);
  assert.deepEqual(taken(ledger, event(5, 'tool_use'), event(6), message(7, 3), event(8)), [[], [], [5, 6, 7], [8]]);
});

test('a message explains a gap from its first delta on, also when the reader has seen some of them', () => {
  assert.deepEqual(taken(new Ledger(5), message(9, 2)), [[9]]);
  assert.deepEqual(taken(new Ledger(5), message(9, 6)), [[9]]);
  assert.deepEqual(taken(new Ledger(5), message(9, 7)), [[]]);
  assert.deepEqual(taken(new Ledger(5), message(9, null)), [[]]);
});

test('two messages whose deltas were mixed explain one gap together', () => {
  assert.deepEqual(taken(new Ledger(2), message(7, 5), message(8, 3)), [[], [7, 8]]);
});

test('every gap needs an explanation of its own', () => {
  const ledger = new Ledger(1);
  assert.deepEqual(taken(ledger, event(3), event(6), message(7, 5)), [[], [], []]);
  assert.throws(() => ledger.settle(7), { code: 'gap', after: 1, next: 3 });
});

test('live, a gap is an error at once, unless the event itself explains it', () => {
  const ledger = new Ledger(1);
  ledger.settle(1);
  assert.deepEqual(taken(ledger, message(4, 2)), [[4]]);
  assert.throws(() => ledger.take(event(6)), { code: 'gap', after: 4, next: 6 });
});

test('a replay that said it went further than its events did is an error', () => {
  assert.throws(() => new Ledger(3).settle(4), { code: 'gap', after: 3, next: 5 });
});

test('behind a gap the next connection begins where the last good event was', () => {
  const ledger = new Ledger(1);
  taken(ledger, event(3), event(4));
  ledger.restart();
  assert.equal(ledger.cursor, 1);
  assert.deepEqual(taken(ledger, event(2), event(3)), [[2], [3]]);
});

test('a cursor that is not known yet is set by the first event', () => {
  assert.deepEqual(taken(new Ledger(null), event(41), event(42)), [[41], [42]]);
});

test('without deltas ids jump by request, and are still once and in order', () => {
  const ledger = new Ledger(0, false);
  assert.deepEqual(taken(ledger, event(1), event(9), event(4), event(12)), [[1], [9], [], [12]]);
  ledger.settle(20);
});

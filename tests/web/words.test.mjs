import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durationWords, elapsedWords, noteWords, outcomeWords, progressWords, statusWords, totalWords } from '../../webedt/web/words.js';

const run = (facts) => ({ runId: 'r', status: 'completed', items: [], usage: null, startedId: 1, ...facts });

test('an answer that was refused or cut is not called completed', () => {
  assert.equal(outcomeWords(run({ stopReason: 'end_turn', durationMs: 1200, model: 'm' }), 0), 'Completed · 1.2 s · m');
  assert.match(outcomeWords(run({ stopReason: 'refusal' }), 0), /declined/);
  assert.match(outcomeWords(run({ stopReason: 'max_tokens' }), 0), /length limit/);
  assert.equal(outcomeWords(run({ stopReason: 'a_new_reason' }), 0), 'Ended: a new reason');
  assert.equal(statusWords('completed', run({ stopReason: 'refusal' })), 'Declined');
  assert.equal(statusWords('completed', run({ stopReason: 'end_turn' })), 'Completed');
  assert.equal(statusWords('running', run({ stopReason: 'refusal' })), 'Running');
  assert.equal(statusWords(null, undefined), '');
});

test('a failure says its words, and its code only where there are none', () => {
  assert.equal(outcomeWords(run({ status: 'failed', message: 'It is overloaded.', code: 'x' }), 0), 'Failed: It is overloaded');
  assert.equal(outcomeWords(run({ status: 'failed', message: '', code: 'too_many_attempts' }), 0), 'Failed: its server was lost too often');
});

test('a prompt that was taken back before its turn was not interrupted', () => {
  assert.equal(outcomeWords(run({ status: 'interrupted', startedId: undefined }), 0), 'Cancelled before it began');
  assert.equal(outcomeWords(run({ status: 'interrupted' }), 0), 'Interrupted');
});

test('a restart says why in words and never by a code', () => {
  assert.match(noteWords({ about: 'restarted', attempt: 2, reason: 'replica_lost' }), /\(attempt 2\): the server it ran on was lost\. Its unfinished answer was dropped/);
  assert.equal(noteWords({ about: 'restarted', attempt: 2, reason: 'invented_later' }), 'This run began again (attempt 2). Its unfinished answer was dropped.');
  assert.match(noteWords({ about: 'recovered', attempt: 3 }), /Another server continued/);
});

test('what a run is doing comes from the newest that it said', () => {
  const doing = (...items) => progressWords(run({ status: 'running', items, model: 'm' }));
  const message = (type, done = false) => ({ kind: 'message', done, parts: [{ type, text: 'x' }] });
  assert.equal(doing(), 'Waiting for the answer · m');
  assert.equal(doing(message('thinking')), 'Thinking · m');
  assert.equal(doing(message('text'), { kind: 'note' }), 'Writing · m');
  assert.equal(doing(message('text', true), { kind: 'tool', name: 'Bash', result: null }), 'Running Bash · m');
  assert.equal(doing({ kind: 'tool', name: 'Bash', result: {} }), 'Working · m');
});

test('time that goes on is shown like a clock, and never below nothing', () => {
  assert.deepEqual([-5000, 0, 7999, 61000, 3723000].map(elapsedWords), ['0:00', '0:00', '0:07', '1:01', '1:02:03']);
  assert.deepEqual([900, 59900, 61000, 3660000].map(durationWords), ['0.9 s', '60 s', '1 min 1 s', '1 h 1 min']);
});

test('the total is there once something is known, or while it is expected', () => {
  assert.equal(totalWords({ inputTokens: 0, outputTokens: 0 }), '');
  assert.equal(totalWords({ inputTokens: 0, outputTokens: 0 }, true), '0 tokens');
  assert.equal(totalWords({ inputTokens: 48213, outputTokens: 1822, costUsd: 0.3134 }), '50,035 tokens · $0.3134');
  assert.equal(totalWords({ inputTokens: 0, outputTokens: 0, costUsd: 2 }), '0 tokens · $2.00');
});

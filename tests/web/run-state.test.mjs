import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY, reduceAll } from '../../webedt/web/reducer.js';
import { answerText, promptText, totalUsage, waitingRuns } from '../../webedt/web/run-state.js';

const event = (id, runId, type, data = {}) => ({ id, type, data: { runId, ...data } });
const prompt = (id, runId, text) => event(id, runId, 'user_message', { content: [{ type: 'text', text }, { type: 'image', source: {} }] });

test('prompts behind the running one wait, and the first of several that nobody runs does not', () => {
  const queued = reduceAll(EMPTY, [prompt(1, 'a', 'x'), prompt(2, 'b', 'y')]);
  assert.deepEqual(waitingRuns(queued).map(({ runId }) => runId), ['b']);
  const running = reduceAll(queued, [event(3, 'a', 'run_started'), prompt(4, 'c', 'z')]);
  assert.deepEqual(waitingRuns(running).map(({ runId }) => runId), ['b', 'c']);
  assert.deepEqual(waitingRuns(reduceAll(running, [event(5, 'b', 'interrupted')])).map(({ runId }) => runId), ['c']);
  assert.equal(promptText(queued.runs[0]), 'x');
});

test('the usage of all runs adds up, with the cost of those that told it', () => {
  const usage = (id, runId, costUsd) => event(id, runId, 'usage', { inputTokens: 2, outputTokens: 3, ...(costUsd && { costUsd }) });
  assert.deepEqual(totalUsage(reduceAll(EMPTY, [usage(1, 'a'), usage(2, 'b')])), { inputTokens: 4, outputTokens: 6 });
  assert.deepEqual(totalUsage(reduceAll(EMPTY, [usage(1, 'a'), usage(2, 'b', 0.5)])), { inputTokens: 4, outputTokens: 6, costUsd: 0.5 });
});

test('the text of an answer is copied as the model wrote it, without its thoughts and tools', () => {
  const content = [{ type: 'thinking', thinking: 'hm' }, { type: 'text', text: '**a**\n' }];
  const state = reduceAll(EMPTY, [
    event(1, 'a', 'message', { messageId: 'm', content, replacesFrom: null }),
    event(2, 'a', 'tool_use', { messageId: 'm', toolUseId: 't', name: 'x', input: {} }),
    event(3, 'a', 'message', { messageId: 'n', content: 'b', replacesFrom: null }),
  ]);
  assert.equal(answerText(state.runs[0]), '**a**\n\nb');
});

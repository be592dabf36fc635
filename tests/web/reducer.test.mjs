import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY, LOG_TYPES, reduce, reduceAll } from '../../webedt/web/reducer.js';
import { activeRun, queuePosition, statusOf } from '../../webedt/web/run-state.js';

const after = (events, state = EMPTY) => events.reduce(reduce, state);
const event = (id, type, data = {}) => ({ id, type, data: { runId: 'r1', ...data } });
const delta = (id, text, messageId = 'm1') => event(id, 'text_delta', { messageId, text });
const message = (id, text, replacesFrom, messageId = 'm1') =>
  event(id, 'message', { messageId, role: 'assistant', content: [{ type: 'text', text }], replacesFrom });
const prompt = (id, text = 'do it', runId = 'r1') => ({ id, type: 'user_message', data: { runId, content: [{ type: 'text', text }] } });
const started = (id, runId = 'r1') => ({ id, type: 'run_started', data: { runId, attempt: 1, provider: 'simulated', model: 'm', container: 'a' } });

const items = (state) => state.runs.flatMap((run) => run.items);
// Of this process alone: how much else the machine has to do says nothing about us.
const cpuMs = () => process.cpuUsage().user / 1000;
const texts = (state) => items(state).filter((item) => item.kind === 'message').map((item) => item.parts.map((part) => part.text).join('|'));

test('deltas of one message grow one text', () => {
  assert.deepEqual(texts(after([prompt(1), started(2), delta(3, 'Hel'), delta(4, 'lo')])), ['Hello']);
});

test('deltas of two messages that arrive in turns do not mix', () => {
  assert.deepEqual(texts(after([delta(1, 'a', 'm1'), delta(2, 'x', 'm2'), delta(3, 'b', 'm1'), delta(4, 'y', 'm2')])), ['ab', 'xy']);
});

test('thinking and text of one message stay apart and in order', () => {
  const state = after([event(1, 'thinking_delta', { messageId: 'm1', text: 'hm' }), event(2, 'thinking_delta', { messageId: 'm1', text: 'm' }), delta(3, 'Yes')]);
  assert.deepEqual(items(state)[0].parts, [{ type: 'thinking', text: 'hmm' }, { type: 'text', text: 'Yes' }]);
});

test('a message supersedes its deltas instead of repeating them', () => {
  const state = after([delta(1, 'Hel'), delta(2, 'lo'), message(3, 'Hello, whole', 1)]);
  assert.deepEqual(texts(state), ['Hello, whole']);
  assert.equal(items(state)[0].done, true);
});

test('a message without deltas of its own is shown', () => {
  assert.deepEqual(texts(after([prompt(1), message(2, 'at once', null)])), ['at once']);
});

test('a compacted log looks like the whole log, also around a tool call in the middle', () => {
  const tool = event(4, 'tool_use', { messageId: 'm1', toolUseId: 't1', name: 'read', input: { path: 'a' } });
  const rest = [message(5, 'Hello', 2), delta(6, 'next', 'm2'), message(7, 'next', 6, 'm2'), event(8, 'completed', { stopReason: 'end_turn', durationMs: 9 })];
  const whole = after([prompt(1), delta(2, 'Hel'), delta(3, 'lo'), tool, ...rest]);
  const compacted = after([prompt(1), tool, ...rest.filter(({ type }) => type !== 'text_delta')]);
  assert.deepEqual(compacted, whole);
  assert.deepEqual(items(compacted).map((item) => item.kind), ['message', 'tool', 'message']);
});

test('a reader who left in the middle of a message that was compacted meanwhile sees it once', () => {
  const left = after([prompt(1), delta(2, 'Hel')]);
  assert.deepEqual(texts(after([message(9, 'Hello', 2)], left)), ['Hello']);
});

test('a run that ends without the whole message keeps what was said', () => {
  const state = after([prompt(1), started(2), delta(3, 'half a'), event(4, 'interrupted', { by: 'user' })]);
  assert.deepEqual(texts(state), ['half a']);
  assert.equal(statusOf(state), 'interrupted');
});

test('a restarted run drops its unfinished messages and their tool calls, and keeps whole ones', () => {
  const state = after([
    prompt(1), started(2), delta(3, 'whole'), message(4, 'whole', 3),
    event(5, 'tool_use', { messageId: 'm1', toolUseId: 't1', name: 'kept', input: {} }),
    delta(6, 'half', 'm2'), event(7, 'tool_use', { messageId: 'm2', toolUseId: 't2', name: 'dropped', input: {} }),
    event(8, 'run_restarted', { attempt: 2, reason: 'its server went away' }),
  ]);
  assert.deepEqual(texts(state), ['whole']);
  assert.deepEqual(items(state).filter((item) => item.kind === 'tool').map((item) => item.name), ['kept']);
  assert.deepEqual(items(state).at(-1), { kind: 'note', key: 'note 8', at: 8, about: 'restarted', attempt: 2, reason: 'its server went away' });
});

test('a restart leaves the unfinished messages of other runs alone', () => {
  const other = { id: 2, type: 'text_delta', data: { runId: 'r2', messageId: 'm9', text: 'mine' } };
  assert.deepEqual(texts(after([delta(1, 'gone'), other, event(3, 'run_restarted', { attempt: 2, reason: 'x' })])), ['mine']);
});

test('a recovered run notes it and goes on in the same message', () => {
  const state = after([delta(1, 'one '), event(2, 'run_recovered', { attempt: 2, container: 'b' }), delta(3, 'two')]);
  assert.deepEqual(texts(state), ['one two']);
  assert.equal(items(state).at(-1).about, 'recovered');
  assert.equal(state.runs[0].container, 'b');
});

test('an event that was seen before changes nothing at all', () => {
  const state = after([prompt(1), delta(2, 'a'), delta(3, 'b')]);
  assert.equal(reduce(state, delta(3, 'b')), state);
  assert.equal(reduce(state, delta(2, 'a')), state);
});

test('ids may jump, and the last one is remembered', () => {
  assert.equal(after([prompt(1), message(40, 'x', 2)]).lastId, 40);
});

test('frames without an id leave the state as it is', () => {
  const state = after([prompt(1)]);
  for (const type of ['caught_up', 'draining']) assert.equal(reduce(state, { id: null, type, data: {} }), state);
});

test('an event of an unknown type only moves the cursor', () => {
  const state = after([prompt(1)]);
  assert.deepEqual(reduce(state, event(2, 'invented_later')), { ...state, lastId: 2 });
});

test('reset forgets everything, so that the log can be read from its start', () => {
  const state = reduce(after([prompt(7), delta(8, 'old')]), { id: null, type: 'reset', data: { reason: 'unknown cursor' } });
  assert.deepEqual(state, EMPTY);
  assert.deepEqual(texts(after([prompt(1), delta(2, 'new')], state)), ['new']);
});

test('newlines, separators, markup and wide characters stay the text that they are', () => {
  const text = 'a\r\n\n\tb\u2028c\u2029d <img src=x onerror=alert(1)> &amp; \u0000 👩‍💻 ';
  assert.deepEqual(texts(after([delta(1, text.slice(0, 5)), delta(2, text.slice(5))])), [text]);
  assert.deepEqual(texts(after([message(1, text, null)])), [text]);
  assert.equal(after([prompt(1, text)]).runs[0].prompt[0].text, text);
});

test('a tool result joins its call', () => {
  const state = after([
    event(1, 'tool_use', { messageId: 'm1', toolUseId: 't1', name: 'run', input: { command: 'ls' } }),
    event(2, 'tool_result', { toolUseId: 't1', content: 'no such file', isError: true }),
  ]);
  assert.equal(items(state).length, 1);
  assert.deepEqual(items(state)[0].result, { content: 'no such file', isError: true });
});

test('tool blocks inside a message are not shown a second time', () => {
  const content = [{ type: 'text', text: 'Look: ' }, { type: 'tool_use', id: 't1', name: 'run', input: {} }, { type: 'text', text: 'done' }];
  assert.deepEqual(texts(after([event(1, 'message', { messageId: 'm1', role: 'assistant', content, replacesFrom: null })])), ['Look: done']);
});

test('what a message says behind a tool call stands below the call: while it comes, when it is whole, and from a compacted log', () => {
  const tool = (id, toolUseId) => event(id, 'tool_use', { messageId: 'm1', toolUseId, name: toolUseId, input: {} });
  const call = (id) => ({ type: 'mcp_tool_use', id, name: id, input: {} });
  const text = (words) => ({ type: 'text', text: words });
  const content = [text('I look.'), call('t1'), { type: 'mcp_tool_result', tool_use_id: 't1', content: '' }, text('Found it.'), call('t2'), call('t3'), text('Done.')];
  const log = [
    prompt(1), started(2), delta(3, 'I '), delta(4, 'look.'), tool(5, 't1'), event(6, 'tool_result', { toolUseId: 't1', content: '' }),
    delta(7, 'Found '), delta(8, 'it.'), tool(9, 't2'), tool(10, 't3'), delta(11, 'Done.'),
  ];
  const whole = event(12, 'message', { messageId: 'm1', role: 'assistant', content, replacesFrom: 3 });
  const shown = (state) => items(state).map((item) => (item.kind === 'tool' ? item.name : item.parts.map((part) => part.text).join('|')));
  const order = ['I look.', 't1', 'Found it.', 't2', 't3', 'Done.'];
  const coming = after(log);
  const finished = reduce(coming, whole);
  assert.deepEqual(shown(coming), order);
  assert.deepEqual(shown(finished), order);
  assert.deepEqual(items(finished).map(({ key }) => key), items(coming).map(({ key }) => key)); // views stay what they are
  assert.deepEqual(after([...log.filter(({ type }) => type !== 'text_delta'), whole]), finished);
  assert.deepEqual(shown(reduce(after(log.slice(0, 8)), { ...whole, id: 40 })), ['I look.', 't1', 'Found it.Done.']); // calls it was not told of
  assert.deepEqual(shown(reduce(finished, delta(13, 'late'))), order);
  assert.deepEqual(items(reduce(coming, event(12, 'run_restarted', { attempt: 2, reason: 'x' }))).map(({ kind }) => kind), ['note']);
});

test('a message that begins with a tool call is shown below it', () => {
  const tool = event(2, 'tool_use', { messageId: 'm1', toolUseId: 't1', name: 'run', input: {} });
  const content = [{ type: 'tool_use', id: 't1', name: 'run', input: {} }, { type: 'text', text: 'Done.' }];
  const whole = event(4, 'message', { messageId: 'm1', role: 'assistant', content, replacesFrom: 3 });
  for (const log of [[prompt(1), tool, delta(3, 'Done.')], [prompt(1), tool, delta(3, 'Done.'), whole], [prompt(1), tool, whole]]) {
    assert.deepEqual(items(after(log)).map(({ key }) => key), ['tool t1', 'message m1']);
  }
});

test('usage of one run adds up, and cost appears only where it was told', () => {
  const state = after([event(1, 'usage', { inputTokens: 10, outputTokens: 2 }), event(2, 'usage', { inputTokens: 5, outputTokens: 3, costUsd: 0.5 })]);
  assert.deepEqual(state.runs[0].usage, { inputTokens: 15, outputTokens: 5, costUsd: 0.5 });
  assert.equal('costUsd' in after([event(1, 'usage', { inputTokens: 1, outputTokens: 1 })]).runs[0].usage, false);
});

test('a failed run carries its code, its words and whether trying again may help', () => {
  const { status, code, message: words, retryable } = after([event(1, 'failed', { code: 'provider_error', message: 'overloaded', retryable: true })]).runs[0];
  assert.deepEqual({ status, code, words, retryable }, { status: 'failed', code: 'provider_error', words: 'overloaded', retryable: true });
});

test('a prompt that waits does not cut the running answer in two', () => {
  const state = after([prompt(1), started(2), delta(3, 'one '), prompt(4, 'next', 'r2'), delta(5, 'two')]);
  assert.deepEqual(state.runs.map((run) => run.runId), ['r1', 'r2']);
  assert.deepEqual(texts(state), ['one two']);
});

test('waiting prompts know their place, and the running one is what an interrupt means', () => {
  const state = after([prompt(1), started(2), prompt(3, 'b', 'r2'), prompt(4, 'c', 'r3')]);
  assert.equal(activeRun(state).runId, 'r1');
  assert.deepEqual(state.runs.map((run) => queuePosition(state, run)), [0, 1, 2]);
  const later = after([event(5, 'completed', { stopReason: 'end_turn', durationMs: 1 })], state);
  assert.equal(activeRun(later).runId, 'r2');
  assert.equal(statusOf(later), 'pending');
  assert.equal(queuePosition(later, later.runs[2]), 1);
});

test('what an event does not touch keeps its identity, and no state is changed in place', () => {
  const freeze = (value) => { Object.values(value).forEach((inner) => inner && typeof inner === 'object' && !Object.isFrozen(inner) && freeze(inner)); return Object.freeze(value); };
  const before = freeze(after([prompt(1), started(2), message(3, 'whole', null), delta(4, 'a', 'm2')]));
  const next = reduce(before, delta(5, 'b', 'm2'));
  assert.equal(next.runs[0].items[0], before.runs[0].items[0]);
  assert.notEqual(next.runs[0].items[1], before.runs[0].items[1]);
});

test('every event type of the contract is followed', () => {
  assert.deepEqual([...LOG_TYPES].sort(), [
    'completed', 'failed', 'interrupted', 'message', 'run_recovered', 'run_restarted', 'run_started', 'text_delta',
    'thinking_delta', 'tool_result', 'tool_use', 'usage', 'user_message',
  ]);
});

const freezeAll = (value) => { Object.values(value).forEach((inner) => inner && typeof inner === 'object' && !Object.isFrozen(inner) && freezeAll(inner)); return Object.freeze(value); };
const mixedLog = () => [
  prompt(1), started(2), delta(3, 'a'), delta(4, 'b'), event(5, 'tool_use', { messageId: 'm1', toolUseId: 't1', name: 'x', input: {} }), message(6, 'ab', 3),
  prompt(7, 'next', 'r2'), event(8, 'tool_result', { toolUseId: 't1', content: 'y', isError: false }), delta(9, 'half', 'm2'), event(10, 'usage', { inputTokens: 1, outputTokens: 2 }),
  event(11, 'run_restarted', { attempt: 2, reason: 'x' }), delta(12, 'again', 'm3'), event(13, 'completed', { stopReason: 'end_turn', durationMs: 1 }), started(14, 'r2'),
];

test('events taken together give what they give one by one, wherever they are cut', () => {
  const log = mixedLog();
  const whole = after(log);
  for (let cut = 0; cut <= log.length; cut += 1) {
    const before = freezeAll(reduceAll(EMPTY, log.slice(0, cut)));
    assert.deepEqual(reduceAll(before, log.slice(cut)), whole);
  }
});

test('a batch changes nothing of the state that it was given', () => {
  const before = reduceAll(EMPTY, mixedLog().slice(0, 10));
  const copy = structuredClone(before);
  reduceAll(before, mixedLog().slice(10));
  assert.deepEqual(structuredClone(before), copy);
});

test('events that say nothing new leave the state the same object', () => {
  const state = after(mixedLog());
  assert.equal(reduceAll(state, mixedLog()), state);
  assert.equal(reduceAll(state, []), state);
});

test('when a tool and a run began and ended is known of what came live only', () => {
  const [use, result] = [event(2, 'tool_use', { messageId: 'm', toolUseId: 't', name: 'x', input: {} }), event(3, 'tool_result', { toolUseId: 't', content: '', isError: false })];
  const live = reduceAll(EMPTY, [{ ...started(1), seenAt: 10 }, { ...use, seenAt: 20 }, { ...result, seenAt: 30 }]).runs[0];
  assert.deepEqual([live.startedAt, live.startedId, live.items[0].startedAt, live.items[0].result.endedAt], [10, 1, 20, 30]);
  const old = reduceAll(EMPTY, [started(1), use, result]).runs[0];
  assert.deepEqual([old.startedAt, old.items[0].startedAt, old.items[0].result.endedAt], [undefined, undefined, undefined]);
});

test('a message of thousands of steps is taken in a moment', () => {
  const log = [prompt(1)];
  const content = [];
  for (let step = 0; step < 5000; step += 1) {
    log.push(delta(log.length + 1, `step ${step}`), event(log.length + 2, 'tool_use', { messageId: 'm1', toolUseId: `t${step}`, name: 'x', input: {} }));
    content.push({ type: 'text', text: `step ${step}` }, { type: 'tool_use', id: `t${step}`, name: 'x', input: {} });
  }
  log.push(event(log.length + 1, 'message', { messageId: 'm1', role: 'assistant', content, replacesFrom: 2 }));
  const begun = cpuMs();
  let state = EMPTY;
  for (let at = 0; at < log.length; at += 1000) state = reduceAll(state, log.slice(at, at + 1000));
  assert.ok(cpuMs() - begun < 2000, `${cpuMs() - begun} ms`);
  assert.equal(items(state).length, 10000);
  assert.deepEqual(items(state).slice(-2).map(({ kind }) => kind), ['message', 'tool']);
});

test('20,000 events of any kind are taken in a moment', () => {
  const kinds = {
    deltas: (id) => delta(id, 'abcdef'),
    messages: (id) => message(id, 'x', null, `m${id}`),
    tools: (id) => (id % 2 ? event(id, 'tool_use', { messageId: 'm', toolUseId: `t${id}`, name: 'x', input: {} }) : event(id, 'tool_result', { toolUseId: `t${id - 1}`, content: '' })),
    turns: (id) => event(id, id % 2 ? 'text_delta' : 'thinking_delta', { messageId: 'm1', text: 'a' }),
  };
  for (const [name, make] of Object.entries(kinds)) {
    const log = Array.from({ length: 20000 }, (_, i) => make(i + 1));
    const begun = cpuMs();
    let state = EMPTY;
    for (let at = 0; at < log.length; at += 1000) state = reduceAll(state, log.slice(at, at + 1000));
    assert.equal(state.lastId, 20000);
    assert.ok(cpuMs() - begun < 2000, `${name} took ${cpuMs() - begun} ms`);
  }
});

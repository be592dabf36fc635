// What a session looks like after its events: (state, {id, type, data, seenAt?}) -> state. `seenAt`: when it came, if it came live.
// Pure. Knows the event log, nothing of the page or the network. Parts that an event does not touch keep their identity.
// Many events at once copy each list once, not once an event: a long log would take quadratic time otherwise.
import { blocksOf } from './content.js';
import { addNote, addToolResult, addToolUse } from './items.js';
import { addDelta, cut, dropUnfinished, finish } from './messages.js';
import { editor } from './editor.js';

export const EMPTY = Object.freeze({ lastId: 0, runs: Object.freeze([]) });

const end = (status) => (run, data) => Object.assign(run, data, { status });

const onRun = {
  user_message: (run, { content }) => { run.prompt = blocksOf(content); },
  run_started: (run, { attempt, provider, model, container }, id, edit, seenAt) =>
    Object.assign(run, { status: 'running', startedId: id, attempt, provider, model, container }, seenAt && { startedAt: seenAt }),
  text_delta: (run, data, id, edit) => addDelta(run, 'text', data, id, edit),
  thinking_delta: (run, data, id, edit) => addDelta(run, 'thinking', data, id, edit),
  message: finish,
  tool_use(run, data, id, edit, seenAt) {
    cut(run, data.messageId, edit);
    addToolUse(run, data, id, edit, seenAt);
  },
  tool_result: addToolResult,
  usage: (run, data) => { run.usage = addUsage(run.usage, data); },
  run_restarted(run, data, id, edit) {
    run.attempt = data.attempt;
    dropUnfinished(run);
    addNote(run, 'restarted', data, id, edit);
  },
  run_recovered(run, data, id, edit) {
    Object.assign(run, { attempt: data.attempt, container: data.container });
    addNote(run, 'recovered', data, id, edit);
  },
  completed: end('completed'),
  failed: end('failed'),
  interrupted: end('interrupted'),
};

export const LOG_TYPES = Object.keys(onRun);
export const FRAME_TYPES = ['caught_up', 'reset', 'draining'];

export const reduce = (state, event) => reduceAll(state, [event]);

export function reduceAll(state, events) {
  const edit = editor();
  let now = state;
  for (const { id, type, data, seenAt } of events) {
    if (type === 'reset') now = EMPTY;
    if (!(id > now.lastId)) continue;
    now = edit.own(now);
    now.lastId = id;
    if (onRun[type] && data?.runId) onRun[type](runOf(now, data.runId, id, edit), data, id, edit, seenAt);
  }
  return now;
}

// Runs stand in the order of their prompts, so a prompt that waits does not cut the answer before it in two.
function runOf(state, runId, at, edit) {
  const runs = edit.ownIn(state, 'runs');
  const place = runs.findLastIndex((run) => run.runId === runId);
  if (place >= 0) return edit.ownIn(runs, place);
  const run = edit.own({ runId, at, status: 'queued', prompt: [], items: [], keys: new Set(), sections: {}, usage: null });
  runs.push(run);
  return run;
}

function addUsage(sum, { inputTokens = 0, outputTokens = 0, costUsd }) {
  const before = sum ?? { inputTokens: 0, outputTokens: 0 };
  const total = { inputTokens: before.inputTokens + inputTokens, outputTokens: before.outputTokens + outputTokens };
  const cost = costUsd === undefined ? before.costUsd : (before.costUsd ?? 0) + costUsd;
  return cost === undefined ? total : { ...total, costUsd: cost };
}

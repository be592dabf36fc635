// What a session looks like after its events: (state, {id, type, data}) -> state.
// Pure. Knows the event log, nothing of the page or the network. Parts that an event does not touch keep their identity.
import { blocksOf } from './content.js';
import { addDelta, dropUnfinished, finish } from './messages.js';
import { addNote, addToolResult, addToolUse } from './items.js';

export const EMPTY = Object.freeze({ lastId: 0, runs: Object.freeze([]) });

const end = (status) => (run, data) => ({ ...run, ...data, status });

const onRun = {
  user_message: (run, { content }) => ({ ...run, prompt: blocksOf(content) }),
  run_started: (run, { attempt, provider, model, container }) => ({ ...run, status: 'running', attempt, provider, model, container }),
  text_delta: (run, data, id) => addDelta(run, 'text', data, id),
  thinking_delta: (run, data, id) => addDelta(run, 'thinking', data, id),
  message: finish,
  tool_use: addToolUse,
  tool_result: addToolResult,
  usage: (run, data) => ({ ...run, usage: addUsage(run.usage, data) }),
  run_restarted: (run, data, id) => addNote(dropUnfinished({ ...run, attempt: data.attempt }), 'restarted', data, id),
  run_recovered: (run, data, id) => addNote({ ...run, attempt: data.attempt, container: data.container }, 'recovered', data, id),
  completed: end('completed'),
  failed: end('failed'),
  interrupted: end('interrupted'),
};

export const LOG_TYPES = Object.keys(onRun);
export const FRAME_TYPES = ['caught_up', 'reset', 'draining'];

export function reduce(state, { id, type, data }) {
  if (type === 'reset') return EMPTY;
  if (!(id > state.lastId)) return state;
  const change = onRun[type];
  if (!change || !data?.runId) return { ...state, lastId: id };
  return { ...state, lastId: id, runs: withRun(state.runs, data.runId, id, (run) => change(run, data, id)) };
}

// Runs stand in the order of their prompts, so a prompt that waits does not cut the answer before it in two.
function withRun(runs, runId, at, change) {
  const place = runs.findLastIndex((run) => run.runId === runId);
  if (place < 0) return [...runs, change({ runId, at, status: 'queued', prompt: [], items: [], usage: null })];
  return runs.map((run, i) => (i === place ? change(run) : run));
}

function addUsage(sum, { inputTokens = 0, outputTokens = 0, costUsd }) {
  const before = sum ?? { inputTokens: 0, outputTokens: 0 };
  const total = { inputTokens: before.inputTokens + inputTokens, outputTokens: before.outputTokens + outputTokens };
  const cost = costUsd === undefined ? before.costUsd : (before.costUsd ?? 0) + costUsd;
  return cost === undefined ? total : { ...total, costUsd: cost };
}

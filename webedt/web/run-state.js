// Questions one asks of the reduced session. Pure.

export const isOver = (run) => !['queued', 'running'].includes(run.status);

export function activeRun(state) {
  return state.runs.find((run) => run.status === 'running') ?? state.runs.find((run) => run.status === 'queued') ?? null;
}

// Counts the runs that come before it, as the server does; 0 is the next to start.
export function queuePosition(state, { at }) {
  return state.runs.filter((run) => run.at < at && !isOver(run)).length;
}

// The runs that wait behind another one, the next to start first.
export function waitingRuns(state) {
  const active = activeRun(state);
  return state.runs.filter((run) => run.status === 'queued' && run !== active);
}

// The words of the session list: a queued run makes its session pending.
export function statusOf(state) {
  const active = activeRun(state);
  if (active) return active.status === 'queued' ? 'pending' : 'running';
  return state.runs.at(-1)?.status ?? null;
}

// What all runs of the session took together.
export function totalUsage({ runs }) {
  const total = { inputTokens: 0, outputTokens: 0 };
  for (const { usage } of runs) {
    if (!usage) continue;
    total.inputTokens += usage.inputTokens;
    total.outputTokens += usage.outputTokens;
    if (usage.costUsd !== undefined) total.costUsd = (total.costUsd ?? 0) + usage.costUsd;
  }
  return total;
}

// The text of a run's answer as the model wrote it.
export const answerText = (run) =>
  run.items.filter(({ kind }) => kind === 'message').flatMap(({ parts }) => parts.filter(({ type }) => type === 'text').map(({ text }) => text.trim())).join('\n\n');

export const promptText = (run) => run.prompt.filter(({ type }) => type === 'text').map(({ text }) => text).join('\n');

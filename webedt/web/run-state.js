// Questions one asks of the reduced session. Pure.

export const isOver = (run) => !['queued', 'running'].includes(run.status);

export function activeRun(state) {
  return state.runs.find((run) => run.status === 'running') ?? state.runs.find((run) => run.status === 'queued') ?? null;
}

// Counts the runs that come before it, as the server does; 0 is the next to start.
export function queuePosition(state, { at }) {
  return state.runs.filter((run) => run.at < at && !isOver(run)).length;
}

// The words of the session list: a queued run makes its session pending.
export function statusOf(state) {
  const active = activeRun(state);
  if (active) return active.status === 'queued' ? 'pending' : 'running';
  return state.runs.at(-1)?.status ?? null;
}

// Facts of a session in words. Pure.

export const STATUS_WORDS = { pending: 'Queued', running: 'Running', completed: 'Completed', failed: 'Failed', interrupted: 'Interrupted' };

const number = new Intl.NumberFormat('en');

export function durationWords(ms) {
  if (ms < 60000) return `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
  const minutes = Math.floor(ms / 60000);
  return minutes < 60 ? `${minutes} min ${Math.floor(ms / 1000) % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// For what still goes on: 0:07, 1:02:03. Never below 0, as two clocks may differ.
export function elapsedWords(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (number) => String(number).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
}

export function usageWords({ inputTokens, outputTokens, costUsd }) {
  const tokens = `${number.format(inputTokens)} tokens in, ${number.format(outputTokens)} out`;
  return costUsd === undefined ? tokens : `${tokens}, ${costWords(costUsd)}`;
}

const costWords = (usd) => `$${usd.toFixed(usd < 1 ? 4 : 2)}`;

// What the whole session took so far; '' where nothing is known and nothing is to be expected.
export function totalWords({ inputTokens, outputTokens, costUsd }, isRunning = false) {
  if (!inputTokens && !outputTokens && !costUsd && !isRunning) return '';
  const tokens = `${number.format(inputTokens + outputTokens)} tokens`;
  return costUsd === undefined ? tokens : `${tokens} · ${costWords(costUsd)}`;
}

const RESTART_REASONS = { replica_lost: 'the server it ran on was lost' };

export function noteWords({ about, attempt, reason }) {
  if (about === 'recovered') return `Another server continued this run (attempt ${attempt}). Nothing was lost.`;
  const why = RESTART_REASONS[reason] ?? (/^[a-z]+_[a-z_]+$/.test(reason ?? '') ? '' : reason);
  return `This run began again (attempt ${attempt})${why ? `: ${why}` : ''}. Its unfinished answer was dropped.`;
}

// Why the model stopped, where that is not simply the end of its answer: in the header, and below the answer.
const STOPS = {
  refusal: ['Declined', 'The model declined to answer this'],
  max_tokens: ['Cut short', 'Cut short: the answer reached its length limit'],
  model_context_window_exceeded: ['Cut short', 'Cut short: the conversation fills what the model can read'],
  tool_use: ['Waiting for a tool', 'Stopped: the model asked for a tool that nobody runs here'],
  pause_turn: ['Paused', 'Paused by the model: send a follow-up to continue'],
};
const FINISHED = ['end_turn', 'stop_sequence', 'stop', undefined, null, ''];

const stopOf = (run) => (run?.status === 'completed' ? STOPS[run.stopReason] : undefined);

export const isCutShort = (run) => stopOf(run) !== undefined;

// The status of a session whose last run is known: "completed" says too much of an answer that was refused or cut.
export const statusWords = (status, lastRun) => (status === 'completed' && stopOf(lastRun)?.[0]) || STATUS_WORDS[status] || '';

const ends = {
  completed: (run) => stopOf(run)?.[1] ?? (FINISHED.includes(run.stopReason) ? 'Completed' : `Ended: ${run.stopReason.replaceAll('_', ' ')}`),
  failed: (run) => `Failed: ${(run.message || FAILURES[run.code] || run.code || 'no reason given').replace(/\.$/, '')}`,
  interrupted: (run) => (run.startedId === undefined ? 'Cancelled before it began' : 'Interrupted'),
};
const FAILURES = { internal: 'something went wrong on the server', too_many_attempts: 'its server was lost too often', orphaned: 'its server was lost' };

export const queueWords = (position) => (position ? `Waiting in the queue, position ${position}` : 'Waiting to start');

// What a run is doing, from the newest that it said.
function activityWords(run) {
  const last = run.items.findLast(({ kind }) => kind !== 'note');
  if (!last) return 'Waiting for the answer';
  if (last.kind === 'tool') return last.result ? 'Working' : `Running ${last.name || 'a tool'}`;
  if (last.done) return 'Working';
  return last.parts.at(-1)?.type === 'thinking' ? 'Thinking' : 'Writing';
}

const facts = (...all) => all.filter(Boolean).join(' · ');

export const progressWords = (run) => facts(activityWords(run), run.usage && usageWords(run.usage), run.model || run.provider);

// '' while it runs: the end of an answer is not known before it ends.
export function outcomeWords(run, position) {
  if (run.status === 'running') return '';
  if (run.status === 'queued') return queueWords(position);
  return facts(ends[run.status](run), run.durationMs !== undefined && durationWords(run.durationMs), run.usage && usageWords(run.usage), run.model || run.provider);
}

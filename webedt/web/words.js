// Facts of a session in words. Pure.

export const STATUS_WORDS = { pending: 'Queued', running: 'Running', completed: 'Completed', failed: 'Failed', interrupted: 'Interrupted' };

const number = new Intl.NumberFormat('en');

export function durationWords(ms) {
  if (ms < 60000) return `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)} s`;
  const minutes = Math.floor(ms / 60000);
  return minutes < 60 ? `${minutes} min ${Math.floor(ms / 1000) % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function usageWords({ inputTokens, outputTokens, costUsd }) {
  const tokens = `${number.format(inputTokens)} tokens in, ${number.format(outputTokens)} out`;
  return costUsd === undefined ? tokens : `${tokens}, $${costUsd.toFixed(costUsd < 1 ? 4 : 2)}`;
}

export function noteWords({ about, attempt, reason }) {
  if (about === 'recovered') return `Another server continued this run (attempt ${attempt}). Nothing was lost.`;
  return `This run began again (attempt ${attempt})${reason ? `: ${reason}` : ''}. Its unfinished answer was dropped.`;
}

const ends = {
  completed: (run) => (run.stopReason === 'max_tokens' ? 'Stopped at the length limit' : 'Completed'),
  failed: (run) => `Failed: ${(run.message || run.code || 'no reason given').replace(/\.$/, '')}${run.retryable ? ' (trying again may help)' : ''}`,
  interrupted: () => 'Interrupted',
};

export const queueWords = (position) => (position ? `Waiting in the queue, position ${position}` : 'Waiting to start');

export function outcomeWords(run, position) {
  if (run.status === 'queued') return queueWords(position);
  const facts = [run.status === 'running' ? 'Running' : ends[run.status](run)];
  if (run.durationMs !== undefined) facts.push(durationWords(run.durationMs));
  if (run.usage) facts.push(usageWords(run.usage));
  if (run.model || run.provider) facts.push(run.model || run.provider);
  return facts.join(' · ');
}

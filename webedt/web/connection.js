// What a reader is told about a stream: (phase, signal) -> phase, and the phase in words. Pure.

const after = {
  connecting: () => 'connecting',
  opened: () => 'catching up',
  caught_up: () => 'live',
  draining: () => 'draining',
  lost: (phase) => (phase === 'draining' || phase === 'connecting' ? phase : 'reconnecting'),
  refused: () => 'reconnecting',
  paused: () => 'paused',
  ended: () => 'ended',
};

export const nextPhase = (phase, signal) => (after[signal] ? after[signal](phase) : phase);

export const isTrouble = (phase) => phase === 'reconnecting' || phase === 'draining';

// `retryInSeconds`: until the next try, 0 while it is being made. `isElsewhere`: another server has taken over just now.
export function connectionWords(phase, isRunning, { retryInSeconds = 0, isOffline = false, isElsewhere = false } = {}) {
  if (phase === 'live') return (isRunning ? 'Live' : 'Caught up') + (isElsewhere ? ' · another server took over' : '');
  if (phase === 'reconnecting' && isOffline) return 'Offline: continues when the network is back';
  if (phase === 'reconnecting' && retryInSeconds > 0) return `Reconnecting in ${retryInSeconds} s`;
  return {
    connecting: 'Connecting…',
    'catching up': 'Connected, catching up…',
    reconnecting: 'Reconnecting…',
    draining: 'The server is restarting, reconnecting…',
    paused: 'Paused while this tab is hidden',
  }[phase] ?? '';
}

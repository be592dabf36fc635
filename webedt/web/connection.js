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

export function connectionWords(phase, isRunning) {
  if (phase === 'live') return isRunning ? 'Live' : 'Caught up';
  return {
    connecting: 'Connecting…',
    'catching up': 'Connected, catching up…',
    reconnecting: 'Reconnecting…',
    draining: 'The server is restarting, reconnecting…',
    paused: 'Paused while this tab is hidden',
  }[phase] ?? '';
}

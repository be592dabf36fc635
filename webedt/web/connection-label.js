// The state of a stream in words. Short interruptions are not worth reading out, so words wait a moment.
import { connectionWords, isTrouble, nextPhase } from './connection.js';
import { setText } from './dom.js';

const SETTLE_MS = 400;

export function connectionLabel(node, { onlyTrouble = false } = {}) {
  let phase = 'connecting';
  let isRunning = false;
  let timer = 0;

  function show() {
    timer = 0;
    const words = connectionWords(phase, isRunning);
    setText(node, onlyTrouble && !isTrouble(phase) ? '' : words);
    node.toggleAttribute('data-trouble', isTrouble(phase));
  }
  let isClosed = false;
  const ask = () => { if (!isClosed) timer ||= setTimeout(show, SETTLE_MS); };

  setText(node, onlyTrouble ? '' : connectionWords(phase));
  return {
    signal(signal) { phase = nextPhase(phase, signal); ask(); },
    running(now) { if (now !== isRunning) { isRunning = now; ask(); } },
    close() { isClosed = true; clearTimeout(timer); setText(node, ''); },
  };
}

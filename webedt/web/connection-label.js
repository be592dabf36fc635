// The state of a stream in words. Short interruptions are not worth reading out, so words wait a moment; nor are the
// seconds to the next try, which are counted down in silence.
import { connectionWords, isTrouble, nextPhase } from './connection.js';
import { setText } from './dom.js';

const SETTLE_MS = 400;
const ELSEWHERE_MS = 6000;

export function connectionLabel(node, { onlyTrouble = false } = {}) {
  let phase = 'connecting';
  let isRunning = false;
  let retryAt = 0;
  let elsewhereUntil = 0;
  let timer = 0;
  let isClosed = false;

  function show() {
    timer = 0;
    const now = performance.now();
    const retryInSeconds = Math.ceil((retryAt - now) / 1000);
    const words = connectionWords(phase, isRunning, { retryInSeconds, isOffline: !navigator.onLine, isElsewhere: now < elsewhereUntil });
    node.setAttribute('aria-live', phase === 'reconnecting' && retryInSeconds > 0 && node.hasAttribute('data-trouble') ? 'off' : 'polite');
    node.toggleAttribute('data-trouble', isTrouble(phase));
    setText(node, onlyTrouble && !isTrouble(phase) ? '' : words);
    if (phase === 'reconnecting') ask(1000);
    else if (now < elsewhereUntil) ask(elsewhereUntil - now);
  }
  const ask = (ms = SETTLE_MS) => { if (!isClosed) timer ||= setTimeout(show, ms); };

  setText(node, onlyTrouble ? '' : connectionWords(phase));
  return {
    signal(signal, { retryInMs = 0 } = {}) {
      phase = nextPhase(phase, signal);
      retryAt = performance.now() + retryInMs;
      clearTimeout(timer);
      timer = 0;
      ask();
    },
    replica() { elsewhereUntil = performance.now() + ELSEWHERE_MS; ask(); },
    running(now) { if (now !== isRunning) { isRunning = now; ask(); } },
    close() { isClosed = true; clearTimeout(timer); setText(node, ''); },
  };
}

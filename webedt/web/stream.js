// Follows one EventSource for as long as the page wants it: reopens it where the reader stands, ends it for hidden tabs.
// A browser opens six HTTP/1.1 connections a host; tabs that nobody looks at give theirs back.
const HIDDEN_MS = 5000;
const LONGEST_WAIT_MS = 15000;

export function follow({ url, types, onEvent, onSignal, whyRefused }) {
  const listeners = new AbortController();
  let source = null;
  let timer = 0;
  let failures = 0;

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function open() {
    close();
    onSignal('connecting');
    const mine = source = new EventSource(url());
    mine.onopen = () => { failures = 0; onSignal('opened'); };
    mine.onerror = () => (mine.readyState === EventSource.CLOSED ? refused() : onSignal('lost'));
    for (const type of types) {
      mine.addEventListener(type, (event) => mine === source && onEvent(type, JSON.parse(event.data), Number(event.lastEventId)));
    }
  }

  // An EventSource does not say why it was refused, and never tries again.
  async function refused() {
    close();
    onSignal('refused');
    if (await whyRefused()) return stop();
    if (listeners.signal.aborted || source || document.hidden) return;
    timer = setTimeout(open, Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures++) * (0.5 + Math.random()));
  }

  function stop() {
    listeners.abort();
    close();
    onSignal('ended');
  }

  function onVisibility() {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => { close(); onSignal('paused'); }, HIDDEN_MS);
    else if (!source) open();
  }

  document.addEventListener('visibilitychange', onVisibility, { signal: listeners.signal });
  addEventListener('online', () => document.hidden || open(), { signal: listeners.signal });
  open();
  return stop;
}

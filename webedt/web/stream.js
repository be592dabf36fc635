// How this page follows: one connection for all tabs, and none for tabs that nobody looks at.
import { client } from './api.js';
import { shareStreams } from './client-shared.js';

const HIDDEN_MS = 5000;
const AGAIN_MS = 5000;
const SIGNALS = { connecting: 'connecting', replaying: 'opened', live: 'caught_up', draining: 'draining', reconnecting: 'lost' };
const shared = shareStreams(client);

// In all tabs, at once: for a logout.
export const endStreams = shared.end;

function open(url, options) {
  const { pathname, searchParams } = new URL(url, location.origin);
  const lastEventId = Number(searchParams.get('lastEventId'));
  const [, id] = /^\/api\/sessions\/([^/]+)\/events\/stream$/.exec(pathname) ?? [];
  if (id) return shared.follow(decodeURIComponent(id), { ...options, lastEventId });
  return pathname === '/api/sessions/updates' ? shared.updates(options) : client.watch(pathname, { ...options, lastEventId });
}

// `url()` says where the reader stands, each time that it comes back.
export function follow({ url, types, onEvent, onSignal, onReplica, whyRefused }) {
  const listeners = new AbortController();
  let stream = null;
  let timer = 0;

  function close() {
    clearTimeout(timer);
    stream?.close();
    stream = null;
  }

  function start() {
    close();
    onSignal('connecting');
    const mine = stream = open(url(), {
      onEvent: ({ id, type, data }) => mine === stream && types.includes(type) && onEvent(type, data, id),
      onState: ({ state, retryInMs }) => mine === stream && SIGNALS[state] && onSignal(SIGNALS[state], { retryInMs }),
      onReplica: () => mine === stream && onReplica?.(),
      onError: (error) => mine === stream && refused(error),
    });
  }

  async function refused(error) {
    close();
    if (error.code === 'login_changed') return location.reload(); // what stands here is somebody else's
    onSignal('refused');
    if (await whyRefused()) return stop();
    if (listeners.signal.aborted || stream || document.hidden) return;
    timer = setTimeout(start, AGAIN_MS * (0.5 + Math.random()));
  }

  function stop() {
    listeners.abort();
    close();
    onSignal('ended');
  }

  function onVisibility() {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => { close(); onSignal('paused'); }, HIDDEN_MS);
    else if (!stream) start();
  }

  document.addEventListener('visibilitychange', onVisibility, { signal: listeners.signal });
  start();
  return stop;
}

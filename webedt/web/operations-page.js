// A live picture of the fleet, asked for every two seconds while somebody looks at it.
import { readOperations } from './account-api.js';
import { byId, fromTemplate, setText } from './dom.js';
import { miss, NOTHING_SEEN, see } from './operations-samples.js';
import { operationsView } from './operations-view.js';
import { problemWords } from './problem.js';
import { loadStyle } from './style.js';

const ASK_MS = 2000;

export async function openOperations({ onRefusal }) {
  await Promise.all([loadStyle('settings.css'), loadStyle('operations.css')]);
  const page = fromTemplate('operations-template');
  const view = operationsView(page);
  const listeners = new AbortController();
  let seen = NOTHING_SEEN;
  let timer = 0;
  let isAsking = false;

  async function ask() {
    clearTimeout(timer);
    if (isAsking || document.hidden || listeners.signal.aborted) return;
    isAsking = true;
    try {
      seen = see(seen, await readOperations(), Date.now());
      if (!listeners.signal.aborted) view.show(seen, Date.now());
    } catch (error) {
      if (listeners.signal.aborted || onRefusal(error)) return;
      if (error.status === 403) return view.refuse('This page is for the admins of this deployment.');
      seen = miss(seen, Date.now());
      view.refuse(`No answer: ${problemWords(error)}`);
      view.show(seen, Date.now());
    } finally {
      isAsking = false;
    }
    if (!listeners.signal.aborted) timer = setTimeout(ask, ASK_MS);
  }

  byId('operations').replaceChildren(page);
  document.addEventListener('visibilitychange', ask, { signal: listeners.signal });
  ask();
  return {
    focus: () => page.querySelector('h1').focus(),
    close() {
      listeners.abort();
      clearTimeout(timer);
      byId('operations').replaceChildren();
    },
  };
}

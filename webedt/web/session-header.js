// Title, status, what it took so far and the interrupt button above a conversation.
// The log knows the status first, the list knows the title.
import { byId, setStatus, setText } from './dom.js';
import { activeRun, statusOf, totalUsage } from './run-state.js';
import { showInTab } from './tab.js';
import { statusWords, totalWords } from './words.js';

export function sessionHeader({ isReadOnly = false } = {}) {
  let title = '';
  let status = null;
  let state = { runs: [] };

  function draw() {
    const isActive = activeRun(state) !== null;
    const shown = statusOf(state) ?? status;
    setText(byId('title'), title);
    setStatus(byId('status'), shown, statusWords(shown, state.runs.at(-1)));
    setText(byId('total'), totalWords(totalUsage(state), isActive));
    byId('interrupt').hidden = isReadOnly || !isActive;
    showInTab({ title, status: shown });
  }

  draw();
  return {
    showSession(session) {
      title = session.title || 'Untitled';
      status = session.status;
      draw();
    },
    showRuns(newState) {
      if (newState.runs === state.runs) return;
      state = newState;
      draw();
    },
  };
}

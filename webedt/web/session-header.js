// Title, status and the interrupt button above a conversation; the log knows the status first, the list knows the title.
import { byId, setStatus, setText } from './dom.js';
import { showInTab } from './tab.js';
import { STATUS_WORDS } from './words.js';

export function sessionHeader() {
  let title = '';
  let status = null;
  let fromLog = null;
  let active = null;

  function draw() {
    const shown = fromLog ?? status;
    setText(byId('title'), title);
    setStatus(byId('status'), shown, STATUS_WORDS[shown]);
    byId('interrupt').hidden = active === null;
    showInTab({ title, status: shown });
  }

  draw();
  return {
    showSession(session) {
      title = session.title || 'Untitled';
      status = session.status;
      draw();
    },
    showRuns(newStatus, newActive) {
      if (newStatus === fromLog && newActive?.runId === active?.runId) return;
      fromLog = newStatus;
      active = newActive;
      draw();
    },
  };
}

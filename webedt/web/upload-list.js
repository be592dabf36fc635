// Uploads one after the other, each a line with its progress until it is done or refused.
import { element } from './dom.js';
import { fileUrl, nameProblem, shownName } from './file-names.js';
import { problemWords } from './problem.js';
import { upload } from './upload.js';

export function uploadList(node, sessionId, { onDone, onRefusal }) {
  const waiting = [];
  let running = null;

  function add(file) {
    const row = element('li');
    const words = element('span', 'facts', 'waiting');
    const bar = Object.assign(element('progress'), { max: 1, value: 0, ariaLabel: `Upload of ${shownName(file.name)}` });
    const cancel = Object.assign(element('button', 'quiet', 'Cancel'), { type: 'button', ariaLabel: `Cancel the upload of ${shownName(file.name)}` });
    row.append(element('span', 'name', shownName(file.name)), bar, words, cancel);
    node.append(row);
    const entry = { file, row, bar, words, cancel, isReplacing: false };
    cancel.onclick = () => {
      if (running?.entry === entry) return running.cancel();
      if (waiting.includes(entry)) waiting.splice(waiting.indexOf(entry), 1);
      row.remove();
    };
    const problem = nameProblem(file.name);
    if (problem) return refuse(entry, problem);
    waiting.push(entry);
    next();
  }

  // There is a file of that name: whether it may go is the reader's decision.
  function offer(entry) {
    const replace = Object.assign(element('button', 'quiet', 'Replace'), { type: 'button', ariaLabel: `Replace ${shownName(entry.file.name)}` });
    entry.words.textContent = 'There is a file of this name.';
    entry.bar.hidden = true;
    replace.onclick = () => {
      replace.remove();
      entry.bar.hidden = false;
      entry.bar.value = 0;
      entry.words.textContent = 'waiting';
      entry.isReplacing = true;
      waiting.push(entry);
      next();
    };
    entry.cancel.before(replace);
  }

  function refuse({ row, bar, words, cancel }, reason) {
    bar.remove();
    row.dataset.bad = '';
    words.textContent = reason;
    cancel.textContent = 'Dismiss';
  }

  async function next() {
    if (running || !waiting.length) return;
    const entry = waiting.shift();
    const { done, cancel } = upload(fileUrl(sessionId, entry.file.name), entry.file, (part) => {
      entry.bar.value = part;
      entry.words.textContent = part < 1 ? `${Math.floor(part * 100)} %` : 'storing…';
    }, entry.isReplacing);
    running = { entry, cancel };
    try {
      await done;
      entry.row.remove();
      onDone();
    } catch (error) {
      if (error.code === 'cancelled') entry.row.remove();
      else if (error.code === 'conflict' && !entry.isReplacing) offer(entry);
      else if (!onRefusal(error)) refuse(entry, problemWords(error));
    }
    running = null;
    next();
  }

  return {
    add,
    close() {
      waiting.length = 0;
      running?.cancel();
    },
  };
}

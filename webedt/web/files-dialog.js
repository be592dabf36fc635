// The files of one session: listed, uploaded, downloaded, deleted.
import { agoWords, exactWords, plural } from './ago.js';
import { bytesWords } from './bytes.js';
import { openDialog } from './dialog.js';
import { fromTemplate, setText } from './dom.js';
import { deleteFile, listFiles } from './files-api.js';
import { fileUrl, shownName } from './file-names.js';
import { problemWords } from './problem.js';
import { uploadList } from './upload-list.js';

export async function openFilesDialog(sessionId, { onRefusal = () => false } = {}) {
  let uploads = null;
  const { node: dialog, body } = await openDialog('Files', 'filing', () => uploads.close());
  const node = fromTemplate('files-template');
  const list = node.querySelector('.list');
  const drop = node.querySelector('.drop');
  const notice = node.querySelector('.empty');
  uploads = uploadList(node.querySelector('.uploads'), sessionId, { onDone: load, onRefusal });

  function line({ path, size, modifiedAt }) {
    const row = fromTemplate('file-template');
    const name = shownName(path);
    setText(row.querySelector('.name'), name);
    setText(row.querySelector('.facts'), `${bytesWords(size)} · ${agoWords(modifiedAt)}`);
    row.querySelector('.facts').title = exactWords(modifiedAt);
    row.querySelector('a').href = fileUrl(sessionId, path);
    row.querySelector('a').ariaLabel = `Download ${name}`;
    const remove = row.querySelector('button');
    remove.ariaLabel = `Delete ${name}`;
    // Nothing brings a file back: the second press deletes it.
    remove.onclick = async () => {
      if (remove.className !== 'danger') {
        remove.className = 'danger';
        remove.ariaLabel = `Really delete ${name}`;
        setText(remove, 'Really delete?');
        remove.onblur = () => { remove.className = 'quiet'; remove.ariaLabel = `Delete ${name}`; setText(remove, 'Delete'); };
        return;
      }
      remove.disabled = true;
      await refusing(() => deleteFile(sessionId, path));
      await load();
      drop.querySelector('input').focus();
    };
    return row;
  }

  async function refusing(work) {
    setText(node.querySelector('.error'), '');
    try {
      return await work();
    } catch (error) {
      if (!onRefusal(error)) setText(node.querySelector('.error'), problemWords(error));
      return null;
    }
  }

  async function load() {
    const found = await refusing(() => listFiles(sessionId));
    if (!found) return setText(notice, '');
    list.replaceChildren(...found.files.map(line));
    setText(notice, found.files.length ? '' : 'No files yet.');
    const meter = node.querySelector('meter');
    Object.assign(meter, { max: found.quotaBytes, high: found.quotaBytes * 0.9, value: found.usedBytes });
    const used = `${bytesWords(found.usedBytes)} of ${bytesWords(found.quotaBytes)} used by all your sessions`;
    setText(node.querySelector('.used span'), `${plural(found.files.length, 'file')} here. ${used}.`);
  }

  const addAll = (files) => { for (const file of files) uploads.add(file); };
  drop.querySelector('input').onchange = ({ target }) => {
    addAll(target.files);
    target.value = ''; // the same file may be chosen again
  };
  dialog.ondragover = (event) => { event.preventDefault(); drop.dataset.over = ''; };
  dialog.ondragleave = ({ relatedTarget }) => { if (!dialog.contains(relatedTarget)) delete drop.dataset.over; };
  dialog.ondrop = (event) => {
    event.preventDefault();
    delete drop.dataset.over;
    addAll(event.dataTransfer.files);
  };

  setText(notice, 'Loading…');
  body.append(node);
  await load();
}

// Pictures that go with a prompt: picked, pasted or dropped, shown small, and taken off again.
import { element, fromTemplate } from './dom.js';
import { readPicture } from './picture-file.js';
import { pictureFault, promptFault } from './picture.js';

export function attachments(form, complain) {
  const list = form.querySelector('.attachments') ?? form.insertBefore(element('ul', 'attachments'), form.querySelector('.error'));
  const picker = form.querySelector('.picker') ?? form.querySelector('.actions').insertBefore(fromTemplate('picker-template'), form.querySelector('.actions').firstChild);
  const input = picker.querySelector('input');
  let pictures = [];
  let reading = Promise.resolve();

  function show() {
    list.replaceChildren(...pictures.map(thumbnail));
    list.hidden = pictures.length === 0;
  }

  function thumbnail(picture) {
    const node = fromTemplate('attachment-template');
    const remove = node.querySelector('button');
    Object.assign(node.querySelector('img'), { src: picture.url, alt: picture.name });
    remove.ariaLabel = `Remove ${picture.name}`;
    remove.onclick = () => {
      pictures = pictures.filter((other) => other !== picture);
      complain('');
      show();
      form.elements.prompt.focus();
    };
    return node;
  }

  async function take(files) {
    const faults = [];
    for (const file of files) {
      const picture = await readPicture(file).catch(() => ({ name: file.name, bytes: 0, mediaType: null }));
      const fault = pictureFault(picture, pictures);
      if (fault) faults.push(fault);
      else pictures = [...pictures, picture];
    }
    complain(faults.join(' '));
    show();
  }
  const add = (files) => {
    const chosen = [...files]; // before the picker is emptied
    reading = reading.then(() => take(chosen));
  };
  const hasFiles = ({ types }) => types.includes('Files');

  picker.querySelector('button').onclick = () => input.click();
  input.onchange = () => {
    add(input.files);
    input.value = ''; // the same file may be wanted again
  };
  form.onpaste = (event) => {
    const { files } = event.clipboardData;
    if (!files.length) return;
    event.preventDefault();
    add(files);
  };
  form.ondragover = (event) => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    form.dataset.dropping = '';
  };
  form.ondragleave = (event) => { if (!form.contains(event.relatedTarget)) delete form.dataset.dropping; };
  form.ondrop = (event) => {
    delete form.dataset.dropping;
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    add(event.dataTransfer.files);
  };

  return {
    count: () => pictures.length,
    // The blocks of the pictures; refused in words when all of it is more than the server takes.
    async blocks(text) {
      await reading;
      const fault = promptFault(text, pictures);
      if (fault) throw new Error(fault);
      return pictures.map(({ mediaType, url }) => ({ type: 'image', source: { type: 'base64', media_type: mediaType, data: url.slice(url.indexOf(',') + 1) } }));
    },
    clear() {
      pictures = [];
      show();
    },
  };
}

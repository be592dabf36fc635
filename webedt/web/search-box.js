// Words and a filter above the list; asks once per pause in the typing.
import { byId } from './dom.js';
import { queryOf } from './list-query.js';

const PAUSE_MS = 250;

export function searchBox(onQuery) {
  const form = byId('find');
  const { text, show } = form.elements;
  let timer = 0;
  let last = '';

  function ask() {
    clearTimeout(timer);
    const query = queryOf(text.value, show.value);
    if (JSON.stringify(query) === last) return;
    last = JSON.stringify(query);
    onQuery(query);
  }

  form.reset();
  last = JSON.stringify(queryOf('', show.value));
  form.onsubmit = (event) => { event.preventDefault(); ask(); };
  text.oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, text.value ? PAUSE_MS : 0);
  };
  show.onchange = ask;
  text.onkeydown = (event) => {
    if (event.key === 'Escape' && text.value) {
      event.preventDefault();
      text.value = '';
      ask();
    } else if (event.key === 'ArrowDown') {
      event.preventDefault();
      byId('sessions').querySelector('a, button')?.focus();
    }
  };
  return {
    focus: () => text.focus(),
    close: () => clearTimeout(timer),
  };
}

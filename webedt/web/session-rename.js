// A title is changed where it stands: Enter or leaving the field keeps it, Escape does not.
import { element } from './dom.js';
import { titleOf } from './session-link.js';

const LONGEST = 200;

export function renameIn(entry, session, rename) {
  if (entry.querySelector('.rename')) return;
  const shown = [...entry.children];
  const input = Object.assign(element('input', 'rename'), { value: session.title ?? '', maxLength: LONGEST, ariaLabel: `New title of ${titleOf(session)}` });
  let isDone = false;

  function done(keep) {
    if (isDone) return;
    isDone = true;
    const title = input.value.trim().replace(/\s+/g, ' ');
    const hadFocus = input === document.activeElement;
    input.remove();
    for (const node of shown) node.hidden = false;
    if (hadFocus) entry.querySelector('a').focus();
    if (keep && title && title !== session.title) rename(session, title);
  }

  input.onkeydown = (event) => {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === 'Enter') done(true);
    if (event.key === 'Escape') done(false);
  };
  input.onblur = () => done(true);
  for (const node of shown) node.hidden = true;
  entry.append(input);
  input.select();
  input.focus();
}

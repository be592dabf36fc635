// What can be done with one session, in a menu beside its line.
import { byId } from './dom.js';
import { isActive } from './tab-title.js';

export function sessionMenu(onChoice) {
  const menu = byId('session-menu');
  const items = [...menu.querySelectorAll('button')];
  let opened = null;

  menu.onclick = ({ target }) => {
    const item = target.closest('[data-do]');
    if (!item) return;
    menu.hidePopover();
    onChoice(item.dataset.do, opened);
  };
  menu.onkeydown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    event.stopPropagation();
    if (event.key === 'Tab') menu.hidePopover();
    if (!step) return;
    event.preventDefault();
    items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
  };

  return function open(session, button) {
    opened = session;
    const [favorite, , remove] = items;
    favorite.textContent = session.favorite ? 'Remove from favorites' : 'Add to favorites';
    remove.textContent = isActive(session.status) ? 'Stop and move to trash' : 'Move to trash';
    menu.showPopover();
    const beside = button.getBoundingClientRect();
    const { width, height } = menu.getBoundingClientRect();
    menu.style.left = `${Math.max(8, Math.min(beside.left, innerWidth - width - 8))}px`;
    menu.style.top = `${beside.bottom + height + 8 > innerHeight ? Math.max(8, beside.top - height - 4) : beside.bottom + 4}px`;
    favorite.focus();
  };
}

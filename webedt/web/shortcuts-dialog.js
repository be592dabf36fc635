// Every shortcut on one page.
import { openDialog } from './dialog.js';
import { element } from './dom.js';
import { keyName, SHORTCUTS } from './shortcuts.js';
import { setShortcuts, shortcutsOn } from './theme-choice.js';

export async function openShortcuts() {
  if (document.querySelector('dialog.shortcuts')) return;
  const { body } = await openDialog('Keyboard shortcuts', 'shortcuts');
  const list = element('dl', 'keys');
  for (const { keys, words } of SHORTCUTS) {
    const term = element('dt');
    for (const key of keys) term.append(element('kbd', '', keyName(key)), ' ');
    list.append(term, element('dd', '', words));
  }
  const label = element('label', 'check');
  const box = Object.assign(element('input'), { type: 'checkbox', checked: shortcutsOn() });
  box.onchange = () => setShortcuts(box.checked);
  label.append(box, ' Single letters are shortcuts');
  body.append(list, label);
}

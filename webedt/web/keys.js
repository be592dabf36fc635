// Keys pressed anywhere on the page, as commands.
import { commandOf } from './shortcuts.js';
import { shortcutsOn } from './theme-choice.js';

const FIELD = 'input, textarea, select, [contenteditable], dialog, [popover]';

export function shortcutKeys(commands, isInList, signal) {
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented || document.querySelector('dialog[open]')) return;
    const where = { inField: Boolean(event.target.closest?.(FIELD)), inList: isInList(), lettersOn: shortcutsOn() };
    const command = commandOf(event, where);
    if (!command) return;
    event.preventDefault(); // or the key would be typed where it leads
    commands[command]();
  }, { signal });
}

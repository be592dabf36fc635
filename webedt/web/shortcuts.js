// Which key does what. Pure: what is done is the workspace's business.

export const SHORTCUTS = [
  { keys: ['n'], command: 'new', words: 'New session' },
  { keys: ['s', '/'], command: 'search', words: 'Search the sessions' },
  { keys: ['j', 'ArrowDown'], command: 'next', words: 'Next session in the list' },
  { keys: ['k', 'ArrowUp'], command: 'previous', words: 'Previous session in the list' },
  { keys: ['Enter'], command: null, words: 'Open it' },
  { keys: ['f'], command: 'favorite', words: 'Make it a favorite, or not', inList: true },
  { keys: ['r', 'F2'], command: 'rename', words: 'Rename it', inList: true },
  { keys: ['Delete', '#'], command: 'remove', words: 'Move it to the trash', inList: true },
  { keys: ['?'], command: 'help', words: 'Show this' },
];

const NAMES = { ArrowDown: '↓', ArrowUp: '↑' };
export const keyName = (key) => NAMES[key] ?? key;

// Single letters can be switched off (they get in the way of speech input); keys with a name only count inside the list.
export function commandOf({ key, ctrlKey, metaKey, altKey, isComposing }, { inField, inList, lettersOn }) {
  if (ctrlKey || metaKey || altKey || isComposing || inField) return null;
  const found = SHORTCUTS.find(({ keys, command }) => command && keys.includes(key));
  if (!found) return null;
  const isLetter = key.length === 1;
  if (isLetter ? !lettersOn : !inList) return null;
  return found.inList && !inList ? null : found.command;
}

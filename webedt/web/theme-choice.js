// What this browser remembers of how the page looks and listens: the theme, and whether single keys are shortcuts.

function read(name) {
  try { return localStorage.getItem(name); } catch { return null; } // storage is off: nothing is remembered
}

function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch { /* holds for this page alone */ }
}

export const theme = () => document.documentElement.dataset.theme ?? 'system';

export function setTheme(name) {
  if (name === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  write('webedt-theme', name === 'system' ? null : name);
}

export const shortcutsOn = () => read('webedt-shortcuts') !== 'off';
export const setShortcuts = (isOn) => write('webedt-shortcuts', isOn ? null : 'off');

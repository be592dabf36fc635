// The settings: how the page looks, who answers, whose keys, and where one is logged in.
import { listKeys, listLogins, listProviders, readPreferences } from './account-api.js';
import { byId, fromTemplate } from './dom.js';
import { problemWords } from './problem.js';
import { defaultsForm } from './settings-defaults.js';
import { keyForms } from './settings-keys.js';
import { loginList } from './settings-logins.js';
import { loadStyle } from './style.js';
import { setShortcuts, setTheme, shortcutsOn, theme } from './theme-choice.js';
import { toast } from './toast.js';

export async function openSettings({ onRefusal, onLeave }) {
  await loadStyle('settings.css');
  const page = fromTemplate('settings-template');
  byId('settings').replaceChildren(page);

  for (const radio of page.querySelectorAll('[name=theme]')) {
    radio.checked = radio.value === theme();
    radio.onchange = () => setTheme(radio.value);
  }
  const letters = page.querySelector('[name=shortcuts]');
  letters.checked = shortcutsOn();
  letters.onchange = () => setShortcuts(letters.checked);

  const refuse = (error) => onRefusal(error) || toast(`The settings could not be read. ${problemWords(error)}`, { label: 'Try again', act: load });
  const defaults = defaultsForm(page.querySelector('.defaults'), { onRefusal });
  const keys = keyForms(page.querySelector('.keys'), { onRefusal, onChange: load });
  const logins = loginList(page.querySelector('.logins').closest('section'), { onRefusal, onLeave, onChange: load });

  // A stored key changes who can answer, so everything is read anew with it.
  async function load() {
    try {
      const [known, preferences, stored, sessions] = await Promise.all([listProviders(), readPreferences(), listKeys(), listLogins()]);
      defaults.show(known, preferences);
      keys.show(known, stored);
      logins.show(sessions);
    } catch (error) {
      refuse(error);
    }
  }
  load();
  return {
    focus: () => page.querySelector('h1').focus(),
    close: () => byId('settings').replaceChildren(),
  };
}

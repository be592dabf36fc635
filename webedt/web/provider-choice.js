// Who answers a new session: what can be chosen, why the rest cannot, and whether the choice is to last.
import { changePreferences, listProviders } from './account-api.js';
import { plural } from './ago.js';
import { byId, element, setText } from './dom.js';
import { chosenOf, noteOf } from './provider-words.js';
import { toast } from './toast.js';

export function providerChoice(form, onRefusal) {
  const { provider, model, remember } = form.elements;
  let known = null;

  function draw() {
    const chosen = chosenOf(known, provider.value);
    model.placeholder = chosen?.defaultModel ?? 'its default';
    setText(byId('provider-note'), noteOf(known, chosen));
    byId('remember').hidden = !(provider.value || model.value.trim()) || !chosen;
  }

  function fill() {
    const wanted = provider.value;
    const rest = known.providers.map(({ name, configured }) => Object.assign(element('option', '', name), { value: name, disabled: !configured }));
    provider.replaceChildren(Object.assign(element('option', '', known.default ? `Default (${known.default})` : 'Default (none)'), { value: '' }), ...rest);
    provider.value = rest.some(({ value, disabled }) => value === wanted && !disabled) ? wanted : '';
    const unusable = known.providers.filter(({ configured }) => !configured);
    byId('unusable').hidden = unusable.length === 0;
    byId('unusable').querySelector('summary').textContent = `${plural(unusable.length, 'provider')} cannot be used yet`;
    byId('unusable').querySelector('p').hidden = !unusable.some(({ takesKeys }) => takesKeys);
    byId('unusable').querySelector('dl').replaceChildren(...unusable.flatMap(({ name, reason }) => [element('dt', '', name), element('dd', '', reason)]));
  }

  provider.onchange = () => { model.value = ''; draw(); };
  model.oninput = draw;

  return {
    async load() {
      try {
        known = await listProviders();
        fill();
        draw();
      } catch (error) {
        // A prompt goes out without it too: the server knows the default.
        if (!onRefusal(error)) setText(byId('provider-note'), 'The providers could not be listed. Prompts go to the default one.');
      }
    },
    // A model goes with a provider: whoever names one names both.
    wanted() {
      const name = provider.value || (model.value.trim() && known?.default) || '';
      return { ...(name && { provider: name }), ...(model.value.trim() && { model: model.value.trim() }) };
    },
    remember() {
      if (!remember.checked || byId('remember').hidden) return;
      const change = { defaultProvider: provider.value || known.default, defaultModel: model.value.trim() || null };
      changePreferences(change).catch((error) => onRefusal(error) || toast('The default could not be changed. The settings have it too.'));
    },
  };
}

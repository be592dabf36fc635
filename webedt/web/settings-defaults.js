// Who answers a new session that names nobody.
import { changePreferences } from './account-api.js';
import { element, setText } from './dom.js';
import { problemWords } from './problem.js';

export function defaultsForm(form, { onRefusal }) {
  const { provider, model } = form.elements;
  const button = form.querySelector('button');
  let known = { providers: [] };

  function draw() {
    const chosen = known.providers.find(({ name }) => name === provider.value);
    model.disabled = !chosen;
    if (!chosen) model.value = '';
    model.placeholder = chosen?.defaultModel ?? 'its default';
  }
  const say = (error, words) => {
    setText(form.querySelector('.error'), error);
    setText(form.querySelector('.said'), words);
  };

  provider.onchange = () => { model.value = ''; draw(); say('', ''); };
  model.oninput = () => say('', '');
  form.onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    say('', '');
    try {
      await changePreferences({ defaultProvider: provider.value || null, defaultModel: model.value.trim() || null });
      say('', 'Saved.');
    } catch (error) {
      if (!onRefusal(error)) say(problemWords(error), '');
    } finally {
      button.disabled = false;
    }
  };

  return {
    show(nowKnown, { defaultProvider, defaultModel }) {
      known = nowKnown;
      const options = known.providers.map(({ name, configured }) => Object.assign(element('option', '', configured ? name : `${name} (cannot be used yet)`), { value: name }));
      provider.replaceChildren(provider.options[0], ...options);
      provider.value = defaultProvider ?? '';
      model.value = defaultModel ?? '';
      draw();
    },
  };
}

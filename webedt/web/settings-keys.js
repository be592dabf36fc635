// One form for each provider that takes a key. A key goes in and never comes out: there is nothing to show but since when.
import { removeKey, storeKey } from './account-api.js';
import { agoWords, exactWords } from './ago.js';
import { fromTemplate, setText } from './dom.js';
import { keyedChildren } from './keyed.js';
import { keyWords } from './key-words.js';
import { problemWords } from './problem.js';

export function keyForms(list, { onRefusal, onChange }) {
  const forms = keyedChildren(list, ({ provider }) => provider, keyForm);

  function keyForm({ provider }) {
    const node = fromTemplate('key-template');
    const form = node.querySelector('form');
    const { apiKey } = form.elements;
    const [save, remove] = form.querySelectorAll('button');
    setText(form.querySelector('b'), provider);
    setText(form.querySelector('label span'), `API key for ${provider}`);
    remove.ariaLabel = `Remove the key for ${provider}`;

    async function ask(work, words) {
      save.disabled = remove.disabled = true;
      setText(form.querySelector('.error'), '');
      setText(form.querySelector('.said'), '');
      try {
        await work();
        apiKey.value = '';
        setText(form.querySelector('.said'), words);
        await onChange();
      } catch (error) {
        if (!onRefusal(error)) setText(form.querySelector('.error'), problemWords(error));
      } finally {
        save.disabled = remove.disabled = false;
      }
    }

    form.onsubmit = (event) => {
      event.preventDefault();
      const key = apiKey.value.trim();
      if (key) ask(() => storeKey(provider, key), 'Stored.');
      else setText(form.querySelector('.error'), 'Paste a key first.');
    };
    remove.onclick = () => ask(() => removeKey(provider), 'Removed.');
    return {
      node,
      update({ configured, updatedAt, known }) {
        const state = form.querySelector('.state');
        setText(state, keyWords(configured, updatedAt && agoWords(updatedAt), known));
        state.title = updatedAt ? exactWords(updatedAt) : '';
        state.toggleAttribute('data-good', configured);
        remove.hidden = !configured;
        setText(save, configured ? 'Replace' : 'Save');
      },
    };
  }

  return {
    show: ({ providers }, stored) => forms(stored.map((key) => ({ ...key, known: providers.find(({ name }) => name === key.provider) }))),
  };
}

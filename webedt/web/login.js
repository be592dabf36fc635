// Log in, or create an account, with one form.
import { login, register } from './api.js';
import { byId } from './dom.js';
import { problemWords } from './problem.js';

const modes = {
  login: { title: 'Log in', password: 'current-password', ask: 'No account yet?', other: 'Create one', send: login },
  register: { title: 'Create an account', password: 'new-password', ask: 'Have an account?', other: 'Log in', send: register },
};

export function loginPage(onDone) {
  const form = byId('login').querySelector('form');
  const { email, password, displayName } = form.elements;
  const button = form.querySelector('[type=submit]');
  const error = form.querySelector('.error');
  let mode = 'login';

  function setMode(name) {
    mode = name;
    const words = modes[mode];
    form.querySelector('h1').textContent = button.textContent = words.title;
    form.querySelector('.other span').textContent = words.ask;
    form.querySelector('.other button').textContent = words.other;
    password.autocomplete = words.password;
    byId('password-hint').hidden = byId('name-field').hidden = mode === 'login';
    refuse('', null);
  }

  function refuse(words, field) {
    error.textContent = words;
    for (const input of [email, password]) input.setAttribute('aria-invalid', String(input === field));
    field?.focus();
  }

  function account() {
    const body = { email: email.value.trim(), password: password.value };
    return mode === 'register' && displayName.value.trim() ? { ...body, displayName: displayName.value.trim() } : body;
  }

  form.onsubmit = async (event) => {
    event.preventDefault();
    if (!email.value.trim() || !email.validity.valid) return refuse('Enter your email address, such as name@example.org.', email);
    if (!password.value) return refuse('Enter your password.', password);
    if (mode === 'register' && password.value.length < 8) return refuse('The password needs at least 8 characters.', password);
    button.disabled = true;
    refuse('', null);
    try {
      const { user } = await modes[mode].send(account());
      form.reset();
      onDone(user);
    } catch (refusal) {
      refuse(problemWords(refusal), null);
    } finally {
      button.disabled = false;
    }
  };
  form.querySelector('.other button').onclick = () => { setMode(mode === 'login' ? 'register' : 'login'); email.focus(); };
  return { open() { setMode('login'); byId('login').hidden = false; email.focus(); } };
}

// Starts the page: a shared conversation as it is; else finds out who is there, and shows the login or the workspace.
import { whoAmI } from './api.js';
import { byId, setText } from './dom.js';
import { loginPage } from './login.js';
import { problemWords } from './problem.js';
import { isShared } from './shared-link.js';

const RETRY_MS = 3000;
const login = loginPage(enter);

async function start() {
  try {
    const { user } = await whoAmI();
    await enter(user);
  } catch (error) {
    if (error.status === 401) return showLogin();
    setText(byId('starting'), `${problemWords(error)} Trying again…`);
    setTimeout(start, RETRY_MS);
  }
}

async function enter(user) {
  const { openWorkspace } = await import('./workspace.js'); // whoever only sees the login need not load it
  byId('starting').hidden = byId('login').hidden = true;
  byId('app').hidden = false;
  openWorkspace(user, showLogin);
}

function showLogin() {
  byId('starting').hidden = byId('app').hidden = true;
  document.title = 'Log in · WebEDT';
  login.open();
}

if (isShared(location.pathname)) import('./shared-page.js').then(({ openShared }) => openShared());
else start();

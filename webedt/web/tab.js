// The browser's tab: title and icon tell whether the open session runs or has ended. Also while nobody looks: streams
// rest in hidden tabs, so a session that ran is asked after now and then until it has ended.
import { getSession } from './api.js';
import { iconUrl, isActive, tabTitle } from './tab-title.js';

const ASK_MS = 10000;
const SEEN_MS = 1500;

let shown = { id: null, title: '', status: null };
let wasActive = false;
let activeSince = 0;
let timer = 0;

// The open session, as often as something of it changes.
export function showInTab({ title, status }) {
  // The replay of a log passes through "running" too: only what lasted was seen to run.
  if (!isActive(status)) wasActive ||= isActive(shown.status) && performance.now() - activeSince > SEEN_MS;
  else if (!isActive(shown.status)) activeSince = performance.now();
  shown = { id: shown.id, title, status };
  draw();
  watch();
}

// Another page: its title, or the id of the session that will be shown.
export function turnTab(title, id = null) {
  wasActive = false;
  shown = { id, title: title ?? '', status: null };
  draw();
}

function draw() {
  const words = tabTitle(shown, wasActive);
  if (document.title !== words) document.title = words;
  const icon = document.querySelector('link[rel=icon]');
  const url = iconUrl(shown.status, wasActive);
  if (icon.href !== url) icon.href = url;
}

async function ask() {
  const { id } = shown;
  const session = await getSession(id).catch(() => null);
  if (session && shown.id === id && document.hidden) showInTab({ title: shown.title, status: session.status });
  else watch();
}

function watch() {
  clearTimeout(timer);
  if (document.hidden && shown.id && isActive(shown.status)) timer = setTimeout(ask, ASK_MS);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden && !isActive(shown.status)) wasActive = false; // it has been seen
  draw();
  watch();
});

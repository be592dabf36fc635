// The API's description as a page: reads /api/openapi.json and shows every operation of it.
import { byId, element, setText } from './dom.js';
import { operationView } from './docs-operation.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

async function start() {
  const answer = await fetch('/api/openapi.json').catch(() => null);
  if (!answer?.ok) return setText(byId('loading'), 'The description cannot be had now. Reload to try again.');
  show(await answer.json());
}

function show(document_) {
  const main = byId('operations');
  byId('loading').remove();
  setText(byId('version'), document_.info.version);
  main.append(element('h1', '', `${document_.info.title} API`));
  for (const paragraph of document_.info.description.trim().split('\n\n')) main.append(element('p', '', paragraph.replaceAll('`', '')));
  const operations = Object.entries(document_.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => ({ path, method, ...methods[method] })));
  const entries = [];
  for (const { name, description } of document_.tags) {
    const mine = operations.filter(({ tags }) => tags.includes(name));
    if (!mine.length) continue;
    const list = element('ul');
    const heading = element('h2', '', name);
    byId('contents').append(element('h2', '', name), list);
    main.append(heading, element('p', 'hint', description));
    for (const operation of mine) {
      const link = entryOf(operation);
      const section = operationView(document_, operation);
      list.append(link);
      main.append(section);
      entries.push({ link, section, words: `${operation.method} ${operation.path} ${operation.summary}`.toLowerCase() });
    }
  }
  byId('filter').oninput = ({ target }) => filter(entries, target.value.trim().toLowerCase());
  if (location.hash) byId(location.hash.slice(1))?.scrollIntoView();
}

function entryOf({ method, path, operationId }) {
  const item = element('li');
  const link = item.appendChild(element('a'));
  link.href = `#${operationId}`;
  const badge = link.appendChild(element('code', 'method', method.toUpperCase()));
  badge.dataset.method = method;
  link.append(element('span', '', path));
  return item;
}

function filter(entries, words) {
  for (const entry of entries) entry.link.hidden = entry.section.hidden = !entry.words.includes(words);
}

start();

// One operation of the description: parameters, body, answers, a curl line, and a form to try it.
import { element, fromTemplate, setText } from './dom.js';
import { curlOf } from './docs-curl.js';
import { resolved, rowsOf } from './docs-schema.js';
import { tryForm } from './docs-try.js';

export function operationView(document_, operation) {
  const node = fromTemplate('operation-template');
  const { method, path, operationId, parameters = [], requestBody } = operation;
  node.id = operationId;
  node.querySelector('.anchor').href = `#${operationId}`;
  const badge = node.querySelector('.method');
  badge.dataset.method = method;
  setText(badge, method.toUpperCase());
  setText(node.querySelector('.path'), path);
  setText(node.querySelector('.summary'), operation.summary);
  setText(node.querySelector('.access'), operation.security ? 'Needs a login.' : 'Needs no login.');
  if (parameters.length) {
    const rows = parameters.map(({ name, in: place, required, schema, description }) =>
      [name, place, wordsOf(document_, schema) + (required ? ', required' : ''), plain(description)]);
    node.querySelector('.parameters').append(element('h4', '', 'Parameters'), table(['Name', 'In', 'Type', ''], rows));
  }
  const request = node.querySelector('.request');
  for (const [type, content] of Object.entries(requestBody?.content ?? {})) {
    request.append(element('h4', '', `Body, ${type}`));
    const rows = rowsOf(document_, content.schema);
    if (rows.length) request.append(table(['Field', 'Type', ''], rows));
  }
  request.append(element('h4', '', 'With curl'), sample(curlOf(operation)));
  showAnswers(document_, operation, node.querySelector('.answers'));
  tryForm(node.querySelector('.try'), operation);
  return node;
}

function showAnswers(document_, { responses }, container) {
  const refusals = [];
  for (const [status, given] of Object.entries(responses)) {
    const answer = resolved(document_, given);
    if (status === 'default') continue;
    if (Number(status) >= 400) {
      refusals.push([status, plain(answer.description)]);
      continue;
    }
    container.append(element('h4', '', `Answer ${status}`));
    if (!answer.content) container.append(element('p', 'hint', answer.description));
    for (const [type, content] of Object.entries(answer.content ?? {})) showContent(document_, type, content, container);
  }
  if (refusals.length) container.append(element('h4', '', 'Refusals'), table(['Status', ''], refusals));
}

function showContent(document_, type, { schema, example }, container) {
  container.append(element('p', 'hint', type));
  if (example !== undefined) container.append(sample(typeof example === 'string' ? example : JSON.stringify(example, null, 2)));
  const kinds = schema?.oneOf?.filter(({ title }) => title);
  if (kinds) {
    const rows = kinds.map(({ title, properties }) => {
      const shape = resolved(document_, properties.data.contentSchema);
      return [title, Object.keys(shape.properties ?? {}).join(', '), plain(shape.description)];
    });
    container.append(folded('Events of this stream', table(['Event', 'Data', ''], rows)));
    return;
  }
  const rows = schema ? rowsOf(document_, schema) : [];
  if (rows.length) container.append(folded('Fields', table(['Field', 'Type', ''], rows)));
}

const plain = (text) => (text ?? '').replaceAll('`', '').replace(/\s+/g, ' ').trim();
const wordsOf = (document_, schema) => rowsOf(document_, { properties: { x: schema } })[0][1];

function table(heads, rows) {
  const node = element('table');
  const head = node.appendChild(element('thead')).appendChild(element('tr'));
  for (const words of heads) head.append(element('th', '', words || 'Meaning'));
  const body = node.appendChild(element('tbody'));
  for (const cells of rows) {
    const row = body.appendChild(element('tr'));
    cells.forEach((words, i) => {
      const cell = row.appendChild(element('td'));
      if (i === 0) cell.append(element('code', '', words));
      else setText(cell, words);
    });
  }
  return node;
}

function folded(words, content) {
  const node = element('details');
  node.append(element('summary', '', words), content);
  return node;
}

function sample(text) {
  const node = element('div', 'sample');
  const pre = node.appendChild(element('pre', '', text));
  pre.tabIndex = 0;
  const copy = node.appendChild(element('button', 'quiet', 'Copy'));
  copy.type = 'button';
  copy.onclick = async () => {
    const words = await navigator.clipboard.writeText(text).then(() => 'Copied', () => 'Select and copy by hand');
    setText(copy, words);
    setTimeout(setText, 2000, copy, 'Copy');
  };
  return node;
}

// Asks this server what the reader fills in. Goes by the cookie of the login, as the web app does.
import { element, setText } from './dom.js';

const MOST_SHOWN = 200000;

export function tryForm(details, { method, path, parameters = [], requestBody }) {
  const form = details.querySelector('form');
  const fields = details.querySelector('.fields');
  const stop = form.querySelector('[type=button]');
  const result = details.querySelector('.result');
  const status = details.querySelector('.result-status');
  const inputs = parameters.map((parameter) => ({ ...parameter, input: field(fields, parameter.name, 'input') }));
  const [type, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const body = type === 'application/json' ? field(fields, 'Body', 'textarea') : null;
  if (body) {
    body.rows = 5;
    body.value = JSON.stringify(content.example ?? {}, null, 2);
  }
  let asking = null;

  form.onsubmit = async (event) => {
    event.preventDefault();
    asking?.abort();
    const mine = asking = new AbortController();
    stop.hidden = false;
    result.hidden = true;
    result.textContent = '';
    setText(status, 'Asking…');
    try {
      const answer = await fetch(urlOf(path, inputs), { method: method.toUpperCase(), headers: headersOf(inputs, body), body: body?.value, signal: mine.signal });
      setText(status, `${answer.status} ${answer.statusText}`);
      await show(answer, result);
      if (asking === mine) setText(status, `${answer.status} ${answer.statusText}, ended`);
    } catch (error) {
      if (asking === mine) setText(status, mine.signal.aborted ? 'Stopped.' : `No answer: ${error.message}`);
    }
    if (asking === mine) stop.hidden = true;
  };
  stop.onclick = () => asking?.abort();
}

function field(fields, name, kind) {
  const label = fields.appendChild(element('label', '', name));
  return label.appendChild(element(kind));
}

function urlOf(path, inputs) {
  const query = new URLSearchParams();
  for (const { name, in: place, input } of inputs) {
    if (place === 'path') path = path.replace(`{${name}}`, encodeURIComponent(input.value.trim()));
    else if (place === 'query' && input.value !== '') query.set(name, input.value);
  }
  return query.size ? `${path}?${query}` : path;
}

function headersOf(inputs, body) {
  const headers = body ? { 'Content-Type': 'application/json' } : {};
  for (const { name, in: place, input } of inputs) {
    if (place === 'header' && input.value !== '') headers[name] = input.value;
  }
  return headers;
}

// As it comes, for it may be a stream that does not end.
async function show(answer, result) {
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const text = result.appendChild(new Text());
  const isJson = /json/.test(answer.headers.get('Content-Type') ?? '');
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    if (text.length > MOST_SHOWN) return reader.cancel();
    text.appendData(next.value);
    result.hidden = false;
  }
  if (isJson && text.length < MOST_SHOWN) text.data = JSON.stringify(JSON.parse(text.data), null, 2);
}

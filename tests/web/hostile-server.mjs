// A server on a real socket that answers by a script: each request takes the next step. It can misbehave in every way.
import { createServer } from 'node:http';
import { once } from 'node:events';

export const SESSION = '5e551011-0000-4000-8000-000000000001';
export const RUN = '50000000-0000-4000-8000-000000000001';

export const frame = (id, type, data = {}) =>
  `${id ? `id: ${id}\n` : ''}event: ${type}\ndata: ${JSON.stringify(id ? { runId: RUN, ...data } : data)}\n\n`;
export const delta = (id, text = 'x', messageId = 'm1') => frame(id, 'text_delta', { messageId, text });
export const message = (id, replacesFrom, messageId = 'm1') => frame(id, 'message', { messageId, role: 'assistant', content: [], replacesFrom });
export const caughtUp = (lastEventId) => frame(null, 'caught_up', { lastEventId, status: 'running' });

// A stream of these bytes that ends cleanly; broken off (`cut`), or left open in silence (`hang`), if so asked.
export const stream = (chunks, { cut = false, hang = false, container = 'one' } = {}) => async (request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Session-ID': SESSION, 'X-Run-ID': RUN, 'X-Container-ID': container });
  response.flushHeaders();
  for (const chunk of [chunks].flat()) await new Promise((written) => { response.write(chunk, written); });
  if (cut) response.destroy();
  else if (!hang) response.end();
};

export const answer = (status, body = null, headers = {}) => (request, response) => {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(body === null ? undefined : JSON.stringify(body));
};

export const lost = (request) => request.socket.destroy();

export async function hostileServer(t, steps) {
  const requests = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const { method, url, headers } = request;
    requests.push({ method, url, headers, body: body && JSON.parse(body) });
    await (steps.shift() ?? answer(404, { code: 'not_found', detail: 'The script is at its end.' }))(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  return {
    baseUrl: `http://127.0.0.1:${server.address().port}`,
    requests,
    // What each request for a stream asked for: POST, or its Last-Event-ID.
    get cursors() { return requests.map(({ method, headers }) => (method === 'POST' ? method : headers['last-event-id'] ?? null)); },
  };
}

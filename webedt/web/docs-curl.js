// An operation as a line for a shell. Pure.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curlOf({ method, path, security, requestBody, responses }) {
  const lines = [`curl${method === 'get' ? '' : ` -X ${method.toUpperCase()}`} "$WEBEDT_URL${path.replace(/{(\w+)}/g, (_, name) => `$${name.toUpperCase()}`)}"`];
  if (security) lines.push('-H "Authorization: Bearer $TOKEN"');
  const body = Object.entries(requestBody?.content ?? {})[0];
  if (body?.[0] === 'application/json') lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body[1].example ?? {}))}`);
  else if (body) lines.push('--data-binary @file');
  if (responses[200]?.content?.['text/event-stream']) lines.push('-N');
  return lines.join(' \\\n  ');
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { curlOf } from '../../webedt/web/docs-curl.js';
import { rowsOf, typeWords } from '../../webedt/web/docs-schema.js';

const document_ = {
  components: {
    schemas: {
      Session: {
        type: 'object', required: ['id', 'user'],
        properties: {
          id: { type: 'string', format: 'uuid' }, user: { $ref: '#/components/schemas/User' },
          status: { enum: ['running', 'completed'] }, parent: { anyOf: [{ $ref: '#/components/schemas/Session' }, { type: 'null' }] },
        },
      },
      User: { type: 'object', properties: { name: { type: 'string', minLength: 1, maxLength: 200, description: 'What\n  others `see`.' } } },
    },
  },
};
const session = { $ref: '#/components/schemas/Session' };

test('a schema becomes rows, with the members of its members behind it', () => {
  assert.deepEqual(rowsOf(document_, session), [
    ['id', 'uuid', ''],
    ['user', 'object', ''],
    ['user.name', 'string, 1 to 200 characters', 'What others see.'],
    ['status', '"running" | "completed", optional', ''],
    ['parent', 'object or null, optional', ''],
  ]);
});

test('the members of a list are named as such', () => {
  const schema = { properties: { sessions: { type: 'array', items: session } } };
  assert.deepEqual(rowsOf(document_, schema).slice(0, 2), [['sessions', 'list of object', ''], ['sessions[].id', 'uuid', '']]);
});

test('a schema that contains itself ends', () => {
  const own = { components: { schemas: { Node: { properties: { next: { $ref: '#/components/schemas/Node' } } } } } };
  assert.equal(rowsOf(own, { $ref: '#/components/schemas/Node' }).length, 4);
});

test('bounds are told as people tell them', () => {
  assert.equal(typeWords(document_, { type: 'integer', minimum: 1 }), 'integer, at least 1');
  assert.equal(typeWords(document_, { type: 'integer', minimum: 1, maximum: 365 }), 'integer, 1 to 365');
  assert.equal(typeWords(document_, { type: 'string', maxLength: 9 }), 'string, at most 9 characters');
});

test('an operation becomes a line for a shell, quotes and all', () => {
  const operation = {
    method: 'post', path: '/api/sessions/{id}/send', security: [{}], responses: { 202: {} },
    requestBody: { content: { 'application/json': { example: { message: "it's red" } } } },
  };
  assert.equal(curlOf(operation), [
    'curl -X POST "$WEBEDT_URL/api/sessions/$ID/send"',
    '-H "Authorization: Bearer $TOKEN"',
    "-H 'Content-Type: application/json'",
    `-d '{"message":"it'\\''s red"}'`,
  ].join(' \\\n  '));
});

test('a stream is asked for without a buffer', () => {
  const operation = { method: 'get', path: '/api/resume/{id}', responses: { 200: { content: { 'text/event-stream': {} } } } };
  assert.equal(curlOf(operation), 'curl "$WEBEDT_URL/api/resume/$ID" \\\n  -N');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createParser } from '../../webedt/web/client.js';

const bytes = (text) => new TextEncoder().encode(text);

function parsed(...chunks) {
  const frames = [];
  const retries = [];
  const feed = createParser({ onFrame: (frame) => frames.push(frame), onRetry: (ms) => retries.push(ms) });
  chunks.forEach((chunk) => feed(typeof chunk === 'string' ? bytes(chunk) : chunk));
  return { frames, retries };
}
const frames = (...chunks) => parsed(...chunks).frames;
const datas = (...chunks) => frames(...chunks).map(({ data }) => data);

test('a stream is read the same whatever bytes it is split into', () => {
  const text = '\ufeffid: 1\r\nevent: text_delta\rdata: {"text":"grüße 🎈"}\n\r\n: comment\n\nretry: 7\r\rid: 2\ndata\ndata: b\r\n\r\n';
  const whole = parsed(text);
  assert.deepEqual(whole, {
    frames: [{ id: '1', type: 'text_delta', data: '{"text":"grüße 🎈"}' }, { id: '2', type: 'message', data: '\nb' }], retries: [7],
  });
  const raw = bytes(text);
  for (let cut = 0; cut <= raw.length; cut += 1) assert.deepEqual(parsed(raw.slice(0, cut), raw.slice(cut)), whole, `cut at ${cut}`);
  assert.deepEqual(parsed(...Array.from(raw, (byte) => Uint8Array.of(byte))), whole);
});

test('a byte order mark is dropped at the beginning and nowhere else', () => {
  assert.deepEqual(datas('\ufeffdata: a\n\n\ufeffdata: b\n\ndata: \ufeffc\n\n'), ['a', '\ufeffc']);
});

test('a line that ends in CR is read at once, and an LF behind it ends no second line', () => {
  assert.deepEqual(datas('data: a\r\r'), ['a']);
  assert.deepEqual(datas('data: a\r', '\ndata: b\r', '\n\r', '\n'), ['a\nb']);
});

test('one space behind the colon belongs to the syntax, the next one to the value', () => {
  assert.deepEqual(datas('data:a\n\ndata: a\n\ndata:  a\n\ndata:a:b\n\n'), ['a', 'a', ' a', 'a:b']);
});

test('nothing is dispatched without data, and an empty data line is data', () => {
  assert.deepEqual(datas('event: x\nid: 4\n\n', '\n\n\n', ': data\n\n', 'data\n\n'), ['']);
});

test('the type of one event does not leak into the next, and an empty one is message', () => {
  assert.deepEqual(frames('event: x\n\ndata: a\n\nevent:\ndata: b\n\n').map(({ type }) => type), ['message', 'message']);
});

test('an id with NUL is ignored, an empty one counts', () => {
  assert.deepEqual(frames('id: 4\nid: 5\0\ndata: a\n\nid\ndata: b\n\ndata: c\n\n').map(({ id }) => id), ['4', '', undefined]);
});

test('retry is taken from ASCII digits only, and before its block ends', () => {
  assert.deepEqual(parsed('retry: 5\nretry: -1\nretry: 1.5\nretry: 1e3\nretry: \nretry\nretry: ٣\nretry: 6 \nretry:07\n').retries, [5, 7]);
});

test('unknown fields and field names in other letters are ignored', () => {
  assert.deepEqual(datas('Data: a\ndata : b\n data: c\nfoo: d\ndata: e\n\n'), ['e']);
});

test('malformed UTF-8 becomes U+FFFD, and a character split over chunks is whole', () => {
  assert.deepEqual(datas(Uint8Array.of(0x64, 0x61, 0x74, 0x61, 0x3a, 0xff, 0x0a, 0x0a)), ['\ufffd']);
  const [head, tail] = [bytes('data: 🎈\n\n').slice(0, 8), bytes('data: 🎈\n\n').slice(8)];
  assert.deepEqual(datas(head, tail), ['🎈']);
});

test('a block that no empty line ends is never given out', () => {
  assert.deepEqual(datas('data: a\n\ndata: half'), ['a']);
});

test('a long line in many pieces takes no time that grows with its square', () => {
  const piece = 'x'.repeat(1024);
  const began = performance.now();
  const [data] = datas('data: ', ...Array(4096).fill(piece), '\n\n');
  assert.equal(data.length, 4096 * 1024);
  assert.ok(performance.now() - began < 2000);
});

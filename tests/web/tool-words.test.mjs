import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clip } from '../../webedt/web/clip.js';
import { inputSections, mainArgument, outputText, toolState } from '../../webedt/web/tool-words.js';

test('the argument that says most stands in the line of a tool call', () => {
  assert.equal(mainArgument({ timeout: 5, command: 'npm\n  test' }), 'npm test');
  assert.equal(mainArgument({ file_path: '/a.py', old_string: 'x' }), '/a.py');
  assert.equal(mainArgument({ left: 1, right: 'b', deep: {} }), '1 b');
  assert.deepEqual([null, undefined, {}, 7, []].map(mainArgument), ['', '', '', '', '']);
  assert.ok(mainArgument({ command: 'x '.repeat(100000) }).length <= 160);
});

test('how a call went, and how long it took where both ends were seen', () => {
  assert.equal(toolState({ result: null }, false), 'running');
  assert.equal(toolState({ result: null }, true), 'stopped');
  assert.equal(toolState({ result: { isError: true } }, false), 'failed');
  assert.equal(toolState({ result: { isError: false, endedAt: 3500 }, startedAt: 1000 }, false), 'done in 2.5 s');
  assert.equal(toolState({ result: { isError: false, endedAt: 3500 } }, false), 'done');
});

test('arguments of several lines stand by themselves, the others as JSON', () => {
  assert.deepEqual(inputSections({ path: 'a', text: 'x\ny' }), [['Input', '{\n  "path": "a"\n}'], ['text', 'x\ny']]);
  assert.deepEqual(inputSections('raw'), [['Input', 'raw']]);
  assert.deepEqual(inputSections({}), [['Input', '{}']]);
});

test('a result that is JSON is laid out, and anything else is left as it is', () => {
  assert.equal(outputText('{"a":1}'), '{\n  "a": 1\n}');
  assert.equal(outputText('{not json'), '{not json');
  assert.equal(outputText([{ type: 'text', text: 'a' }, { type: 'image', source: { data: 'AAAA' } }]), 'a\n[picture]');
});

test('long output is shown by its beginning, and what is a little longer as a whole', () => {
  const lines = (count) => Array.from({ length: count }, (_, i) => `${i}`).join('\n');
  assert.deepEqual(clip(lines(45)), { shown: lines(45), more: '' });
  assert.deepEqual(clip(lines(1234)), { shown: lines(40), more: '1,234 lines' });
  assert.deepEqual(clip('x'.repeat(9000)), { shown: 'x'.repeat(6000), more: '9,000 characters' });
  assert.ok(!/[\ud800-\udbff]$/.test(clip(`x${'👩'.repeat(9000)}`).shown), 'a character is not cut in two');
});

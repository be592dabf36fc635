import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partsOf } from '../../webedt/web/content.js';

test('tools of every kind have events of their own and are no part of a message', () => {
  const content = [
    { type: 'text', text: 'a' }, { type: 'mcp_tool_use', name: 'x' }, { type: 'server_tool_use', name: 'y' },
    { type: 'web_search_tool_result', content: [] }, { type: 'tool_use', name: 'z' }, { type: 'text', text: 'b' },
  ];
  assert.deepEqual(partsOf(content), [{ type: 'text', text: 'ab' }]);
});

test('a block that nobody knows is shown as it is', () => {
  assert.deepEqual(partsOf([{ type: 'novel', n: 1 }]).map(({ type, name }) => [type, name]), [['other', 'novel']]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goneWords, isShared, tokenOf } from '../../webedt/web/shared-link.js';

test('the token of a shared conversation is in its address, and nothing else is taken for one', () => {
  assert.equal(tokenOf('/shared/abc-DEF_123'), 'abc-DEF_123');
  assert.equal(tokenOf('/shared/abc/'), 'abc');
  for (const path of ['/shared/', '/shared/a/b', '/shared/..%2Fapi', `/shared/${'x'.repeat(201)}`]) assert.equal(tokenOf(path), '-');
  assert.ok(isShared('/shared/x'));
  assert.ok(!isShared('/'));
});

test('a link that is gone says why, and one that may come back says nothing', () => {
  assert.match(goneWords({ status: 404 }, false), /no such/);
  assert.match(goneWords({ status: 404 }, true), /no longer shared/);
  assert.match(goneWords({ status: 410 }, true), /expired/);
  for (const status of [0, 401, 429, 500, 503]) assert.equal(goneWords({ status }, true), '');
});

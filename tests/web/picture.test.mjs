import assert from 'node:assert/strict';
import { test } from 'node:test';
import { base64Length, MAX_PICTURE_BYTES, MAX_PROMPT_BYTES, mediaTypeOf, pictureFault, promptFault, smallerSize } from '../../webedt/web/picture.js';

const bytes = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const picture = (size, mediaType = 'image/png') => ({ name: 'a.png', bytes: size, mediaType });

test('a picture is what its first bytes say', () => {
  assert.equal(mediaTypeOf(bytes('\x89PNG\r\n\x1a\n....')), 'image/png');
  assert.equal(mediaTypeOf(bytes('\xff\xd8\xff\xe0')), 'image/jpeg');
  assert.equal(mediaTypeOf(bytes('GIF89a')), 'image/gif');
  assert.equal(mediaTypeOf(bytes('RIFF....WEBPVP8 ')), 'image/webp');
  for (const other of ['', '<svg onload=x>', '%PDF-', 'RIFF....WAVE', 'BM']) assert.equal(mediaTypeOf(bytes(other)), null);
});

test('what the server or the model would refuse is said before it is sent', () => {
  assert.equal(pictureFault(picture(1000), []), '');
  assert.match(pictureFault(picture(10, null), []), /PNG, JPEG, GIF or WebP/);
  assert.match(pictureFault(picture(MAX_PICTURE_BYTES + 1), []), /too large/);
  assert.match(pictureFault(picture(3e6), [picture(3e6), picture(3e6)]), /does not fit/);
  assert.match(pictureFault(picture(1), Array.from({ length: 20 }, () => picture(1))), /At most 20/);
});

test('the bound of a prompt is in bytes as they go over the wire', () => {
  assert.equal(promptFault('x'.repeat(MAX_PROMPT_BYTES - 10), []), '');
  assert.match(promptFault('ä'.repeat(MAX_PROMPT_BYTES / 2), []), /too large/);
  assert.match(promptFault('x', [picture(MAX_PROMPT_BYTES * 0.75)]), /too large/);
  assert.equal(base64Length(1), btoa('x').length);
});

test('a smaller size keeps its shape and never grows', () => {
  assert.deepEqual(smallerSize(4000, 3000), { width: 2000, height: 1500 });
  assert.deepEqual(smallerSize(100, 50), { width: 100, height: 50 });
  assert.deepEqual(smallerSize(100000, 1), { width: 2000, height: 1 });
});

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('../../webedt/web/', import.meta.url);
const css = readFileSync(new URL('theme.css', folder), 'utf8');
const colours = Object.fromEntries([...css.matchAll(/--([\w-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)/g)].map(([, name, light, dark]) => [name, { light, dark }]));

// WCAG 2.2: relative luminance and contrast ratio.
function luminance(hex) {
  const [red, green, blue] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const SURFACES = ['page', 'panel', 'raised', 'tint'];
const pairs = [
  ...['text', 'muted', 'accent', 'good', 'bad', 'busy'].flatMap((ink) => SURFACES.map((surface) => [ink, surface, 4.5])),
  ['text', 'bad-tint', 4.5], ['bad', 'bad-tint', 4.5], ['on-accent', 'accent', 4.5],
  // Edges of fields, the star, and the ring around what has the focus are no text: 3 is enough (1.4.11).
  ...['field-line', 'star'].flatMap((ink) => ['page', 'panel', 'raised'].map((surface) => [ink, surface, 3])),
];

for (const scheme of ['light', 'dark']) {
  test(`every colour of the ${scheme} theme can be read on every surface that it stands on`, () => {
    const weak = pairs.map(([ink, surface, least]) => [ink, surface, least, contrast(colours[ink][scheme], colours[surface][scheme])]).filter(([, , least, ratio]) => ratio < least);
    assert.deepEqual(weak, []);
  });
}

test('the formula is the one of the standard', () => {
  assert.equal(contrast('000000', 'ffffff'), 21);
  assert.equal(contrast('777777', 'ffffff').toFixed(2), '4.48');
});

test('no colour hides outside the theme', () => {
  const others = ['controls.css', 'layout.css', 'login.css', 'session-list.css', 'new-session.css', 'settings.css', 'operations.css', 'dialogs.css'];
  const present = readdirSync(folder);
  for (const name of others) {
    assert.ok(present.includes(name), name);
    assert.doesNotMatch(readFileSync(new URL(name, folder), 'utf8'), /#[0-9a-f]{3,8}\b|rgba?\(|hsla?\(/i, name);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseInline } from '../../webedt/web/inline.js';

const TAGS = { strong: 'b', em: 'i', del: 's' };
const show = (nodes) => nodes.map((node) => ({
  text: () => node.text,
  code: () => `<code>${node.text}</code>`,
  link: () => `<${node.isImage ? 'img' : 'a'} ${node.href}>${show(node.children)}</>`,
})[node.type]?.() ?? `<${TAGS[node.type]}>${show(node.children)}</${TAGS[node.type]}>`).join('');
const inline = (text, isOpen) => show(parseInline(text, isOpen));

const cases = [
  ['emphasis', '*a* _b_ **c** __d__ ~~e~~ ~f~', '<i>a</i> <i>b</i> <b>c</b> <b>d</b> <s>e</s> <s>f</s>'],
  ['emphasis in emphasis', '***a*** **b *c* d** *e **f** g*', '<i><b>a</b></i> <b>b <i>c</i> d</b> <i>e <b>f</b> g</i>'],
  ['names and sums are no emphasis', 'snake_case_name 2 * 3 * 4 **not** closed** a*', 'snake_case_name 2 * 3 * 4 <b>not</b> closed** a*'],
  ['a star inside bold text', '**foo*bar**', '<b>foo*bar</b>'],
  ['what does not close is text', '**a `b [c ~~d', '**a `b [c ~~d'],
  ['code holds everything', '`*a* [b](http://c) &amp; <x>` ``a`b`` ` `` `', '<code>*a* [b](http://c) &amp; <x></code> <code>a`b</code> <code>``</code>'],
  ['escapes', '\\*a\\* \\[b\\] \\\\ \\d', '*a* [b] \\ \\d'],
  ['entities are decoded to text', '&lt;b&gt; &amp;amp; &#65;&#x42; &nope; &#0;', '<b> &amp; AB &nope; \ufffd'],
  ['links', '[a](https://b.c/d_e_f "t") [**x**](<https://b.c/a b>) [m](mailto:a@b.c)', '<a https://b.c/d_e_f>a</> <a https://b.c/a%20b><b>x</b></> <a mailto:a@b.c>m</>'],
  ['parentheses in an address', '[a](https://b.c/x_(y)) (see [b](https://c.d))', '<a https://b.c/x_(y)>a</> (see <a https://c.d/>b</>)'],
  ['a link holds no link', '[a [b](https://c.d) e](/f)', '[a <a https://c.d/>b</> e](/f)'],
  ['an address as its own words', '[https://a.b](https://c.d)', '<a https://c.d/>https://a.b</>'],
  ['a link goes before emphasis that crosses it', '*a [b* c](https://d.e)', '*a <a https://d.e/>b* c</>'],
  ['pictures are links', '![a *b*](https://c.d/e.png) [![x](https://y.z)](https://w.v)', '<img https://c.d/e.png>a <i>b</i></> <a https://w.v/><img https://y.z/>x</></>'],
  ['addresses in running text end before the mark of the sentence', 'See https://a.b/c?d=1&e=2. (http://f.g/h_(i)) www.j.k, **https://l.m**', 'See <a https://a.b/c?d=1&e=2>https://a.b/c?d=1&e=2</>. (<a http://f.g/h_(i)>http://f.g/h_(i)</>) <a https://www.j.k/>www.j.k</>, <b><a https://l.m/>https://l.m</></b>'],
  ['addresses between angles', '<https://a.b> <me@c.d> <b>', '<a https://a.b/>https://a.b</> <a mailto:me@c.d>me@c.d</> <b>'],
  ['lines stay', 'a\nb\\\nc', 'a\nb\\\nc'],
];
for (const [name, text, expected] of cases) test(name, () => assert.equal(inline(text), expected));

test('text that still comes is shown as what it is about to be', () => {
  assert.equal(inline('so **bold', true), 'so <b>bold</b>');
  assert.equal(inline('so **bold*', true), 'so <b>bold</b>');
  assert.equal(inline('so `co', true), 'so <code>co</code>');
  assert.equal(inline('see [the page](https://exam', true), 'see <a null>the page</>');
  assert.equal(inline('so **bold', false), 'so **bold');
});

// Whatever opens something else than a web page or a mail is words. The parser is where this is decided; the page only obeys.
const hostile = [
  'javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'javascript&colon;alert(1)', 'javascript&#58;alert(1)', 'javascript&#x3a;alert(1)', '&#106;avascript:alert(1)',
  'java\\script:alert(1)', '\u0001javascript:alert(1)', 'java&Tab;script:alert(1)', 'java&NewLine;script:alert(1)', '&#32;javascript:alert(1)', '&nbsp;javascript:alert(1)',
  'data:text/html,<script>alert(1)</script>', 'data:text/html;base64,PHNjcmlwdD4=', 'vbscript:msgbox(1)', 'file:///etc/passwd', 'blob:https://a.b/c', 'about:blank',
  '//evil.example', '/api/auth/logout', '?x', '#y', '../z', 'https:evil', 'https:///evil', 'http:\\\\evil', 'ftp://a.b', 'view-source:https://a.b', 'filesystem:https://a.b',
];
for (const address of hostile) {
  test(`an address is never opened: ${JSON.stringify(address)}`, () => {
    for (const text of [`[a](${address})`, `[a](<${address}>)`, `![a](${address})`, `<${address}>`, `[a]( ${address} "t")`, address]) {
      const hrefs = JSON.stringify(parseInline(text)).match(/"href":"[^"]*"/g) ?? [];
      for (const href of hrefs) assert.match(href, /^"href":"(https?:\/\/|mailto:)/, text);
      if (address.includes('script') || text.startsWith('[a]')) assert.deepEqual(hrefs, [], text);
    }
  });
}

test('markup of any kind stays text', () => {
  for (const text of ['<img src=x onerror=alert(1)>', '<svg/onload=alert(1)>', '<a href="javascript:alert(1)">x</a>', '<iframe srcdoc="<script>">', '&lt;script&gt;alert(1)&lt;/script&gt;', '<!--', '<style>*{}</style>']) {
    assert.ok(parseInline(text).every(({ type }) => type === 'text'), text);
  }
});

test('an address cannot leave its attribute', () => {
  const [link] = parseInline('[a](https://b.c/"onmouseover="alert(1))');
  assert.equal(link.href, 'https://b.c/%22onmouseover=%22alert(1)');
});

const depth = (nodes) => Math.max(0, ...nodes.map(({ children = [] }) => 1 + depth(children)));

test('nesting is bounded, however deep the text goes', () => {
  const deep = (open, close) => `${open.repeat(60)}x${close.repeat(60)}`;
  for (const text of [deep('*a ', ' b*').replaceAll(' b*', 'b* '), deep('![', '](https://a.b)'), deep('*a _b ', 'c_ d* ')]) {
    const found = depth(parseInline(text));
    assert.ok(found > 3 && found <= 14, `${found} levels of ${text.slice(0, 20)}`);
  }
});

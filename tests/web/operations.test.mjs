import assert from 'node:assert/strict';
import { test } from 'node:test';
import { difference, merge, quantile } from '../../webedt/web/histogram.js';
import { KEPT_MS, miss, NOTHING_SEEN, see } from '../../webedt/web/operations-samples.js';
import { ageWords, breakerWords, healthWords, msWords, numberWords, reachedWords, TILES } from '../../webedt/web/operations-words.js';
import { sparkline } from '../../webedt/web/sparkline.js';

const histogram = (count, sum, ...counts) => ({ count, sum, buckets: counts.map((n, i) => ({ le: [0.01, 0.1, 1][i], count: n })) });
const NONE = histogram(0, 0, 0, 0, 0);

function answer(container, second, { committed = 0, uptime = 100 + second, commits = NONE, ...more } = {}) {
  return {
    at: new Date(second * 1000).toISOString(),
    status: {
      status: 'healthy', container, uptimeSeconds: uptime, runs: { active: 5, queued: 2 }, streams: { active: 3 }, listener: { connected: true }, upstreams: [], instances: [],
      database: { latencyMs: 0.5, connections: { total: 4, idle: 1, waiting: 0, max: 20 } }, ...more,
    },
    metrics: { eventsCommitted: committed, eventsSent: 2 * committed, replayEvents: 0, runsRecovered: 1, commitSeconds: commits, deliverySeconds: NONE },
  };
}
const seeAll = (...answers) => answers.reduce((seen, [one, at]) => see(seen, one, at), NOTHING_SEEN);
const newest = (seen) => seen.points.at(-1).values;

test('a rate needs two answers of the same replica', () => {
  const first = seeAll([answer('a', 10, { committed: 1000 }), 10000]);
  assert.equal(newest(first).committed, null);
  assert.equal(newest(see(first, answer('a', 12, { committed: 1500 }), 12000)).committed, 250);
  assert.equal(newest(see(first, answer('b', 12, { committed: 9999 }), 12000)).committed, null);
});

test('behind a balancer the replicas are added up, each compared with itself', () => {
  const seen = seeAll([answer('a', 10, { committed: 100 }), 10000], [answer('b', 12, { committed: 7000 }), 12000],
    [answer('a', 14, { committed: 180 }), 14000], [answer('b', 16, { committed: 7400 }), 16000]);
  assert.equal(newest(seen).committed, 20 + 100);
  assert.equal(newest(seen).sent, 2 * (20 + 100));
  assert.equal(newest(seen).streams, 6);
  assert.deepEqual([newest(seen).inUse, newest(seen).connections, newest(seen).recovered], [6, 40, 2]);
  assert.equal(newest(seen).active, 5, 'the whole fleet is already in each answer');
});

test('a replica that began again counts from nothing and makes no negative rate', () => {
  const seen = seeAll([answer('a', 10, { committed: 5000 }), 10000], [answer('a', 20, { committed: 30, uptime: 4 }), 20000]);
  assert.equal(newest(seen).committed, null);
  assert.equal(newest(see(seen, answer('a', 22, { committed: 50, uptime: 6 }), 22000)).committed, 10);
});

test('who was not reached for long is no longer added', () => {
  const seen = seeAll([answer('gone', 10), 10000], [answer('a', 45), 45000]);
  assert.deepEqual(Object.keys(seen.replicas), ['a']);
  assert.equal(newest(seen).streams, 3);
});

test('ten minutes are kept, and a silent poll is a gap', () => {
  const seen = seeAll([answer('a', 10), 10000], [answer('a', 12), 12000]);
  const later = miss(seen, 10001 + KEPT_MS);
  assert.deepEqual(later.points.map(({ at }) => at), [12000, 10001 + KEPT_MS]);
  assert.equal(newest(later), null);
  assert.equal(later.last.at, seen.last.at);
});

test('percentiles are those of the last interval, not of all time', () => {
  const before = histogram(1000, 900, 0, 0, 1000);
  const after = histogram(1100, 901, 90, 100, 1100);
  const lately = difference(after, before);
  assert.deepEqual(lately, histogram(100, 1, 90, 100, 100));
  assert.equal(quantile(lately, 0.5).toFixed(5), (0.01 * 50 / 90).toFixed(5));
  assert.equal(quantile(lately, 0.95).toFixed(3), '0.055');
  const seen = seeAll([answer('a', 10, { commits: before }), 10000], [answer('a', 12, { commits: after }), 12000]);
  assert.equal(newest(seen).commitMs.toFixed(0), '55');
  assert.equal(newest(seen).deliveryMs, null);
});

test('a percentile of nothing is none, and one beyond the last bucket is its bound', () => {
  assert.equal(quantile(NONE, 0.5), null);
  assert.equal(quantile(null, 0.5), null);
  assert.equal(quantile(histogram(10, 90, 0, 0, 1), 0.95), 1);
  assert.deepEqual(merge([histogram(1, 2, 0, 1, 1), histogram(2, 3, 1, 1, 2)]), histogram(3, 5, 1, 2, 3));
  assert.equal(merge([]), null);
});

test('a plot spans its box from the floor to its highest value, and breaks at a gap', () => {
  const box = { width: 100, height: 40, padding: 0 };
  const { line, area, top } = sparkline([[0, 0], [5, 10], [6, null], [8, 5], [10, 10]], 0, 10, { box });
  assert.equal(top, 10);
  assert.equal(line, 'M0 40L50 0M80 20L100 0');
  assert.equal(area, 'M0 40L0 40L50 0L50 40ZM80 40L80 20L100 0L100 40Z');
});

test('a quiet plot stays low, a single point is a dot, and nothing is nothing', () => {
  const box = { width: 100, height: 40, padding: 0 };
  assert.equal(sparkline([[0, 1], [10, 1]], 0, 10, { box, lowestTop: 4 }).line, 'M0 30L100 30');
  assert.equal(sparkline([[5, 2]], 0, 10, { box, lowestTop: 2 }).line, 'M50 0h0.1');
  assert.deepEqual(sparkline([[5, null]], 0, 10, { box }), { line: '', area: '', top: 1 });
});

test('every tile has words also for what is not known', () => {
  const unknown = new Proxy({}, { get: () => null });
  for (const [title, , valueWords, detailWords] of TILES) {
    for (const words of [valueWords(unknown), detailWords(unknown), valueWords(newest(seeAll([answer('a', 1), 1000])))]) {
      assert.equal(typeof words, 'string', title);
      assert.doesNotMatch(words, /undefined|NaN/, title);
    }
  }
});

test('the state of the fleet in words', () => {
  const { status } = answer('a', 1, { status: 'degraded', listener: { connected: false }, upstreams: [{ provider: 'claude', breaker: 'open', failures: 5 }] });
  assert.equal(healthWords(status), 'Degraded: no notifications come in, claude is cut off');
  assert.equal(healthWords({ ...status, status: 'healthy', listener: { connected: true }, upstreams: [] }), 'Healthy');
  assert.equal(breakerWords({ provider: 'openai', breaker: 'closed', failures: 0 }), 'openai: working');
  assert.equal(breakerWords({ provider: 'openai', breaker: 'half_open', failures: 5 }), 'openai: being tried again (5 failures in a row)');
  assert.match(reachedWords(1, 3), /1 of 3/);
  assert.equal(reachedWords(2, 2), 'Figures of 2 replicas.');
  assert.deepEqual([numberWords(null), numberWords(3.14159), numberWords(12345.6), msWords(0.25)], ['–', '3.1', '12,346', '0.3 ms']);
  assert.deepEqual([ageWords(-1), ageWords(3.04), ageWords(89), ageWords(600), ageWords(3 * 3600 + 60), ageWords(72 * 3600)], ['0.0 s', '3.0 s', '89 s', '10 min', '3 h 1 min', '3 days']);
});

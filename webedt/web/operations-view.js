// Draws what was seen of the fleet: tiles with plots, the replicas, the upstreams.
import { agoWords, exactWords } from './ago.js';
import { element, fromTemplate, setStatus, setText } from './dom.js';
import { keyedChildren } from './keyed.js';
import { ageWords, breakerWords, healthWords, numberWords, reachedWords, stateWords, TILES } from './operations-words.js';
import { sparkline } from './sparkline.js';

export function operationsView(page) {
  const find = (selector) => page.querySelector(selector);
  const tiles = keyedChildren(find('.tiles'), ([title]) => title, tileView);
  const replicas = keyedChildren(find('tbody'), ({ key }) => key, replicaView);
  const upstreams = keyedChildren(find('.upstreams'), ({ provider }) => provider, upstreamView);

  page.dataset.empty = ''; // until something was seen
  setText(find('.asked'), 'Loading…');

  return {
    show({ points, replicas: reached, last }, now) {
      const newest = points.at(-1);
      if (newest?.values) setText(find('.error'), '');
      if (!last) return;
      delete page.dataset.empty;
      tiles(TILES, { points, now, values: newest.values ?? points.findLast(({ values }) => values)?.values }, true);
      const { status, at } = last;
      setStatus(find('.health'), status.status, healthWords(status));
      setText(find('.asked'), reachedWords(Object.keys(reached).length, status.instances.length));
      replicas(status.instances.map((one) => ({
        ...one, key: `${one.container} ${one.startedAt}`, isLeader: one.container === status.cleanup.leader, silent: (new Date(at) - new Date(one.heartbeatAt)) / 1000,
      })));
      upstreams(status.upstreams);
      find('.upstreams').closest('section').hidden = status.upstreams.length === 0;
      showFacts(find('.this'), factsOf(last));
    },
    refuse(words) {
      setText(find('.error'), words);
      if ('empty' in page.dataset) setText(find('.asked'), '');
    },
  };
}

function tileView([title, name, valueWords, detailWords, lowestTop]) {
  const node = fromTemplate('tile-template');
  setText(node.querySelector('figcaption'), title);
  return {
    node,
    update(_tile, { points, now, values }) {
      const { line, area } = sparkline(points.map((point) => [point.at, point.values?.[name] ?? null]), spanOf(points, now), now, { lowestTop });
      setText(node.querySelector('.value'), valueWords(values));
      setText(node.querySelector('.detail'), detailWords(values));
      node.querySelector('.line').setAttribute('d', line);
      node.querySelector('.area').setAttribute('d', area);
    },
  };
}

// From the first point on, but a minute at least: two dots are no plot.
const spanOf = (points, now) => Math.min(points[0].at, now - 60000);

function replicaView() {
  const node = element('tr');
  const name = Object.assign(element('th'), { scope: 'row' });
  const [state, heartbeat, runs, since] = ['', '', 'number', ''].map((className) => element('td', className));
  node.append(name, state, heartbeat, runs, since);
  return {
    node,
    update(replica) {
      setText(name, replica.container);
      setText(state, stateWords(replica));
      setText(heartbeat, `${ageWords(replica.silent)} ago`);
      setText(runs, numberWords(replica.activeRuns));
      setText(since, agoWords(replica.startedAt));
      since.title = exactWords(replica.startedAt);
    },
  };
}

function upstreamView() {
  const node = element('li');
  return {
    node,
    update(upstream) {
      setText(node, breakerWords(upstream));
      node.toggleAttribute('data-bad', upstream.breaker !== 'closed');
    },
  };
}

function factsOf({ status, metrics }) {
  const ended = Object.entries(metrics.runsEnded).map(([outcome, count]) => `${numberWords(count)} ${outcome}`).join(', ');
  const streams = Object.entries(metrics.streams).map(([kind, count]) => `${numberWords(count)} ${kind}`).join(', ');
  const { lastRun, cleaned } = status.cleanup;
  return {
    Replica: status.container,
    Version: `${status.version} (${status.build.commitSha.slice(0, 12)})`,
    Up: ageWords(status.uptimeSeconds),
    'Runs ended': ended || 'none yet',
    'Streams here': streams || 'none',
    'Orphan cleanup': lastRun ? `${agoWords(lastRun)}, ${numberWords(cleaned)} ended in all` : 'not yet',
  };
}

function showFacts(list, facts) {
  if (!list.children.length) for (const name of Object.keys(facts)) list.append(element('dt', '', name), element('dd'));
  Object.values(facts).forEach((words, i) => setText(list.children[2 * i + 1], words));
}

// The fleet's figures in words. Pure.
import { plural } from './ago.js';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const numberWords = (value) => (value === null || value === undefined ? '–' : (value < 10 ? fine : whole).format(value));
export const msWords = (value) => (value === null || value === undefined ? '–' : `${numberWords(value)} ms`);

// [title, name of the plotted value, words of it, words below it, the least that the plot's top stands for]
export const TILES = [
  ['Active runs', 'active', ({ active }) => numberWords(active), ({ queued }) => `${numberWords(queued)} queued`, 4],
  ['Events stored', 'committed', ({ committed }) => `${numberWords(committed)} /s`, () => 'committed to the log', 10],
  ['Events delivered', 'sent', ({ sent }) => `${numberWords(sent)} /s`, ({ replayed }) => `${numberWords(replayed)} /s from the database`, 10],
  ['Open streams', 'streams', ({ streams }) => numberWords(streams), () => 'readers and lists', 4],
  ['Commit time, 95 %', 'commitMs', ({ commitMs }) => msWords(commitMs), ({ commitMedian }) => `median ${msWords(commitMedian)}`, 5],
  ['Delivery time, 95 %', 'deliveryMs', ({ deliveryMs }) => msWords(deliveryMs), ({ deliveryMedian }) => `median ${msWords(deliveryMedian)}`, 5],
  ['Pool in use', 'inUse', ({ inUse, connections }) => `${inUse} of ${connections}`, ({ waiting, databaseMs }) => `${waiting} waiting · query ${msWords(databaseMs)}`, 4],
  ['Recoveries', 'recovered', ({ recovered }) => numberWords(recovered), () => 'taken over since start', 1],
];

export function healthWords({ status, listener, upstreams, instances, container }) {
  const faults = [];
  if (status === 'unhealthy') faults.push('the database does not answer');
  if (!listener.connected) faults.push('no notifications come in');
  if (instances.some((one) => one.container === container && one.draining)) faults.push('draining');
  for (const { provider, breaker } of upstreams) if (breaker === 'open') faults.push(`${provider} is cut off`);
  const word = `${status[0].toUpperCase()}${status.slice(1)}`;
  return faults.length && status !== 'healthy' ? `${word}: ${faults.join(', ')}` : word;
}

export const reachedWords = (seen, instances) => (instances > seen
  ? `Figures of ${seen} of ${instances} replicas: of those that answered this page lately.`
  : `Figures of ${plural(seen, 'replica')}.`);

export const stateWords = ({ draining, isLeader }) => [draining ? 'draining' : 'serving', isLeader && 'leads the cleanup'].filter(Boolean).join(', ');

export const breakerWords = ({ provider, breaker, failures }) =>
  `${provider}: ${{ closed: 'working', open: 'cut off for a while', half_open: 'being tried again' }[breaker] ?? breaker}${failures ? ` (${plural(failures, 'failure')} in a row)` : ''}`;

export function ageWords(seconds) {
  if (seconds < 90) return `${Math.max(0, seconds).toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

// What was seen of the fleet over the last minutes: (seen, answer, now) -> seen. Pure. Each answer is one replica's,
// and behind a balancer the next may be another's: counters are compared with the same replica's answer before, and
// the replicas' newest figures are added up.
import { difference, merge, quantile } from './histogram.js';

export const KEPT_MS = 10 * 60 * 1000;
const FRESH_MS = 30 * 1000; // who was not reached for so long counts no more
const RATES = ['eventsCommitted', 'eventsSent', 'replayEvents'];

export const NOTHING_SEEN = { points: [], replicas: {}, last: null };

export function see({ points, replicas }, answer, now) {
  const container = answer.status.container;
  const fresh = Object.entries(replicas).filter(([, { at }]) => now - at < FRESH_MS);
  const next = { ...Object.fromEntries(fresh), [container]: seenOf(replicas[container], answer, now) };
  const point = { at: now, values: valuesOf(Object.values(next), answer.status) };
  return { points: [...points.filter(({ at }) => now - at < KEPT_MS), point], replicas: next, last: answer };
}

// A poll that failed leaves a gap in the plots: nothing was seen, which is not nothing.
export function miss({ points, ...rest }, now) {
  return { ...rest, points: [...points.filter(({ at }) => now - at < KEPT_MS), { at: now, values: null }] };
}

function seenOf(before, answer, now) {
  const { metrics } = answer;
  const seconds = before ? (new Date(answer.at) - new Date(before.answer.at)) / 1000 : 0;
  // A replica that began again under its name counts from 0.
  const isComparable = seconds > 0 && answer.status.uptimeSeconds >= before.answer.status.uptimeSeconds;
  const earlier = isComparable ? before.answer.metrics : null;
  return {
    at: now,
    answer,
    rates: earlier && Object.fromEntries(RATES.map((name) => [name, (metrics[name] - earlier[name]) / seconds])),
    commits: earlier && difference(metrics.commitSeconds, earlier.commitSeconds),
    deliveries: earlier && difference(metrics.deliverySeconds, earlier.deliverySeconds),
  };
}

function valuesOf(replicas, status) {
  const sum = (read) => replicas.reduce((all, replica) => all + read(replica), 0);
  const connections = ({ answer }) => answer.status.database.connections;
  const rated = replicas.filter(({ rates }) => rates);
  const rate = (name) => (rated.length ? rated.reduce((all, { rates }) => all + rates[name], 0) : null);
  const milliseconds = (name, q) => {
    const seconds = quantile(merge(rated.map((replica) => replica[name])), q);
    return seconds === null ? null : seconds * 1000;
  };
  return {
    active: status.runs.active,
    queued: status.runs.queued,
    streams: sum(({ answer }) => answer.status.streams.active),
    committed: rate('eventsCommitted'),
    sent: rate('eventsSent'),
    replayed: rate('replayEvents'),
    commitMedian: milliseconds('commits', 0.5),
    commitMs: milliseconds('commits', 0.95),
    deliveryMedian: milliseconds('deliveries', 0.5),
    deliveryMs: milliseconds('deliveries', 0.95),
    inUse: sum((replica) => connections(replica).total - connections(replica).idle),
    waiting: sum((replica) => connections(replica).waiting),
    connections: sum((replica) => connections(replica).max),
    databaseMs: status.database.latencyMs,
    recovered: sum(({ answer }) => answer.metrics.runsRecovered),
  };
}

// Prometheus histograms as {count, sum, buckets: [{le, count}]}, counts cumulative. Pure.

export function difference(now, before) {
  return {
    count: now.count - before.count,
    sum: now.sum - before.sum,
    buckets: now.buckets.map(({ le, count }, i) => ({ le, count: count - (before.buckets[i]?.count ?? 0) })),
  };
}

export function merge(histograms) {
  return histograms.reduce((all, one) => all && {
    count: all.count + one.count,
    sum: all.sum + one.sum,
    buckets: all.buckets.map(({ le, count }, i) => ({ le, count: count + one.buckets[i].count })),
  } || one, null);
}

// As Prometheus' histogram_quantile: evenly spread within a bucket; beyond the last one its bound. Null: nothing observed.
export function quantile(histogram, q) {
  if (!histogram || histogram.count <= 0) return null;
  const rank = q * histogram.count;
  let [lower, below] = [0, 0];
  for (const { le, count } of histogram.buckets) {
    if (count >= rank) return lower + ((le - lower) * (rank - below)) / (count - below);
    [lower, below] = [le, count];
  }
  return lower;
}

// The geometry of a small plot: numbers over time to SVG path data. Pure.

const BOX = { width: 240, height: 48, padding: 2 };

// Points are [time, value or null]; null is a gap. `lowestTop`: a quiet plot shall not look wild.
export function sparkline(points, from, to, { lowestTop = 1, box = BOX } = {}) {
  const top = Math.max(lowestTop, ...points.map(([, value]) => value ?? 0));
  const x = (time) => round(((time - from) / (to - from)) * box.width);
  const y = (value) => round(box.height - box.padding - (value / top) * (box.height - 2 * box.padding));
  const stretches = unbroken(points).map((stretch) => stretch.map(([time, value]) => [x(time), y(value)]));
  const line = stretches.map((stretch) => `M${stretch.map(([left, down]) => `${left} ${down}`).join('L')}${stretch.length === 1 ? 'h0.1' : ''}`).join('');
  const area = stretches.filter(({ length }) => length > 1).map((stretch) => {
    const [first, last] = [stretch[0], stretch.at(-1)];
    return `M${first[0]} ${box.height}L${stretch.map(([left, down]) => `${left} ${down}`).join('L')}L${last[0]} ${box.height}Z`;
  }).join('');
  return { line, area, top };
}

function unbroken(points) {
  const stretches = [[]];
  for (const point of points) {
    if (point[1] === null || point[1] === undefined) stretches.push([]);
    else stretches.at(-1).push(point);
  }
  return stretches.filter(({ length }) => length > 0);
}

const round = (number) => Math.round(number * 10) / 10;

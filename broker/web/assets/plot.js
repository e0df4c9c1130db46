// Small plots of a pool's last hours: ready as an area under desired as a line, claims and
// misses as bars below.

import { h, svg } from './dom.js';

const minute = 60000;
const hours = 3;

// plot draws a pool's history as GET /v1/staging/{name}/history returns it.
export function plot(history, desired, { width = 200, height = 40, axes = false } = {}) {
  const end = Math.floor(Date.parse(history.now) / minute) + 1, begin = end - hours * 60;
  const left = axes ? 28 : 0, foot = axes ? 16 : 0;
  const bars = Math.round((height - foot) * 0.3), area = height - foot - bars - 3;
  const step = (width - left) / (hours * 60);
  const x = (m) => left + (m - begin) * step;
  const minutes = history.minutes.map((m) => ({ ...m, m: Date.parse(m.at) / minute })).filter((m) => m.m >= begin);
  const seen = minutes.filter((m) => m.ready !== undefined);
  const most = Math.max(1, desired, ...seen.map((m) => m.ready));
  const busiest = Math.max(1, ...minutes.map((m) => m.claims + m.misses));
  const y = (n) => 1 + (area - 1) * (1 - n / most);
  const parts = [];
  for (const run of runs(seen)) {
    const line = run.map((m) => `${f(x(m.m))},${f(y(m.ready))} ${f(x(m.m + 1))},${f(y(m.ready))}`).join(' ');
    parts.push(
      svg('polygon', { class: 'ready-area', points: `${f(x(run[0].m))},${area} ${line} ${f(x(run.at(-1).m + 1))},${area}` }),
      svg('polyline', { class: 'ready-line', points: line }));
  }
  if (desired > 0) parts.push(svg('line', { class: 'desired-line', x1: left, x2: width, y1: f(y(desired)), y2: f(y(desired)) }));
  const floor = height - foot;
  for (const m of minutes) {
    const claims = (bars * m.claims) / busiest, misses = (bars * m.misses) / busiest;
    const at = { x: f(x(m.m)), width: f(Math.max(step, 1.2)) };
    if (m.claims) parts.push(svg('rect', { class: 'claims', ...at, y: f(floor - claims), height: f(claims) }));
    if (m.misses) parts.push(svg('rect', { class: 'misses', ...at, y: f(floor - claims - misses), height: f(misses) }));
  }
  parts.push(svg('line', { class: 'floor', x1: left, x2: width, y1: floor - 0.5, y2: floor - 0.5 }));
  if (axes) {
    for (const [n, place] of [[most, y(most) + 8], [0, area]]) parts.push(svg('text', { x: left - 6, y: f(place), class: 'end' }, String(n)));
    for (let back = hours; back >= 0; back--) {
      parts.push(svg('text', { x: f(x(end - back * 60)), y: height - 2, class: back === hours ? '' : back ? 'middle' : 'end' },
        back ? `${back} h ago` : 'now'));
    }
  }
  return svg('svg', { class: axes ? 'plot large' : 'plot', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': inWords(history, desired) }, parts);
}

const f = (n) => n.toFixed(1);

// runs returns the runs of minutes without a gap: missing minutes are not drawn.
function runs(minutes) {
  const all = [];
  for (const m of minutes) {
    const run = all.at(-1);
    if (run && run.at(-1).m + 1 >= m.m) run.push(m);
    else all.push([m]);
  }
  return all;
}

// sums adds up a history.
export function sums(history) {
  const add = (name) => history.minutes.reduce((sum, m) => sum + m[name], 0);
  return { claims: add('claims'), misses: add('misses') };
}

function inWords(history, desired) {
  const ready = history.minutes.map((m) => m.ready).filter((n) => n !== undefined);
  if (!ready.length) return 'nothing is known of the last hours yet';
  const { claims, misses } = sums(history);
  return `in the last ${hours} hours ${Math.min(...ready)} were ready at the least, ${desired} desired; ${claims} claims, ${misses} misses`;
}

// legend explains the plot's colours.
export function legend() {
  return h('span', { class: 'legend' },
    h('i', { class: 'ready' }), 'ready ', h('i', { class: 'claims' }), 'claims ', h('i', { class: 'misses' }), 'misses');
}

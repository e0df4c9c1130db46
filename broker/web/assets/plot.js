// Small plots of a pool's history: ready as an area under wanted as a line, claims and misses as
// bars below, with the launches that were expected before them. Large ones end with those that are
// expected in the coming hours.

import { h, svg } from './dom.js';

const minute = 60000;

// ranges are how far back a history is shown: hours in all, and minutes for each entry. ahead is how
// many of the coming hours are shown with it.
export const ranges = [
  { label: '3 hours', hours: 3, step: 1, marks: 3, ahead: 1 },
  { label: '24 hours', hours: 24, step: 10, marks: 6, ahead: 8 },
  { label: '7 days', hours: 168, step: 60, marks: 7, ahead: 24 },
  { label: '8 weeks', hours: 1344, step: 480, marks: 8 },
];

// plot draws a pool's history of a range as GET /v1/staging/{name}/history returns it.
export function plot(history, desired, range = ranges[0], { width = 200, height = 40, axes = false } = {}) {
  const { hours, step, marks } = range;
  const end = Math.floor(Date.parse(history.now) / minute) + 1, begin = end - hours * 60;
  const coming = axes ? comingOf(history, range) : [];
  const last = coming.length ? end + range.ahead * 60 : end;
  const left = axes ? 28 : 0, foot = axes ? 16 : 0;
  const bars = Math.round((height - foot) * 0.3), area = height - foot - bars - 3, floor = height - foot;
  const scale = (width - left) / (last - begin);
  const x = (m) => left + Math.min(last - begin, Math.max(0, m - begin)) * scale;
  // What has happened ends now, although its last step of time does not.
  const past = (m) => x(Math.min(m, end));
  const minutes = history.minutes.map((m) => ({ ...m, m: Date.parse(m.at) / minute })).filter((m) => m.m + step > begin);
  const having = (name) => minutes.filter((m) => m[name] !== undefined);
  const most = Math.max(1, desired, ...having('ready').map((m) => m.ready), ...having('wanted').map((m) => m.wanted));
  const busiest = Math.max(1, ...minutes.map((m) => m.claims + m.misses), ...having('expected').map((m) => m.expected * step), ...coming.map((m) => m.high * step));
  const y = (n) => 1 + (area - 1) * (1 - n / most);
  const bar = (n) => Math.min(bars, (bars * n) / busiest);
  const stairs = (run, place) => run.flatMap((m) => [`${f(past(m.m))},${f(place(m))}`, `${f(past(m.m + step))},${f(place(m))}`]);
  const line = (name, points) => svg('polyline', { class: name, points: points.join(' ') });
  const parts = [];
  for (const run of runs(having('ready'), step)) {
    const top = stairs(run, (m) => y(m.ready));
    parts.push(
      svg('polygon', { class: 'ready-area', points: [`${f(past(run[0].m))},${area}`, ...top, `${f(past(run.at(-1).m + step))},${area}`].join(' ') }),
      line('ready-line', top));
  }
  const wanted = runs(having('wanted'), step).map((run) => line('desired-line', stairs(run, (m) => y(m.wanted))));
  if (!wanted.length && desired > 0) wanted.push(svg('line', { class: 'desired-line', x1: left, x2: f(x(end)), y1: f(y(desired)), y2: f(y(desired)) }));
  parts.push(...wanted);
  for (const m of minutes) {
    const claims = bar(m.claims), misses = bar(m.misses);
    const at = { x: f(x(m.m)), width: f(Math.max(scale * step, 1.2)) };
    if (m.claims) parts.push(svg('rect', { class: 'claims', ...at, y: f(floor - claims), height: f(claims) }));
    if (m.misses) parts.push(svg('rect', { class: 'misses', ...at, y: f(floor - claims - misses), height: f(misses) }));
  }
  const band = (run, name) => {
    const at = (what) => run.flatMap((m) => [m.m, m.until].map((t) => `${f(x(t))},${f(floor - bar(m[what] * step))}`));
    parts.push(svg('polygon', { class: `band ${name}`, points: [...at('high'), ...at('low').reverse()].join(' ') }), line(`expected-line ${name}`, at('expected')));
  };
  for (const run of runs(having('expected'), step)) band(run.map((m) => ({ ...m, until: Math.min(m.m + step, end) })), '');
  if (coming.length) {
    band(coming, 'coming');
    parts.push(svg('line', { class: 'now', x1: f(x(end)), x2: f(x(end)), y1: 0, y2: floor }));
  }
  parts.push(svg('line', { class: 'floor', x1: left, x2: width, y1: floor - 0.5, y2: floor - 0.5 }));
  if (axes) {
    for (const [n, place] of [[most, y(most) + 8], [0, area]]) parts.push(svg('text', { x: left - 6, y: f(place), class: 'end' }, String(n)));
    for (let mark = marks; mark >= 0; mark--) {
      const back = (hours * mark) / marks;
      parts.push(svg('text', { x: f(x(end - back * 60)), y: height - 2, class: mark === marks ? '' : mark || coming.length ? 'middle' : 'end' }, mark ? `${span(back)} ago` : 'now'));
    }
    if (coming.length) parts.push(svg('text', { x: width, y: height - 2, class: 'end' }, `in ${span(range.ahead)}`));
  }
  return svg('svg', { class: axes ? 'plot large' : 'plot', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': inWords(history, desired, range) }, parts);
}

const f = (n) => n.toFixed(1);

// forecastStep is how many minutes each entry of a forecast covers.
const forecastStep = 10;

// comingOf returns what is expected within the hours ahead that a range shows, from now on.
function comingOf(history, { ahead = 0 }) {
  const now = Date.parse(history.now) / minute;
  return (history.forecast ?? []).map((m) => ({ ...m, m: Date.parse(m.at) / minute }))
    .map((m) => ({ ...m, m: Math.max(m.m, now), until: Math.min(m.m + forecastStep, now + ahead * 60) }))
    .filter((m) => m.m < m.until);
}

// span is a number of hours as a person says it.
const span = (hours) => (hours < 24 ? `${hours} h` : hours < 168 ? `${hours / 24} d` : `${hours / 168} w`);

// runs returns the runs of entries without a gap: what is missing is not drawn.
function runs(minutes, step) {
  const all = [];
  for (const m of minutes) {
    const run = all.at(-1);
    if (run && run.at(-1).m + step >= m.m) run.push(m);
    else all.push([m]);
  }
  return all;
}

// sums adds up a history.
export function sums(history) {
  const add = (name) => history.minutes.reduce((sum, m) => sum + m[name], 0);
  return { claims: add('claims'), misses: add('misses') };
}

function inWords(history, desired, range) {
  const { label } = range;
  const ready = history.minutes.map((m) => m.ready).filter((n) => n !== undefined);
  if (!ready.length) return `nothing is known of the last ${label} yet`;
  const { claims, misses } = sums(history);
  const coming = comingOf(history, range);
  const hence = coming.length ? `; in the next ${span(range.ahead)} ${rate(Math.min(...coming.map((m) => m.low)))} to ${rate(Math.max(...coming.map((m) => m.high)))} launches a minute are expected` : '';
  return `in the last ${label} ${Math.min(...ready)} were ready at the least, ${desired} desired; ${claims} claims, ${misses} misses${hence}`;
}

// rate is a number of launches a minute for people.
const rate = (n) => (n < 10 ? n.toFixed(1) : n.toFixed(0));

// legend explains the plot's colours; forecast adds that of the launches that were expected.
export function legend(forecast = false) {
  return h('span', { class: 'legend' },
    h('i', { class: 'ready' }), 'ready ', h('i', { class: 'claims' }), 'claims ', h('i', { class: 'misses' }), 'misses',
    forecast && [h('i', { class: 'expected' }), 'expected']);
}

// The pools: their numbers, conditions and histories.

import { all, call, checked, put } from './api.js';
import { ago, badge, button, count, fill, h, table } from './dom.js';
import { ask, tell } from './dialog.js';
import { edit } from './form.js';
import { legend, plot, ranges, sums } from './plot.js';
import { missing } from './missing.js';
import { labels, maxSessions, permissions, schedule, sizing } from './shapes.js';

// How long a pool's history is shown before it is read again: the broker notes it every 10 seconds.
const historyAge = 20000;
const histories = new Map();

// historyOf returns a pool's history of a range as last read.
const historyOf = (name, range = ranges[0]) => histories.get(`${name} ${range.hours}`)?.history;

// readHistory reads a pool's history of a range again when it is old.
async function readHistory(name, range = ranges[0]) {
  const key = `${name} ${range.hours}`, known = histories.get(key);
  if (known && Date.now() - known.at < historyAge) return;
  histories.set(key, { at: Date.now(), history: known?.history });
  const since = new Date(Date.now() - range.hours * 3600000).toISOString();
  try {
    const history = await call('GET', `/v1/staging/${encodeURIComponent(name)}/history?since=${since}&step=${range.step}`);
    histories.set(key, { at: Date.now(), history });
  } catch {
    // The plot may be missing: the rest of the view shows what does not answer.
  }
}

const kindOf = { ok: 'good', degraded: 'wait', unavailable: 'bad' };

function summary(status) {
  const scaled = status.zones.filter((z) => z.pools.length);
  const sum = (name) => scaled.reduce((n, z) => n + (z[name] ?? 0), 0);
  const known = scaled.every((z) => z.ready_sessions !== undefined);
  return h('section', { class: `summary ${kindOf[status.status]}`, 'aria-label': 'Is all well?' },
    h('div', { class: 'figures' },
      figure(badge(status.status, kindOf[status.status]), 'status'),
      figure(known ? `${sum('ready_sessions')} / ${scaled.reduce((n, z) => n + desired(z), 0)}` : '?', 'ready / desired'),
      figure(known ? sum('claims_per_minute').toFixed(1) : '?', 'claims a minute'),
      status.dependencies.map((d) => figure(badge(d.status === 'ok' ? 'ok' : d.problem ?? d.status, d.status === 'ok' ? 'good' : 'bad'), d.name))),
    status.foreign_sessions ? h('p', { class: 'foreign' }, `${count(status.foreign_sessions, 'session')} of other installations in this Nomad, left alone; greenroom installation lists them`) : null,
    status.remarks?.length ? h('ul', { class: 'remarks', 'aria-label': 'Remarks' }, status.remarks.map((r) => h('li', null, r))) : null,
    status.reasons.length ? h('ul', { class: 'reasons' }, status.reasons.map((r) => h('li', null, r))) : null);
}

const figure = (value, label) => h('div', { class: 'figure' }, h('span', { class: 'value' }, value), h('span', { class: 'label' }, label));

const number = (n) => (n === undefined ? '?' : String(n));

// desired is how many sessions are wanted now: a schedule may ask for another number than the config's own.
const desired = (p) => p.desired_now ?? p.desired_sessions; // an older broker has only one number

// desiredCell is that number, with what decides it where that is a schedule.
const desiredCell = (p) => h('span', { class: 'desired' }, number(desired(p)), ' ', p.desired_reason ? h('small', null, p.desired_reason) : null);

// fills are the kinds of badge for how full a pool is. One that is filling is as it should be.
const fills = { full: 'good', filling: 'good', short: 'wait', bare: 'bad' };
const fillBadge = (p) => p.fill ? badge(p.fill, fills[p.fill], fillWords[p.fill]) : '?';

// fillWords say what each means.
const fillWords = {
  full: 'At least the desired number is ready.',
  filling: 'Fewer than desired are ready. Those that are missing are on the way, none of them late.',
  short: 'Fewer than desired are ready, and something is in the way or late.',
  bare: 'No session is ready, and something is in the way or late.',
};

// ready is the count of ready sessions, with a bar that shows its share of the desired ones.
function ready(p) {
  const full = desired(p) > 0 ? Math.min(1, (p.ready_sessions ?? 0) / desired(p)) : 1;
  const kind = fills[p.fill] ?? (full >= 1 ? 'good' : full > 0 ? 'wait' : 'bad');
  return h('span', { class: 'ready' }, number(p.ready_sessions),
    h('meter', { class: kind, min: 0, max: 1, value: full, 'aria-hidden': 'true' }));
}

// updated says how many of the sessions that exist are of the current revision.
function updated(p) {
  if (p.updated_sessions === undefined) return '–';
  return h('span', { class: p.updated_sessions < p.current_sessions ? 'badge wait' : undefined, title: `revision ${p.revision}` }, `${p.updated_sessions} of ${p.current_sessions}`);
}

function conditions(p) {
  if (p.conditions.length === 0) return h('span', { class: 'faint' }, '–');
  return h('ul', { class: 'conditions' }, p.conditions.map((c) => h('li', null,
    h('strong', null, c.type), ' ', c.message, ' ', h('small', { title: c.since }, `for ${ago(c.since).split(' ')[0]}`))));
}

const share = (p) => (p.staged_share === undefined ? '–' : `${Math.round(100 * p.staged_share)} %`);

// updates are the modes of a config's update, each with what it does.
const updates = [
  ['', 'Default (rolling)'],
  ['rolling', 'rolling: launches get either revision until all are replaced'],
  ['immediate', 'immediate: launches get no older revision; it is retired at once'],
  ['on_replenish', 'on_replenish: older ones are given until they are claimed or expire'],
];

// editConfig opens the form of a staging config; value is undefined for a new one.
async function editConfig(value, changed) {
  const [zones, images] = await Promise.all([all('/v1/zones'), all('/v1/images')]);
  const names = (items) => items.map((i) => [i.name]);
  const opened = value && { value };
  const known = value ?? { name: '', zone: zones[0]?.name, image: images[0]?.name, desired_sessions: 1 };
  edit({
    title: value ? `Staging config ${value.name}` : 'New staging config',
    value: known,
    sections: [
      {
        fields: [
          { name: 'name', label: 'Name', kind: 'text', fixed: Boolean(value), placeholder: 'demo-east', required: true, standIn: 'name' },
          { name: 'zone', label: 'Zone', kind: 'select', options: names(zones) },
          { name: 'image', label: 'Image', kind: 'select', options: names(images) },
          { name: 'desired_sessions', label: 'Desired sessions', kind: 'number', standIn: 1, hint: 'How many unassigned sessions to keep; 0 drains the pool.' },
          { name: 'expiration', label: 'Expiration', kind: 'duration', placeholder: '24h', hint: 'How long a session may wait before a fresh one replaces it; empty for ever.' },
          maxSessions('Of the pool, unassigned and assigned together; empty for no limit.'),
          labels,
          { name: 'max_unavailable', label: 'Max unavailable', kind: 'text', placeholder: '25%', hint: 'How many a new revision may replace at a time.' },
          { name: 'spread', label: 'Spread', kind: 'text', placeholder: '${node.unique.id}', hint: 'Over what new sessions are spread evenly: nodes, or a property of theirs such as ${meta.rack}; none for nothing.' },
          { name: 'distinct_hosts', label: 'Distinct hosts', kind: 'no', hint: 'No two sessions of the pool on one node; the rest wait.' },
          { name: 'update', label: 'Update', kind: 'select', options: updates, hint: 'How the pool gets from one revision to the next.' },
          { name: 'keep_failed', label: 'Keep failed', kind: 'number', hint: 'How many sessions that failed stay in Nomad, stopped, to look at.' },
          { name: 'priority', label: 'Priority', kind: 'number', standIn: 50, hint: 'From 1 to 100, 50 if empty: its unassigned sessions make room for launches of a higher one.' },
        ],
      },
      { title: 'Schedule', fields: [schedule] },
      { title: 'Sizing', fields: [sizing] },
      { title: 'Permissions', fields: [permissions] },
    ],
    check: (config) => checked('staging', config),
    save: async (config) => {
      await put('staging', config, opened, configOf);
      tell(`Staging config ${config.name} is saved.`);
      changed();
    },
  });
}

// configOf returns a pool's config: the pool without its numbers, revision and conditions.
function configOf({
  desired_now, desired_reason, desired_until, desired_next, demand_size, paused, recycle, last_failure, kept_sessions, fill, usual_seconds, current_sessions, ready_sessions,
  revision, updated_sessions, updated_ready_sessions, conditions, ...config
}) {
  return config;
}

async function remove(name, then) {
  ask(`Delete staging config ${name}?`, 'Its unused sessions are retired. Sessions that were assigned from it stay.', 'Delete', async () => {
    await call('DELETE', `/v1/staging/${name}`);
    tell(`Staging config ${name} is deleted.`);
    then();
  });
}

// orders are the buttons that act on a pool without an edit.
function orders(pool, changed) {
  const at = `/v1/staging/${encodeURIComponent(pool.name)}`;
  const order = (label, method, path, body, told) => button(label, { 'aria-label': `${label} ${pool.name}` }, async () => {
    await call(method, path, body);
    tell(told);
    changed();
  });
  // The pause of a zone, or of all pools, is not this pool's to end.
  const own = pool.paused?.staging === pool.name;
  return [
    own
      ? order('Resume', 'DELETE', `/v1/pauses?staging=${encodeURIComponent(pool.name)}`, undefined, `Pool ${pool.name} is resumed.`)
      : order('Pause', 'POST', '/v1/pauses', { staging: pool.name }, `Pool ${pool.name} is paused: nothing is made or retired, and launches go on.`),
    button('Recycle', { 'aria-label': `Recycle ${pool.name}` }, () => ask(`Recycle ${pool.name}?`,
      'Its unassigned sessions are replaced, each once its replacement is ready. Users’ sessions stay.', 'Recycle', async () => {
        await call('POST', `${at}/recycle`, {});
        tell(`The sessions of ${pool.name} are ${pool.paused ? 'replaced once it is resumed' : 'being replaced'}.`);
        changed();
      })),
    order('Retry', 'POST', `${at}/retry`, undefined, `Pool ${pool.name} is tried again ${pool.paused ? 'once it is resumed' : 'now'}.`),
  ];
}

// lastFailure shows the session that failed last, with its last words.
function lastFailure(f) {
  const lines = (title, all) => all?.length ? [h('h3', null, title), h('pre', null, all.join('\n'))] : [];
  return h('section', { class: 'failure' }, h('h2', null, 'Last failure'),
    h('p', null, h('strong', null, f.reason), ' ', h('span', { class: 'mono' }, f.session), ' ', h('small', { title: f.at }, ago(f.at))),
    ...lines('The end of its standard error', f.stderr), ...lines('What Nomad noted', f.task_events));
}

const actions = (can, name, changed) => can.edit && h('div', { class: 'buttons' },
  button('Edit', { 'aria-label': `Edit ${name}` }, async () => editConfig(configOf(await call('GET', `/v1/staging/${name}`)), changed)),
  button('Delete', { 'aria-label': `Delete ${name}` }, () => remove(name, changed)));

// stagingView lists all pools.
export function stagingView(can) {
  const top = h('div');
  const columns = [
    { label: 'Config', cell: (p) => h('a', { href: '#/staging/' + encodeURIComponent(p.name), class: 'name' }, p.name) },
    { label: 'Zone', cell: (p) => p.vouched ? p.zone : h('span', null, p.zone, ' ', badge('no scaler', 'bad')) },
    { label: 'Image', cell: (p) => p.image },
    { label: 'Desired', class: 'number', cell: desiredCell },
    { label: 'Current', class: 'number', cell: (p) => number(p.current_sessions) },
    { label: 'Ready', class: 'number', cell: ready },
    { label: 'Updated', class: 'number', cell: updated },
    { label: 'Fill', cell: fillBadge },
    { label: 'Staged', class: 'number', cell: share },
    {
      label: 'Last 3 hours', head: h('span', null, 'Last 3 hours', legend()), class: 'history', cell: (p) => {
        const history = historyOf(p.name);
        return history ? plot(history, desired(p)) : '';
      },
    },
    { label: 'Conditions', class: 'wide', cell: conditions },
  ];
  const view = { title: 'Staging', changed: () => {} };
  if (can.edit) columns.push({ label: '', class: 'act', once: true, cell: (current) => actions(can, current().name, () => view.changed()) });
  const pools = table('Staging configs', columns, (p) => p.name, 'No staging config yet: nothing is kept ready.');
  view.node = h('div', null,
    h('div', { class: 'head' }, h('h1', null, 'Staging'), can.edit && button('New staging config', { class: 'primary' }, () => editConfig(undefined, () => view.changed()))),
    top, pools.node);
  view.refresh = async () => {
    const status = await call('GET', '/v1/status');
    fill(top, summary(status));
    const items = status.zones.flatMap((z) => z.pools.map((p) => ({ ...p, zone: z.name, vouched: z.vouched })))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    pools.show(items);
    // Only the histories of visible pools are read, one after the other.
    for (const p of items) {
      const row = pools.node.querySelector(`tr[data-key="${CSS.escape(p.name)}"]`)?.getBoundingClientRect();
      if (row && row.bottom > 0 && row.top < innerHeight) await readHistory(p.name);
    }
    pools.show(items);
  };
  return view;
}

// poolView shows one pool.
export function poolView(can, name) {
  const body = h('div'), view = { title: name, changed: () => {} };
  let range = ranges[0];
  // chooser has a button for each range of the history.
  const chooser = h('span', { class: 'ranges', role: 'group', 'aria-label': 'How far back' }, ranges.map((r) => {
    const b = button(r.label, { 'aria-pressed': String(r === range) }, () => {
      range = r;
      for (const other of chooser.children) other.setAttribute('aria-pressed', String(other === b));
      view.changed();
    });
    return b;
  }));
  const buttons = h('div', null, actions(can, name, () => view.changed()));
  view.node = h('div', null,
    h('p', { class: 'crumbs' }, h('a', { href: '#/staging' }, 'Staging'), ' / ', name),
    h('div', { class: 'head' }, h('h1', null, name), buttons),
    body);
  view.refresh = async () => {
    let pool;
    try {
      pool = await call('GET', `/v1/staging/${encodeURIComponent(name)}`);
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      fill(buttons);
      fill(body, missing(`There is no staging config ${name}.`, '#/staging', 'Go to all staging configs'));
      return;
    }
    await readHistory(name, range);
    const history = historyOf(name, range);
    const known = history ? sums(history) : undefined;
    const rest = configOf(pool);
    delete rest.name;
    fill(body,
      h('div', { class: 'figures boxed' },
        figure(desired(pool), 'desired'), figure(pool.current_sessions, 'current'), figure(pool.ready_sessions, 'ready'), figure(fillBadge(pool), 'fill'),
        figure(updated(pool), 'updated'), pool.revision && figure(h('a', { class: 'mono', href: '#/sessions?revision=' + pool.revision }, pool.revision), 'revision'),
        known && figure(known.claims, `claims in ${range.label}`), known && figure(known.misses, `misses in ${range.label}`)),
      pool.desired_reason ? h('p', { class: 'reason' }, pool.desired_reason) : null,
      pool.sizing?.mode === 'recommend' ? h('p', { class: 'reason' }, `Recommended: ${pool.demand_size?.reason ?? 'nothing yet, no scaler has sized it by its demand'}`) : null,
      can.edit ? h('div', { class: 'buttons orders' }, orders(pool, () => view.changed())) : null,
      pool.paused ? h('p', { class: 'reason paused' }, `Paused by ${pool.paused.paused_by}`, pool.paused.reason ? `: ${pool.paused.reason}` : '',
        pool.paused.staging ? '' : pool.paused.zone ? `, with all of zone ${pool.paused.zone}` : ', with all pools', ` (${ago(pool.paused.paused_at)})`) : null,
      pool.recycle ? h('p', { class: 'reason' }, `Recycled by ${pool.recycle.ordered_by}: what was made before ${new Date(pool.recycle.before).toLocaleString()}.`) : null,
      pool.conditions.length ? h('section', null, h('h2', null, 'Conditions'), conditions(pool)) : null,
      pool.last_failure ? lastFailure(pool.last_failure) : null,
      pool.kept_sessions?.length ? h('p', { class: 'reason' }, 'Kept in Nomad, stopped: ', pool.kept_sessions.map((id) => [h('a', { class: 'mono', href: '#/sessions/' + id }, id), ' '])) : null,
      h('section', null, h('h2', null, `Last ${range.label}${pool.sizing && range.ahead ? ' and what is expected next' : ''} `, legend(Boolean(pool.sizing))), chooser,
        history ? plot(history, desired(pool), range, { width: 900, height: 200, axes: true }) : h('p', { class: 'empty' }, 'Nothing is known yet.')),
      h('section', null, h('h2', null, 'Sessions'),
        h('p', null, h('a', { href: '#/sessions?staging=' + name }, 'All that were made for it'), ' · ',
          h('a', { href: '#/sessions?state=assigned&staging=' + name }, 'those that have a user'))),
      h('section', null, h('h2', null, 'Config'), h('pre', null, JSON.stringify(rest, null, 2))));
  };
  return view;
}

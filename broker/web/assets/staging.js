// The pools: their numbers, conditions and histories.

import { all, call, checked, put } from './api.js';
import { ago, badge, button, fill, h, table } from './dom.js';
import { ask, tell } from './dialog.js';
import { edit } from './form.js';
import { legend, plot, sums } from './plot.js';
import { missing } from './missing.js';
import { permissions, schedule } from './shapes.js';

// How long a pool's history is shown before it is read again: the broker notes it every 10 seconds.
const historyAge = 20000;
const histories = new Map();

// historyOf returns a pool's history as last read, and reads it again when it is old.
async function readHistory(name) {
  const known = histories.get(name);
  if (known && Date.now() - known.at < historyAge) return;
  histories.set(name, { at: Date.now(), history: known?.history });
  try {
    histories.set(name, { at: Date.now(), history: await call('GET', `/v1/staging/${name}/history`) });
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
    status.foreign_sessions ? h('p', { class: 'foreign' }, `${status.foreign_sessions} sessions of other installations run in this Nomad and are left alone; greenroom installation lists them`) : null,
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
const fillBadge = (p) => p.fill ? badge(p.fill, fills[p.fill]) : '?';

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

// editConfig opens the form of a staging config; value is undefined for a new one.
async function editConfig(value, changed) {
  const [zones, images] = await Promise.all([all('/v1/zones'), all('/v1/images')]);
  const names = (items) => items.map((i) => [i.name]);
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
          { name: 'max_unavailable', label: 'Max unavailable', kind: 'text', placeholder: '25%', hint: 'How many a new revision may replace at a time.' },
        ],
      },
      { title: 'Schedule', fields: [schedule] },
      { title: 'Permissions', fields: [permissions] },
    ],
    check: (config) => checked('staging', config),
    save: async (config) => {
      await put('staging', config, !value);
      tell(`Staging config ${config.name} is saved.`);
      changed();
    },
  });
}

// configOf returns a pool's config: the pool without its numbers, revision and conditions.
function configOf({
  desired_now, desired_reason, desired_until, desired_next, fill, usual_seconds, current_sessions, ready_sessions,
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
        const history = histories.get(p.name)?.history;
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
    await readHistory(name);
    const history = histories.get(name)?.history;
    const known = history ? sums(history) : undefined;
    const rest = configOf(pool);
    delete rest.name;
    fill(body,
      h('div', { class: 'figures boxed' },
        figure(desired(pool), 'desired'), figure(pool.current_sessions, 'current'), figure(pool.ready_sessions, 'ready'), figure(fillBadge(pool), 'fill'),
        figure(updated(pool), 'updated'), pool.revision && figure(h('a', { class: 'mono', href: '#/sessions?revision=' + pool.revision }, pool.revision), 'revision'),
        known && figure(known.claims, 'claims in 3 h'), known && figure(known.misses, 'misses in 3 h')),
      pool.desired_reason ? h('p', { class: 'reason' }, pool.desired_reason) : null,
      pool.conditions.length ? h('section', null, h('h2', null, 'Conditions'), conditions(pool)) : null,
      h('section', null, h('h2', null, 'Last 3 hours ', legend()),
        history ? plot(history, desired(pool), { width: 900, height: 200, axes: true }) : h('p', { class: 'empty' }, 'Nothing is known yet.')),
      h('section', null, h('h2', null, 'Sessions'),
        h('p', null, h('a', { href: '#/sessions?staging=' + name }, 'All that were made for it'), ' · ',
          h('a', { href: '#/sessions?state=assigned&staging=' + name }, 'those that have a user'))),
      h('section', null, h('h2', null, 'Config'), h('pre', null, JSON.stringify(rest, null, 2))));
  };
  return view;
}

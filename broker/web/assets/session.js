// One session, at an address of its own: its fields, its log, its events, and its end.

import { call } from './api.js';
import { badge, button, fill, h } from './dom.js';
import { eventLine } from './events.js';
import { launchedAs, served } from './launch.js';
import { missing } from './missing.js';
import { end, over, stateOf } from './session_parts.js';

// How far back the events of a session begin.
const before = 60 * 60 * 1000;
// How many lines of a log are read.
const tail = 200;
// What stands in a link for the session's token, which only its launch's answer has.
const noToken = '%7Btoken%7D';

const moment = (time) => time && h('time', { datetime: time, title: time }, new Date(time).toLocaleString(undefined, { hour12: false }));

// way shows how a session's user opens it. A link that lacks its token opens nothing.
function way(s) {
  const link = launchedAs(s.id)?.connect_url ?? s.link;
  if (!link || s.state !== 'assigned') return undefined;
  if (link.includes(noToken)) return [h('span', { class: 'mono' }, link.replaceAll(noToken, 'TOKEN')), h('small', null, ' (the launch’s answer has the TOKEN)')];
  if (!/^https?:/.test(link)) return h('span', { class: 'mono' }, link);
  return h('a', { class: 'mono', href: link, target: '_blank', rel: 'noopener noreferrer' }, link);
}

function health(s) {
  if (s.healthy === undefined) return undefined;
  return [badge(s.healthy ? 'healthy' : 'not healthy', s.healthy ? 'good' : 'bad'), ' since ', moment(s.healthy_since)];
}

const check = (c) => c && [h('strong', null, c.name), c.output ? h('pre', { class: 'output' }, c.output) : ' has no result yet'];

// obstacles are the conditions of a session's pool while the session is not up: they may say why
// it waits. Who may not read the pool is shown none.
async function obstacles(s) {
  if (!s.staging || !['pending', 'starting'].includes(s.state)) return [];
  try {
    return (await call('GET', '/v1/staging/' + encodeURIComponent(s.staging))).conditions;
  } catch {
    return []; // the config was deleted, or this caller may not read it
  }
}

function facts(s, inTheWay) {
  const ports = Object.entries(s.ports ?? {}).map(([label, port]) => `${label} ${port}`).join(', ');
  const terms = Object.entries(s.terms ?? {}).map(([name, v]) => `${name.replaceAll('_', ' ')} ${v}`).join(', ');
  const rows = [
    ['State', stateOf(s)], ['Reason', s.reason], ['Waits for room until', moment(s.waits_for_room_until)], ['Health', health(s)], ['Failing check', check(s.failing_check)],
    ...inTheWay.map((c) => ['Its pool', [h('strong', null, c.type), ' ', c.message]]),
    ['Opens at', way(s)],
    ['Not up since its restart', moment(s.restarted_at)], ['After its restart', s.restart_failure],
    ['User', s.user && (s.user.name ? [s.user.name, ' ', h('span', { class: 'faint' }, s.user.id)] : s.user.id)], ['Groups', s.groups?.join(', ')],
    ['Ends', moment(s.ends_at)], ['May be extended until', moment(s.extendable_until)], ['Ends unless it is used', moment(s.idle_ends_at)],
    ['Ends unless its user opens it', moment(s.unvisited_ends_at)], ['Ends unless a keepalive comes', moment(s.keepalive_until)], ['Limits', terms],
    ['Origin', s.origin.replace('_', ' ')], ['Zone', s.zone], ['Image', s.image],
    ['Staging config', s.staging && h('a', { href: '#/staging/' + encodeURIComponent(s.staging) }, s.staging)], ['Revision', s.revision],
    ['Address', s.address], ['Ports', ports], ['Nomad allocation', s.alloc_id], ['Nomad node', s.node_id],
    ['Created', moment(s.created_at)], ['Ready', moment(s.ready_at)], ['Assigned', moment(s.assigned_at)],
    ['First used', s.unvisited ? 'not yet' : moment(s.visited_at)],
    ['Expires', moment(s.expires_at)], ['Ended', moment(s.ended_at)],
  ];
  return h('dl', { class: 'boxed' }, rows.filter(([, v]) => v).map(([name, v]) => [h('dt', null, name), h('dd', null, v)]));
}

// logOf is the section with the end of a session's log. It reads it when it is asked to, since
// each reading is on record.
function logOf(id) {
  const stream = h('select', { id: 'log-stream', onchange: () => read() }, h('option', { value: 'stderr' }, 'stderr'), h('option', { value: 'stdout' }, 'stdout'));
  const task = h('select', { id: 'log-task', onchange: () => read() });
  const text = h('pre', { class: 'log', tabindex: '0', 'aria-label': 'Log' });
  const note = h('p', { class: 'hint', role: 'status' });
  const tasks = (names, chosen) => {
    fill(task, names.map((name) => h('option', { value: name }, name)));
    task.value = chosen;
    task.parentNode.hidden = names.length < 2;
  };
  const read = async () => {
    const query = new URLSearchParams({ tail, type: stream.value });
    if (task.value) query.set('task', task.value);
    try {
      const log = await call('GET', `/v1/sessions/${encodeURIComponent(id)}/logs?${query}`);
      tasks(log.tasks, log.task);
      text.textContent = log.text;
      text.hidden = !log.text;
      text.scrollTop = text.scrollHeight;
      note.textContent = log.text ? (log.truncated ? `The last lines of ${log.type}.` : `All of ${log.type}.`) : `Nothing was written to ${log.type}.`;
    } catch (problem) {
      text.hidden = true;
      note.textContent = problem.message;
    }
  };
  const node = h('section', { 'aria-label': 'Log' },
    h('div', { class: 'head' }, h('h2', null, 'Log'),
      h('div', { class: 'filters' },
        h('label', { class: 'filter' }, h('span', null, 'Stream'), stream),
        h('label', { class: 'filter', hidden: true }, h('span', null, 'Task'), task),
        button('Read again', {}, read))),
    note, text);
  return { node, read };
}

// sessionView shows one session.
export function sessionView(can, id) {
  const view = { title: id, changed: () => {} };
  const body = h('div'), actions = h('div', { class: 'buttons' });
  const list = h('ol', { class: 'events', 'aria-label': 'Events of the session, the newest first' });
  const quiet = h('p', { class: 'hint' }, 'Nothing has happened to it in the last hour.');
  const log = can.edit && logOf(id);
  const more = h('div', { hidden: true },
    log && log.node,
    can.follow && h('section', { 'aria-label': 'Events' }, h('h2', null, 'Events'), quiet, list));
  let current, logState;
  view.node = h('div', null,
    h('p', { class: 'crumbs' }, h('a', { href: '#/sessions' }, 'Sessions'), ' / ', id),
    h('div', { class: 'head' }, h('h1', { class: 'mono' }, id), actions),
    body, more);
  const endIt = button('End', { class: 'danger', 'aria-label': `End ${id}` }, () => end(current, () => view.changed()));
  view.refresh = async () => {
    try {
      current = await call('GET', '/v1/sessions/' + encodeURIComponent(id));
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      more.hidden = true;
      fill(actions);
      fill(body, missing(`There is no session ${id}, or it ended a while ago.`, '#/sessions', 'Go to all sessions'));
      return;
    }
    const answer = launchedAs(id), inTheWay = await obstacles(current);
    fill(body,
      current.state === 'ended' ? h('p', { class: 'over' }, `This session has ended${current.reason ? ': ' + current.reason : ''}.`) : null,
      answer && !over(current) ? h('p', { class: 'served' }, served(answer)) : null,
      facts(current, inTheWay));
    if (can.end && !over(current)) {
      if (!endIt.parentNode) actions.replaceChildren(endIt);
    } else {
      fill(actions);
    }
    more.hidden = false;
    // Its program's words matter most when it moves: then they are read without being asked for.
    if (log && logState !== current.state) {
      logState = current.state;
      await log.read();
    }
  };
  let last = '';
  if (can.follow) {
    view.since = () => last || `${Date.now() - before}-0`;
    view.event = (e) => {
      if (e.type === 'gap' && !last) return false;
      last = e.id ?? last;
      if (e.session !== id && e.audit?.target !== 'session ' + id) return false;
      quiet.hidden = true;
      list.prepend(eventLine(e, id));
      return true;
    };
  }
  return view;
}

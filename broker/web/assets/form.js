// Forms for resources. A form is a list of fields, named as in the API. Only the broker
// validates the input; its messages are shown at the fields, all at once.

import { h } from './dom.js';
import { ask, open } from './dialog.js';
import { showErrors, spotOf } from './form_errors.js';
import { editor, same } from './rows.js';

const get = (value, path) => path.split('.').reduce((v, part) => v?.[part], value);

// set sets a value at a path, or removes it together with the objects that are then empty.
function set(value, path, to) {
  const [first, ...rest] = path.split('.');
  if (rest.length) {
    const inner = { ...value[first] };
    set(inner, rest.join('.'), to);
    to = Object.keys(inner).length ? inner : undefined;
  }
  if (to === undefined) delete value[first];
  else value[first] = to;
}

// edit opens a form. sections are lists of fields, each with a title except the first. value
// is the resource that is edited; its other fields stay. save(value) sends it, once the button is
// pressed whose label submit is. check(value), which may be left out, stores nothing, and throws
// what is wrong with a value.
export function edit({ title, sections, value, save, check, submit = 'Save' }) {
  const fields = [];
  const line = (f) => {
    const e = editor(f, get(value, f.name));
    e.at(f.name);
    fields.push({ ...f, ...e });
    return e.node;
  };
  const top = h('p', { class: 'wrong', role: 'alert', hidden: true });
  const send = h('button', { type: 'submit', class: 'primary' }, submit);
  const form = h('form', { novalidate: true, method: 'dialog' },
    top,
    sections.map((s) => (s.title
      ? h('details', { open: s.fields.some((f) => get(value, f.name) !== undefined) },
        h('summary', null, s.title), h('div', { class: 'fields' }, s.fields.map(line)))
      : h('div', { class: 'fields' }, s.fields.map(line)))),
    h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => leave() }, 'Cancel'), send));

  // read returns the value with what is in the fields. For the paths to skip it has stand-ins.
  const read = (errors, skip = new Set()) => {
    const out = structuredClone(value);
    const reading = { skip, wrong: (field, message, spot) => errors.push({ field, message, spot }) };
    for (const f of fields) {
      const v = f.read(reading);
      if (!same(v, get(value, f.name))) set(out, f.name, v);
    }
    return out;
  };
  const spots = () => fields.flatMap((f) => f.spots());
  const show = (errors, text = '') => {
    const elsewhere = showErrors(spots(), errors);
    if (!errors.length && text) elsewhere.push(text);
    top.hidden = !elsewhere.length;
    top.textContent = elsewhere.join('\n');
    if (elsewhere.length) top.scrollIntoView({ block: 'nearest' });
  };
  // complete returns the errors together with what else is wrong: an error may keep the broker
  // from looking further, so the value is checked with stand-ins in the places of the errors.
  const complete = async (errors) => {
    if (!check) return errors;
    const known = spots();
    let again = errors.some((e) => e.local), skip = new Set();
    for (;;) {
      const next = new Set(errors.map((e) => e.field).filter((path) => spotOf(known, path)?.hasStandIn));
      if (!again && next.size === skip.size) return errors;
      again = false;
      skip = next;
      try {
        await check(read([], skip));
        return errors;
      } catch (problem) {
        errors = [...errors, ...(problem.errors ?? []).filter((e) => errors.every((had) => had.field !== e.field))];
      }
    }
  };
  let dirty = false;
  form.addEventListener('input', () => { dirty = true; });
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    if (send.disabled) return;
    send.disabled = true;
    try {
      const local = [], out = read(local);
      let errors = local.map((e) => ({ ...e, local: true })), text = '';
      if (!errors.length) {
        try {
          await save(out);
          close();
          return;
        } catch (problem) {
          errors = problem.errors ?? [];
          text = problem.message;
        }
      }
      show(await complete(errors), text);
    } finally {
      send.disabled = false;
    }
  });
  const { dialog, close } = open(title, form, { wide: true });
  const leave = () => {
    if (!dirty) close();
    else ask('Discard the changes?', 'What was changed in this form is lost.', 'Discard', async () => close());
  };
  // Escape, and a phone's way back. A browser may not let a page refuse the latter.
  const stay = (e) => {
    if (!dirty) return;
    e.preventDefault();
    leave();
  };
  dialog.addEventListener('keydown', (e) => e.key === 'Escape' && stay(e));
  dialog.addEventListener('cancel', stay);
  const first = fields.find((f) => !f.fixed);
  first?.node.querySelector('input, select, textarea, button')?.focus();
}

// Forms for resources. A form is a list of fields, named as in the API. Only the broker
// validates the input; its messages are shown at the fields.

import { h } from './dom.js';
import { open } from './dialog.js';

// kinds of fields: how each is entered, shown, and read. read returns undefined for a value
// that is left out, and throws where the text cannot be sent at all.
const kinds = {
  text: {
    input: (f) => h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', placeholder: f.placeholder }),
    show: (v) => v ?? '', read: (input) => input.value.trim() || undefined,
  },
  number: {
    input: (f) => h('input', { type: 'text', inputmode: 'numeric', autocomplete: 'off', placeholder: f.placeholder }),
    show: (v) => v ?? '',
    read: (input) => {
      const text = input.value.trim();
      if (text === '') return undefined;
      if (!Number.isFinite(Number(text))) throw new Error('must be a number');
      return Number(text);
    },
  },
  select: {
    input: (f) => h('select', null, f.options.map(([value, label]) => h('option', { value }, label ?? value))),
    show: (v) => v ?? '', read: (input) => input.value || undefined,
  },
  // yes: an absent value means yes.
  yes: {
    input: () => h('select', null, h('option', { value: '' }, 'Yes'), h('option', { value: 'false' }, 'No')),
    show: (v) => (v === false ? 'false' : ''), read: (input) => (input.value ? false : undefined),
  },
  no: {
    input: () => h('select', null, h('option', { value: '' }, 'No'), h('option', { value: 'true' }, 'Yes')),
    show: (v) => (v ? 'true' : ''), read: (input) => (input.value ? true : undefined),
  },
  either: {
    input: (f) => h('select', null,
      h('option', { value: '' }, `Default (${f.otherwise ? 'allowed' : 'not allowed'})`),
      h('option', { value: 'true' }, 'Allowed'), h('option', { value: 'false' }, 'Not allowed')),
    show: (v) => (v === undefined ? '' : String(v)), read: (input) => (input.value === '' ? undefined : input.value === 'true'),
  },
  words: {
    input: (f) => h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', placeholder: f.placeholder ?? 'one, another' }),
    show: (v) => (v ?? []).join(', '),
    read: (input) => {
      const words = input.value.split(',').map((w) => w.trim()).filter(Boolean);
      return words.length ? words : undefined;
    },
  },
  code: {
    input: () => h('textarea', { rows: 16, spellcheck: 'false', class: 'code', wrap: 'off' }),
    show: (v) => v ?? '', read: (input) => input.value || undefined,
  },
  json: {
    input: (f) => h('textarea', { rows: f.rows ?? 4, spellcheck: 'false', class: 'code', wrap: 'off', placeholder: f.placeholder }),
    show: (v) => (v === undefined ? '' : JSON.stringify(v, null, 2)),
    read: (input) => {
      if (input.value.trim() === '') return undefined;
      try {
        return JSON.parse(input.value);
      } catch (e) {
        throw new Error('is not JSON: ' + e.message);
      }
    },
  },
};

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
// is the resource that is edited; its other fields stay. save(value) sends it, once
// the button is pressed whose label submit is.
export function edit({ title, sections, value, save, submit = 'Save' }) {
  const fields = [];
  const line = (f) => {
    const kind = kinds[f.kind], id = 'field-' + f.name.replaceAll('.', '-');
    const input = kind.input(f);
    input.id = id;
    input.name = f.name;
    input.value = kind.show(get(value, f.name));
    input.readOnly = Boolean(f.fixed);
    const wrong = h('p', { class: 'wrong', id: id + '-wrong', hidden: true });
    const hint = f.hint && h('p', { class: 'hint', id: id + '-hint' }, f.hint);
    if (hint) input.setAttribute('aria-describedby', hint.id);
    const say = (text) => {
      wrong.hidden = !text;
      wrong.textContent = text;
      input.setAttribute('aria-invalid', String(Boolean(text)));
      input.setAttribute('aria-describedby', [text && wrong.id, hint?.id].filter(Boolean).join(' '));
    };
    fields.push({ ...f, input, say, read: () => kind.read(input) });
    return h('div', { class: `field ${f.kind}` }, h('label', { for: id }, f.label), input, wrong, hint);
  };
  const top = h('p', { class: 'wrong', role: 'alert', hidden: true });
  const send = h('button', { type: 'submit', class: 'primary' }, submit);
  const form = h('form', { novalidate: true, method: 'dialog' },
    top,
    sections.map((s) => (s.title
      ? h('details', { open: s.fields.some((f) => get(value, f.name) !== undefined) },
        h('summary', null, s.title), h('div', { class: 'fields' }, s.fields.map(line)))
      : h('div', { class: 'fields' }, s.fields.map(line)))),
    h('div', { class: 'actions' }, h('button', { type: 'button', onclick: () => close() }, 'Cancel'), send));

  // show shows each error at its field, and moves to the first.
  const show = (errors, text) => {
    const elsewhere = [];
    for (const f of fields) f.say('');
    let first;
    for (const e of errors) {
      const f = fields.filter((f) => e.field === f.name || e.field.startsWith(f.name + '.') || e.field.startsWith(f.name + '['))
        .sort((a, b) => b.name.length - a.name.length)[0];
      if (!f) {
        elsewhere.push(`${e.field} ${e.message}`);
        continue;
      }
      f.say((e.field === f.name ? '' : e.field.slice(f.name.length).replace(/^\./, '') + ' ') + e.message);
      f.input.closest('details')?.setAttribute('open', '');
      first ??= f.input;
    }
    if (!errors.length && text) elsewhere.push(text);
    top.hidden = !elsewhere.length;
    top.textContent = elsewhere.join('; ');
    first?.focus();
  };
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    const out = structuredClone(value), errors = [];
    for (const f of fields) {
      try {
        set(out, f.name, f.read());
      } catch (problem) {
        errors.push({ field: f.name, message: problem.message });
      }
    }
    show(errors);
    if (errors.length || send.disabled) return;
    send.disabled = true;
    try {
      await save(out);
      close();
    } catch (problem) {
      show(problem.errors ?? [], problem.message);
    } finally {
      send.disabled = false;
    }
  });
  const { close } = open(title, form, { wide: true });
  fields.find((f) => !f.fixed)?.input.focus();
}

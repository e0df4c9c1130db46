// Single inputs of a form: how each kind of field is entered, shown and read.
//
// An editor, here and in rows.js, is what shows a value and reads it again:
//   node          its element
//   at(path)      sets the path of its value in the resource, as the API's errors name it
//   read(reading) returns the value: the very one that it was made with where nothing was
//                 changed, undefined for one that is left out. What cannot be read it gives
//                 to reading.wrong. For paths in reading.skip it returns a stand-in.
//   spots()       where errors can be shown: [{ path, input, say(text), hasStandIn, part }];
//                 part(i) is how the input shows the item i of its list

import { freshID, h } from './dom.js';

const plain = (f) => ({ autocomplete: 'off', spellcheck: 'false', placeholder: f.placeholder });
const options = (...pairs) => h('select', null, pairs.map(([value, label]) => h('option', { value }, label ?? value)));
const trimmed = (f) => (input) => input.value.trim() || (f.required ? '' : undefined);
const isText = (v) => (typeof v === 'string' ? '' : 'must be a text');
const isYesOrNo = (v) => (typeof v === 'boolean' ? '' : 'must be true or false');

// grows makes a text area as high as its lines, within bounds.
function grows(input) {
  const fit = () => { input.rows = Math.min(10, input.value.split('\n').length); };
  input.addEventListener('input', fit);
  return Object.assign(input, { fit });
}

// kinds of fields. standIn is a value that the broker accepts, for a field that has an error:
// what is wrong elsewhere is found with it. read throws where the text cannot be sent at all; fits returns why a value
// cannot be shown so, '' if it can.
const kinds = {
  text: (f) => ({ input: h('input', { type: 'text', ...plain(f) }), show: (v) => v ?? '', read: trimmed(f), fits: isText }),
  // A duration is shown as a person writes it: 30m for 30m0s.
  duration: (f) => ({ input: h('input', { type: 'text', ...plain(f) }), show: (v) => (v ?? '').replace(/(?<=m)0s$/, '').replace(/(?<=h)0m$/, ''), read: trimmed(f), fits: isText, standIn: '1h' }),
  // A text with suggestions.
  suggested: (f) => ({ input: h('input', { type: 'text', ...plain(f) }), suggestions: f.suggestions(), show: (v) => v ?? '', read: trimmed(f), fits: isText }),
  // A text that is taken as it is: it may be empty, and have spaces and lines.
  verbatim: (f) => ({ input: grows(h('textarea', { rows: 1, class: 'code', ...plain(f) })), show: (v) => v ?? '', read: (input) => input.value, fits: isText }),
  number: (f) => ({
    input: h('input', { type: 'text', inputmode: 'numeric', ...plain(f) }),
    show: (v) => v ?? '',
    read: (input) => {
      const text = input.value.trim();
      if (text === '') return undefined;
      if (!Number.isFinite(Number(text))) throw new Error('must be a number');
      return Number(text);
    },
    fits: (v) => (typeof v === 'number' ? '' : 'must be a number'),
  }),
  select: (f) => ({ input: options(...f.options), show: (v) => v ?? '', read: trimmed(f), fits: isText }),
  // yes: an absent value means yes.
  yes: () => ({ input: options(['', 'Yes'], ['false', 'No']), show: (v) => (v === false ? 'false' : ''), read: (input) => (input.value ? false : undefined), fits: isYesOrNo }),
  no: () => ({ input: options(['', 'No'], ['true', 'Yes']), show: (v) => (v ? 'true' : ''), read: (input) => (input.value ? true : undefined), fits: isYesOrNo }),
  either: (f) => ({
    input: options(['', `Default (${f.otherwise ? 'allowed' : 'not allowed'})`], ['true', 'Allowed'], ['false', 'Not allowed']),
    show: (v) => (v === undefined ? '' : String(v)), read: (input) => (input.value === '' ? undefined : input.value === 'true'), fits: isYesOrNo,
  }),
  words: (f) => ({
    input: h('input', { type: 'text', ...plain({ placeholder: 'one, another', ...f }) }),
    show: (v) => (v ?? []).join(', '),
    read: (input) => {
      const words = input.value.split(',').map((w) => w.trim()).filter(Boolean);
      return words.length ? words : undefined;
    },
    fits: (v) => (Array.isArray(v) && v.every((w) => typeof w === 'string') ? '' : 'must be a list of texts'),
    part: (value, i) => JSON.stringify(value?.[i]),
  }),
  code: (f) => ({ input: h('textarea', { rows: 16, class: 'code', wrap: 'off', ...plain(f) }), show: (v) => v ?? '', read: (input) => input.value, fits: isText }),
  json: (f) => ({
    input: h('textarea', { rows: f.rows ?? 4, class: 'code', wrap: 'off', ...plain(f) }),
    show: (v) => (v === undefined ? '' : JSON.stringify(v, null, 2)),
    read: (input) => {
      if (input.value.trim() === '') return undefined;
      try {
        return JSON.parse(input.value);
      } catch (e) {
        throw new Error('is not JSON: ' + e.message);
      }
    },
    fits: () => '',
  }),
};

// isField reports whether a field is a single input.
export const isField = (f) => f.kind in kinds;

// fieldFits returns why a value cannot be shown in a single input, '' if it can.
export const fieldFits = (f, v) => (v === undefined ? '' : kinds[f.kind](f).fits(v));

// errorAt makes the line for the error at some inputs, and what shows it there.
export function errorAt(inputs, hint) {
  const wrong = h('p', { class: 'wrong', id: freshID(), hidden: true });
  const say = (text, marked = inputs) => {
    wrong.hidden = !text;
    wrong.textContent = text;
    for (const input of inputs) {
      const bad = Boolean(text) && marked.includes(input);
      input.setAttribute('aria-invalid', String(bad));
      const by = [bad && wrong.id, hint?.id].filter(Boolean).join(' ');
      if (by) input.setAttribute('aria-describedby', by);
      else input.removeAttribute('aria-describedby');
    }
  };
  // What is changed may be right now: that shows at the next save.
  for (const input of inputs) input.addEventListener('input', () => say(''));
  return { wrong, say };
}

// field makes the editor of a single input.
export function field(f, value) {
  const { input, suggestions, show, read, part, standIn = f.standIn } = kinds[f.kind](f);
  const id = freshID();
  input.id = id;
  input.value = show(value);
  input.fit?.();
  input.readOnly = Boolean(f.fixed);
  // The browser may show a text otherwise than it is, such as without its line feeds.
  const shown = input.value;
  const hint = f.hint && h('p', { class: 'hint', id: id + '-hint' }, f.hint);
  const { wrong, say } = errorAt([input], hint);
  say('');
  let list;
  if (suggestions) {
    list = h('datalist', { id: id + '-list' }, suggestions.map((s) => h('option', { value: s })));
    input.setAttribute('list', list.id);
  }
  let path;
  return {
    node: h('div', { class: `field ${f.kind}` }, h('label', { for: id }, f.label), input, list, wrong, hint),
    at: (p) => { path = input.name = p; },
    read: (reading) => {
      if (reading.skip.has(path)) return standIn ?? value;
      if (input.value === shown) return value === undefined && f.required ? read(input) : value;
      try {
        return read(input);
      } catch (problem) {
        reading.wrong(path, problem.message);
        return standIn ?? value;
      }
    },
    spots: () => [{ path, input, say, hasStandIn: standIn !== undefined, part: part && ((i) => part(read(input), i)) }],
  };
}

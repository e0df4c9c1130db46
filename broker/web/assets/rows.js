// Editors of values with parts: objects, lists and maps, as rows of inputs that can be added
// and removed. Each has a second view, the same value as JSON. What a value has and its rows do
// not know stays. Editors are explained in fields.js.

import { button, freshID, h } from './dom.js';
import { ask } from './dialog.js';
import { errorAt, field, fieldFits, isField } from './fields.js';
import { showErrors } from './form_errors.js';

// editor makes the editor of a field of any kind.
export function editor(f, value) {
  if (isField(f)) return field(f, value);
  if (f.kind === 'optional') return optional(f, value);
  return f.nested ? labelled(kinds[f.kind].make, f, value) : twoViews(f, value);
}

// fits returns why a value cannot be shown in a field's rows, '' if it can.
function fits(f, value) {
  if (value === undefined) return '';
  return isField(f) ? fieldFits(f, value) : kinds[f.kind].fits(f, value);
}

const isObject = (v) => typeof v === 'object' && v !== null && !Array.isArray(v);

// same reports whether two values are the same as JSON.
export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// changed lets the form know of a change that no input tells.
const changed = (node) => node.dispatchEvent(new Event('input', { bubbles: true }));

// firstInput returns the first input in an element.
const firstInput = (node) => node.querySelector('input, select, textarea');

// removal makes the button that removes a row. What holds something is removed after a
// question.
function removal(name, row, remove) {
  const filled = () => [...row().querySelectorAll('input, select, textarea')].some((i) => i.value !== '');
  return button('Remove', { class: 'plain', 'aria-label': `Remove ${name()}` }, () => {
    if (!filled()) return remove();
    ask(`Remove ${name()}?`, 'What is entered in it is lost. Nothing is stored before you save.', 'Remove', async () => {
      // Only when the question is closed can the focus go elsewhere.
      setTimeout(remove);
    });
  });
}

// object edits the parts of an object that it knows.
function object(f, value) {
  const parts = f.fields.map((part) => [part.name, editor(part, value?.[part.name])]);
  return {
    node: h('div', { class: f.layout ?? 'fields' }, parts.map(([, e]) => e.node)),
    at: (path) => parts.forEach(([name, e]) => e.at(`${path}.${name}`)),
    read: (reading) => {
      const out = { ...value };
      for (const [name, e] of parts) {
        const v = e.read(reading);
        if (v === undefined) delete out[name];
        else out[name] = v;
      }
      if (same(out, value)) return value;
      return Object.keys(out).length ? out : undefined;
    },
    spots: () => parts.flatMap(([, e]) => e.spots()),
  };
}

// optional edits an object that may be missing.
function optional(f, value) {
  let inner, path;
  const node = h('fieldset', { class: 'row' });
  const show = (v, present) => {
    inner = present ? object(f, v) : undefined;
    if (path !== undefined) inner?.at(path);
    const name = () => f.label;
    node.replaceChildren(h('legend', null, f.label), ...[f.hint && h('p', { class: 'hint' }, f.hint), inner?.node].filter(Boolean), inner
      ? removal(name, () => node, () => {
        show(undefined, false);
        changed(node);
        node.querySelector('button').focus();
      })
      : button('Add', { 'aria-label': `Add ${f.label}` }, () => {
        show(undefined, true);
        changed(node);
        firstInput(node).focus();
      }));
  };
  show(value, value !== undefined);
  return {
    node,
    at: (p) => {
      path = p;
      inner?.at(p);
    },
    read: (reading) => inner?.read(reading),
    spots: () => inner?.spots() ?? [],
  };
}

// rowsOf keeps the rows of a list or map: an element with a button that adds one.
function rowsOf(f, make) {
  const rows = [], body = h('div', { class: 'rows' });
  let renumber = () => {};
  const node = h('div', { class: 'list' }, body, button(`Add ${f.item.word}`, {}, () => {
    firstInput(add().node).focus();
    changed(node);
  }));
  const add = (value) => {
    const row = make(value, (gone) => {
      const at = rows.indexOf(gone);
      rows.splice(at, 1);
      gone.node.remove();
      renumber();
      changed(node);
      ((rows[at] ?? rows.at(-1))?.node ?? node).querySelector('button').focus();
    });
    rows.push(row);
    body.append(row.node);
    renumber();
    return row;
  };
  return { node, rows, add, onRenumber: (r) => { renumber = r; } };
}

// list edits a list whose items all have the same fields.
function list(f, value) {
  const single = isField(f.item);
  const make = (v, gone) => {
    const inner = editor({ ...f.item, label: '', nested: true }, v);
    const row = { inner };
    const name = () => row.name;
    const remove = removal(name, () => row.inner.node, () => gone(row));
    if (single) {
      row.node = h('div', { class: 'row single' }, inner.node, remove);
      row.label = row.node.querySelector('label');
    } else {
      row.label = h('legend');
      row.node = h('fieldset', { class: 'row' }, row.label, inner.node, remove);
    }
    row.remove = remove;
    return row;
  };
  const { node, rows, add, onRenumber } = rowsOf(f, make);
  let path;
  onRenumber(() => rows.forEach((row, i) => {
    row.name = f.item.name(i);
    row.label.textContent = row.name;
    row.remove.setAttribute('aria-label', `Remove ${row.name}`);
    row.inner.at(`${path}[${i}]`);
  }));
  for (const v of value ?? Array(f.least ?? 0).fill()) add(v);
  return {
    node,
    at: (p) => {
      path = p;
      rows.forEach((row, i) => row.inner.at(`${p}[${i}]`));
    },
    read: (reading) => {
      const out = rows.map((row) => row.inner.read(reading) ?? (single ? '' : {}));
      if (same(out, value)) return value;
      return out.length || f.required ? out : undefined;
    },
    // What is wrong with a list of inputs is shown at the first.
    spots: () => rows.flatMap((row, i) => row.inner.spots().flatMap((spot) => (single && i === 0 ? [spot, { ...spot, path }] : [spot]))),
  };
}

// map edits texts by their names.
function map(f, value) {
  const make = (entry, gone) => {
    const [name, text] = entry ?? ['', ''];
    const nameInput = h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', class: 'code', placeholder: 'name', value: name });
    const inner = field({ kind: 'verbatim', label: '', placeholder: 'value' }, text);
    const input = firstInput(inner.node);
    const { wrong, say } = errorAt([nameInput, input]);
    const row = { nameInput, input, inner, say, name: () => (nameInput.value === name ? name : nameInput.value.trim()) };
    const remove = removal(() => `${f.item.word} ${row.name()}`.trim(), () => row.node, () => gone(row));
    row.node = h('div', { class: 'row pair' }, nameInput, input, remove, wrong);
    row.label = (i) => {
      nameInput.setAttribute('aria-label', `Name of ${f.item.word} ${i + 1}`);
      input.setAttribute('aria-label', `Value of ${f.item.word} ${i + 1}`);
      remove.setAttribute('aria-label', `Remove ${f.item.word} ${i + 1}`);
    };
    return row;
  };
  const { node, rows, add, onRenumber } = rowsOf(f, make);
  let path;
  onRenumber(() => rows.forEach((row, i) => row.label(i)));
  for (const entry of Object.entries(value ?? {})) add(entry);
  const name = (row) => {
    row.nameInput.name = `${path}.${row.name()}.name`;
    row.input.name = `${path}.${row.name()}`;
  };
  node.addEventListener('input', () => rows.forEach(name));
  return {
    node,
    at: (p) => {
      path = p;
      rows.forEach(name);
    },
    read: (reading) => {
      const out = new Map();
      for (const row of rows) {
        const key = row.name();
        const wrong = key === '' ? 'must have a name, or be removed' : out.has(key) && `has the name ${key} like another: each may be there once`;
        if (wrong) reading.wrong(`${path}.${key}`, wrong, { input: row.nameInput, say: (text) => row.say(text, [row.nameInput]) });
        else out.set(key, row.inner.read(reading));
      }
      const read = Object.fromEntries(out);
      if (same(read, value)) return value;
      return out.size ? read : undefined;
    },
    // A name cannot tell whether an error is about it or its value: both are marked.
    spots: () => rows.map((row) => ({ path: `${path}.${row.name()}`, input: row.input, say: row.say })),
  };
}

const kinds = {
  object: {
    make: object,
    fits: (f, v) => {
      if (!isObject(v)) return 'must be an object';
      return f.fields.map((part) => [part.name, fits(part, v[part.name])]).filter(([, why]) => why).map(([name, why]) => `${name} ${why}`)[0] ?? '';
    },
  },
  list: {
    make: list,
    fits: (f, v) => {
      if (!Array.isArray(v)) return 'must be a list';
      return v.map((one) => fits(f.item, one)).map((why, i) => why && `[${i}] ${why}`).filter(Boolean)[0] ?? '';
    },
  },
  map: {
    make: map,
    fits: (f, v) => (isObject(v) && Object.values(v).every((text) => typeof text === 'string') ? '' : 'must be an object of texts'),
  },
};
kinds.optional = { make: optional, fits: kinds.object.fits };

// labelled puts the rows of a part of an object under its label. What is wrong with it while
// it has no row is shown at the button that adds one.
function labelled(make, f, value) {
  if (!f.label) return make(f, value);
  const id = freshID(), inner = make(f, value);
  const { wrong, say } = errorAt([inner.node.lastChild]);
  let path;
  return {
    ...inner,
    node: h('div', { class: 'field rows-of', role: 'group', 'aria-labelledby': id }, h('span', { id, class: 'title' }, f.label), wrong, inner.node),
    at: (p) => {
      path = p;
      inner.at(p);
    },
    spots: () => [{ path, input: inner.node.lastChild, say }, ...inner.spots()],
  };
}

// twoViews edits a value in rows, or as JSON, as the user likes.
function twoViews(f, value) {
  const id = freshID(), body = h('div');
  let inner, asJSON, path;
  const toggle = button('', { class: 'plain' }, () => {
    const errors = [];
    const v = inner.read({ skip: new Set(), wrong: (field, message, spot) => errors.push({ field, message, spot }) });
    const why = asJSON && !errors.length ? fits(f, v) : '';
    if (why) errors.push({ field: path, message: `cannot be shown in rows: ${why}` });
    if (errors.length) showErrors(inner.spots(), errors);
    else show(v, !asJSON);
  });
  const hint = f.hint && h('p', { class: 'hint', id: id + '-hint' }, f.hint);
  const { wrong, say } = errorAt([toggle]);
  const show = (v, json) => {
    asJSON = json;
    inner = json ? field({ kind: 'json', label: `${f.label} (JSON)`, rows: 10, placeholder: f.placeholder }, v) : kinds[f.kind].make(f, v);
    if (path !== undefined) inner.at(path);
    toggle.textContent = json ? 'As rows' : 'As JSON';
    toggle.setAttribute('aria-label', `${f.label}: ${json ? 'as rows' : 'as JSON'}`);
    say('');
    body.replaceChildren(inner.node);
  };
  show(value, fits(f, value) !== '');
  return {
    node: h('div', { class: 'field views', role: 'group', 'aria-labelledby': id },
      h('div', { class: 'head' }, h('span', { id }, f.label), toggle), hint, wrong, body),
    at: (p) => {
      path = p;
      inner.at(p);
    },
    read: (reading) => inner.read(reading),
    spots: () => [...inner.spots(), ...(asJSON ? [] : [{ path, input: toggle, say }])],
  };
}

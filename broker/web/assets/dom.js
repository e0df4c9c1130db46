// The building blocks of the views. Text is only ever set as text: the page's policy makes
// the browser refuse markup from scripts.

// h makes an element. Properties that begin with "on" are listeners. Properties and
// children that are undefined, null or false are left out.
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.className = value;
    else if (name === 'value' || name === 'disabled' || name === 'checked' || name === 'hidden') node[name] = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...nodes(children));
  return node;
}

let ids = 0;

// freshID returns an id that no other element of the page has.
export const freshID = () => `id-${++ids}`;

// svg makes an element of a drawing.
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes ?? {})) node.setAttribute(name, value);
  node.append(...nodes(children));
  return node;
}

function nodes(children) {
  return children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== false);
}

// fill replaces the children, unless they are the same, so that the focus stays.
export function fill(parent, ...children) {
  const fresh = document.createElement('div');
  fresh.append(...nodes(children));
  const now = [...parent.childNodes], then = [...fresh.childNodes];
  if (now.length === then.length && now.every((n, i) => n.isEqualNode(then[i]))) return;
  parent.replaceChildren(...then);
}

// table makes a table that can be updated with new items, and changes only what differs.
// A column has a label and a cell(item). With once, its cell(current) is made once per row,
// and calls current for the row's item.
export function table(caption, columns, key, empty) {
  const rows = new Map();
  const body = h('tbody');
  const none = h('p', { class: 'empty', hidden: true }, empty);
  const node = h('div', { class: 'table' },
    h('table', null,
      h('caption', { class: 'unseen' }, caption),
      h('thead', null, h('tr', null, columns.map((c) => h('th', { scope: 'col', class: c.class }, c.head ?? c.label)))),
      body),
    none);
  const show = (items) => {
    none.hidden = items.length > 0;
    node.firstChild.hidden = items.length === 0;
    const left = new Set(rows.keys());
    items.forEach((item, at) => {
      const id = key(item);
      left.delete(id);
      let row = rows.get(id);
      if (!row) {
        row = { item, node: h('tr', { 'data-key': id }) };
        const current = () => row.item;
        for (const c of columns) {
          row.node.append(h('td', { class: c.class, 'data-label': c.label }, c.once ? c.cell(current) : null));
        }
        rows.set(id, row);
      }
      row.item = item;
      columns.forEach((c, i) => {
        if (c.once) return;
        fill(row.node.children[i], c.cell(item) ?? '');
        // Such a word is broken, so that no table is wider than the page.
        row.node.children[i].classList.toggle('long', /\S{33}/.test(row.node.children[i].textContent));
      });
      if (body.children[at] !== row.node) body.insertBefore(row.node, body.children[at] ?? null);
    });
    for (const id of left) {
      rows.get(id).node.remove();
      rows.delete(id);
    }
  };
  return { node, show };
}

// button makes a button that shows while its action runs, and cannot be pressed twice.
export function button(label, props, press) {
  return h('button', {
    type: 'button', ...props,
    onclick: async (e) => {
      const b = e.currentTarget;
      b.setAttribute('aria-busy', 'true');
      try {
        await press(e);
      } finally {
        b.removeAttribute('aria-busy');
      }
    },
  }, label);
}

// badge is a word in the colour of its kind: good, wait, bad or quiet.
export function badge(word, kind, title) {
  return h('span', { class: `badge ${kind}`, title }, word);
}

// count is a number of things in words, such as 1 session or 2 sessions.
export const count = (n, thing) => `${n} ${thing}${n === 1 ? '' : 's'}`;

// ago returns how long ago a time was, in at most two units.
export function ago(time, now = Date.now()) {
  return span(Math.max(0, now - Date.parse(time)));
}

function span(ms) {
  const s = Math.floor(ms / 1000);
  const units = [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]];
  const first = units.findIndex(([, size]) => s >= size);
  if (first < 0) return '0s';
  const [unit, size] = units[first];
  const next = units[first + 1];
  const rest = next ? Math.floor((s % size) / next[1]) : 0;
  return `${Math.floor(s / size)}${unit}` + (rest ? ` ${rest}${next[0]}` : '');
}

// when shows a time relative to now, and in full as a tooltip.
export function when(time) {
  const at = new Date(time);
  return h('time', { datetime: time, title: at.toISOString() }, at.toLocaleTimeString(undefined, { hour12: false }));
}

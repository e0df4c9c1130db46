// Errors, shown at the inputs that they name.

// showErrors shows each error at its spot, or at the nearest spot above it, and moves to the
// first. It returns the errors that have none.
export function showErrors(spots, errors) {
  for (const spot of spots) spot.say('');
  // Several spots may show their errors in one line.
  const shown = new Map(), elsewhere = [];
  for (const e of errors) {
    const spot = e.spot ?? spotOf(spots, e.field);
    if (!spot) {
      elsewhere.push(`${e.field} ${e.message}`.trim());
      continue;
    }
    if (!shown.has(spot.say)) shown.set(spot.say, { input: spot.input, lines: [] });
    shown.get(spot.say).lines.push(rest(spot, e) + e.message);
  }
  for (const [say, { input, lines }] of shown) {
    say(lines.join('\n'));
    input.closest('details')?.setAttribute('open', '');
  }
  const inputs = [...shown.values()].map(({ input }) => input);
  inputs.sort((a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
  inputs[0]?.focus();
  return elsewhere;
}

const within = (path, spot) => path === spot.path || path.startsWith(spot.path + '.') || path.startsWith(spot.path + '[');

// spotOf returns the spot of a path, or of what the path is within; undefined if there is none.
export function spotOf(spots, path) {
  // Of two for one path, the later one is the input itself.
  return spots.filter((spot) => within(path, spot)).sort((a, b) => a.path.length - b.path.length).at(-1);
}

// rest returns which part of the spot's value an error is about: "" for all of it.
function rest(spot, e) {
  if (e.spot || e.field === spot.path) return '';
  const part = e.field.slice(spot.path.length);
  const item = /^\[(\d+)\]$/.exec(part);
  return (item && spot.part?.(Number(item[1])) || part.replace(/^\./, '')) + ' ';
}

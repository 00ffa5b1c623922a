import * as fc from 'fast-check';

/** One change of a file. Places are fractions of its length. */
type Damage =
  | { kind: 'flip'; at: number; bit: number }
  | { kind: 'cut'; at: number }
  | { kind: 'remove'; at: number; length: number }
  | { kind: 'repeat'; at: number; length: number }
  | { kind: 'swap'; at: number; to: number; length: number }
  | { kind: 'insert'; at: number; text: string };

/** Most numbers of `fc.double` are close to 0. */
export const place = fc.nat(1e6).map((it) => it / 1e6);

const oddTexts = [
  ...[
    '\0',
    '\n',
    '\r',
    '\t',
    '"',
    "'",
    ',',
    ';',
    ':',
    '- ',
    '{',
    '[',
    '*a',
    '&a ',
    '!x ',
    '#',
    '%',
    '\\',
    '{{',
    '{%',
    '%}',
    '| x',
  ],
  ...[
    '\ufeff',
    '\u2028',
    '\u202e',
    '\ud83d\ude00',
    'e\u0301',
    '\u001b[2J',
    '__proto__: 1\n',
    'a'.repeat(70_000),
    '['.repeat(5000),
  ],
  ...[
    '"'.repeat(999),
    '{% for i in (1..999999999) %}x{% endfor %}',
    '1e999',
    '-1',
    'null',
    '\n\n\n',
    '\u0024{x}',
    '\r\n',
    '? ',
  ],
];

export const anyDamage: fc.Arbitrary<Damage[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('cut' as const), at: place }),
    fc.record({ kind: fc.constant('remove' as const), at: place, length: fc.nat(40) }),
    fc.record({ kind: fc.constant('repeat' as const), at: place, length: fc.nat(400) }),
    fc.record({ kind: fc.constant('swap' as const), at: place, to: place, length: fc.nat(30) }),
    fc.record({
      kind: fc.constant('insert' as const),
      at: place,
      text: fc.oneof(fc.constantFrom(...oddTexts), fc.string({ unit: 'binary', maxLength: 5 })),
    }),
  ),
  { minLength: 1, maxLength: 3 },
);

/** The file with these changes, one after the other. */
export function damage(file: string | Buffer, changes: readonly Damage[]): Buffer {
  let bytes = Buffer.from(file);
  for (const change of changes) {
    const at = Math.min(Math.floor(change.at * bytes.length), Math.max(bytes.length - 1, 0));
    bytes = apply(bytes, at, change);
  }
  return bytes;
}

function apply(bytes: Buffer, at: number, change: Damage): Buffer<ArrayBuffer> {
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (change.kind) {
    case 'flip': {
      const changed = Buffer.from(bytes);
      if (changed.length > 0) changed[at] = (changed[at] ?? 0) ^ (1 << change.bit);
      return changed;
    }
    case 'cut':
      return Buffer.from(before);
    case 'remove':
      return Buffer.concat([before, after.subarray(change.length)]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, change.length), after]);
    case 'insert':
      return Buffer.concat([before, Buffer.from(change.text), after]);
    case 'swap': {
      const to = Math.floor(change.to * bytes.length);
      const [first, second] = [Math.min(at, to), Math.max(at, to)];
      const [a, b] = [bytes.subarray(first, first + change.length), bytes.subarray(second, second + change.length)];
      if (second < first + change.length) return Buffer.from(bytes);
      return Buffer.concat([
        ...[bytes.subarray(0, first), b, bytes.subarray(first + change.length, second), a],
        bytes.subarray(second + change.length),
      ]);
    }
  }
}

import { expect } from 'chai';
import type { FormField } from '../../src/entities/index.ts';
import { Problem } from '../../src/problems.ts';
import type { FieldRules } from '../../src/services/forms/fields.ts';
import { checkFields } from '../../src/services/intake/check-fields.ts';
import { filePart, holdsFile, isTicked, nameInFault } from '../../src/services/intake/read-value.ts';
import { findSuspicions } from '../../src/services/intake/suspicions.ts';

type Options = Parameters<typeof checkFields>[2];

const check = (values: object, form?: FieldRules, options?: Options) =>
  checkFields(new Map(Object.entries(values)), form, options);

function problemOf(values: object, form?: FieldRules, options?: Options): Problem | undefined {
  try {
    check(values, form, options);
    return undefined;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return error;
  }
}

/** What is wrong, as `field code: message`. */
const faultsIn = (values: object, form?: FieldRules, options?: Options) =>
  (problemOf(values, form, options)?.faults ?? []).map((it) => `${it.field} ${it.code}: ${it.message}`);

const least = { email: 'ada@example.test', message: 'Hello' };
const any: FieldRules = { fields: 'any' };
const declare = (...fields: FormField[]): FieldRules => ({ fields });
const extraOf = (values: object, form: FieldRules = any) => check(values, form).content.extra;

const missing = 'missing: is required';
const empty = ' missing: at least one field must be filled in';
const wrongAddress = 'invalid: must be a single e-mail address, like ada@example.com';
const file = 'file: must be text; files are not accepted';

describe('checkFields', () => {
  it('takes the known fields, and what else was posted', () => {
    const values = { ...least, message: ' Hello ', name: ' Ada ', subject: ' Hi ', phone: ' 1 ', age: 7, agreed: true };
    expect(check(values)).to.deep.equal({
      content: {
        address: 'ada@example.test',
        name: 'Ada',
        subject: 'Hi',
        text: ' Hello ',
        extra: [
          ['phone', ' 1 '],
          ['age', '7'],
          ['agreed', 'true'],
        ],
      },
      otherAddresses: [],
    });
    expect(check(least).content).to.deep.equal({ address: 'ada@example.test', text: 'Hello', extra: [] });
  });

  it('takes other names of a known field, its own first', () => {
    expect(check({ _replyto: 'bob@example.test', message: 'x', first_name: 'Bo' }).content).to.deep.equal({
      address: 'bob@example.test',
      name: 'Bo',
      text: 'x',
      extra: [],
    });
    expect(check({ ...least, _replyto: 'bob@example.test' }).content.address).to.equal('ada@example.test');
    expect(check({ ...least, email: ' ', _replyto: 'bob@example.test' }).content.address).to.equal('bob@example.test');
    expect(faultsIn({ _replyto: 'bob', message: 'x' })).to.deep.equal([`_replyto ${wrongAddress}`]);
    const twice = { _replyto: 'bob@', firstName: 'x'.repeat(201) };
    expect(faultsIn(twice, { requiredFields: ['email', 'name'] })).to.deep.equal([
      `_replyto ${wrongAddress}`,
      `message ${missing}`,
      'firstName too-long: must be no longer than 200 characters',
    ]);
  });

  it('leaves out hidden fields, captcha solutions and empty values', () => {
    const hidden = { _next: '/x', altcha: 'x', 'cf-turnstile-response': 'x', first_name: 'Ada', name: 'Bo' };
    expect(extraOf({ topic: 'x', ...hidden, none: null, blank: '', list: ['', ' '] })).to.deep.equal([['topic', 'x']]);
    expect(extraOf({ topic: 'x', space: ' ' })).to.deep.equal([
      ['topic', 'x'],
      ['space', ' '],
    ]);
    // A field that a form declares may have such a name.
    const form = declare({ name: 'altcha', type: 'text' }, { name: 'name', type: 'text' });
    expect(check({ altcha: 'x', name: 'Bo' }, form).content).to.deep.equal({
      name: 'Bo',
      text: '',
      extra: [['altcha', 'x']],
    });
  });

  const plain: [values: object, ...faults: string[]][] = [
    [least],
    [{}, `email ${missing}`, `message ${missing}`],
    [{ email: ' ', message: '\n' }, `email ${missing}`, `message ${missing}`],
    [{ ...least, email: 'ada@' }, `email ${wrongAddress}`],
    [{ ...least, email: ['a@b.test', 'c@d.test'] }, 'email invalid: must be one text'],
    [{ ...least, email: `${'x'.repeat(250)}@b.c` }, `email ${wrongAddress}`],
    [{ ...least, email: 'x'.repeat(255) }, 'email too-long: must be no longer than 254 characters'],
    [{ ...least, message: 'x'.repeat(10_000) }],
    [{ ...least, message: 'x'.repeat(10_001) }, 'message too-long: must be no longer than 10000 characters'],
    [{ ...least, message: '😀'.repeat(10_000) }],
    [
      { ...least, message: '\r\n'.repeat(9_999).concat('xx') },
      'message too-long: must be no longer than 10000 characters',
    ],
    [{ ...least, message: `${'\r\n'.repeat(9_999)}x` }],
    [{ ...least, message: ['x'] }, 'message invalid: must be one text'],
    [{ ...least, name: 'Ada\n' }],
    [{ ...least, name: 'A\nda' }, 'name invalid: must be one line without control characters'],
    [{ ...least, name: 'A\u2028da' }, 'name invalid: must be one line without control characters'],
    [{ ...least, name: 'A\u0085da' }, 'name invalid: must be one line without control characters'],
    [
      { ...least, name: `a\n${'x'.repeat(200)}` },
      'name too-long: must be no longer than 200 characters',
      'name invalid: must be one line without control characters',
    ],
    [{ ...least, email: filePart }, `email ${file}`],
    [{ ...least, photo: ['x', filePart] }, `photo ${file}`],
    [{ ...least, ['x'.repeat(65)]: 'x' }, `${'x'.repeat(64)} invalid: must have a name of at most 64 plain characters`],
    [{ ...least, ['x'.repeat(64)]: 'x' }],
    [{ ...least, 'a\nb': 'x' }, 'a\nb invalid: must have a name of at most 64 plain characters'],
    [{ ...least, n: 2 ** 53 }, 'n invalid: is too large a number to be kept exactly; send it as text'],
    [{ ...least, n: -(2 ** 53) }, 'n invalid: is too large a number to be kept exactly; send it as text'],
    [{ ...least, n: 2 ** 53 - 1 }],
    [{ ...least, n: 'x'.repeat(2001) }, 'n too-long: must be no longer than 2000 characters'],
    [{ ...least, n: { a: 1 } }, 'n invalid: must be one text'],
    [{ ...least, n: ['a', 1] }, 'n invalid: must be one text'],
  ];
  it('names every fault of a plain form', () => {
    for (const [values, ...faults] of plain) {
      expect(faultsIn(values), JSON.stringify(values).slice(0, 80)).to.deep.equal(faults);
    }
  });

  it('names ten files at most', () => {
    const files = Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`f${n}`, filePart]));
    expect(faultsIn({ ...least, ...files })).to.have.lengthOf(10);
    expect(extraOf({ topic: 'x' })).to.deep.equal([['topic', 'x']]);
  });

  it('takes thirty further fields, besides the declared ones', () => {
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`f${n}`, 'x']));
    const tooMany = [' too-many: there must be no more than 30 further fields'];
    expect(faultsIn({ ...least, ...many(30) })).to.deep.equal([]);
    expect(faultsIn({ ...least, ...many(31) })).to.deep.equal(tooMany);
    const form = declare({ name: 'a', type: 'text' }, { name: 'b', type: 'text' });
    expect(faultsIn({ a: 'x', ...many(32) }, form)).to.deep.equal(tooMany);
    expect(faultsIn({ a: 'x', ...many(31) }, form)).to.deep.equal([]);
  });
});

describe('checkFields: what a form requires', () => {
  const box: FormField = { name: 'terms', type: 'checkbox' };
  const table: [values: object, form: FieldRules, options: Options, ...faults: string[]][] = [
    [{}, {}, { takesAnyFields: true }, empty],
    [{ x: '1' }, {}, { takesAnyFields: true }],
    [{ x: '1' }, { requiredFields: ['topic'] }, { takesAnyFields: true }, `topic ${missing}`],
    [{ x: '1' }, { ...any, requiredFields: ['topic'] }, { takesAnyFields: true }, `topic ${missing}`],
    [
      { x: '1' },
      declare({ name: 'topic', type: 'text', required: true }),
      { takesAnyFields: true },
      `topic ${missing}`,
    ],
    [{ name: 'Ada' }, { optionalFields: ['email', 'message'] }, {}],
    [{ name: 'Ada' }, { optionalFields: ['email'] }, {}, `message ${missing}`],
    [least, { requiredFields: ['topic'] }, {}, `topic ${missing}`],
    [{ ...least, name: ' ' }, { requiredFields: ['name'] }, {}, `name ${missing}`],
    [{ ...least, first_name: 'Ada' }, { requiredFields: ['name'] }, {}],
    [{ topic: ' ', message: '\n', _next: '/x' }, any, {}, empty],
    [{ email: 'ada@' }, any, {}, `email ${wrongAddress}`],
    [{ topic: filePart }, { ...any, requiredFields: ['topic'] }, {}, `topic ${file}`],
    [{ email: filePart }, { ...any, requiredFields: ['email'] }, {}, `email ${file}`],
    [{ email: 'a@b.test' }, any, {}],
    [{ subject: 'x' }, any, {}],
    [{ message: 'x' }, any, {}],
    [{ terms: 'no' }, declare(box), {}, empty],
    [{ terms: 'yes' }, declare(box), {}],
    [{ other: 'no' }, declare(box), {}],
    [{ terms: 'no', other: 'x' }, declare(box), {}],
    [{ terms: 'no', other: 'x' }, { ...declare(box), requiredFields: ['terms'] }, {}, 'terms missing: must be ticked'],
    [{ other: 'x' }, declare({ ...box, required: true }), {}, 'terms missing: must be ticked'],
    [{ other: 'x', terms: ' ' }, declare({ ...box, required: true }), {}, 'terms missing: must be ticked'],
    [{ other: 'x', terms: 'on' }, declare({ ...box, required: true }), {}],
    [{ x: '1' }, { ...declare(box), requiredFields: ['topic'] }, {}, `topic ${missing}`],
    [{ ...least, email: 'ada@' }, { requiredFields: ['topic'] }, {}, `email ${wrongAddress}`, `topic ${missing}`],
    [{ x: 'no' }, any, {}],
    [{ topic: ['', ' '] }, { ...any, requiredFields: ['topic'] }, {}, `topic ${missing}`],
    [{ topic: ['', 'x'] }, { ...any, requiredFields: ['topic'] }, {}],
  ];
  it('is there, and always one visible field', () => {
    for (const [values, form, options, ...faults] of table) {
      expect(faultsIn(values, form, options), JSON.stringify([values, form])).to.deep.equal(faults);
    }
  });
});

describe('checkFields: declared fields', () => {
  const number = 'invalid: must be a number, like 12 or 12.5';
  const choice = 'choice: must be one of the choices';
  const fields: Record<string, FormField> = {
    text: { name: 'text', type: 'text', min: 2, max: 4 },
    message: { name: 'message', type: 'text', min: 2, max: 4 },
    plain: { name: 'plain', type: 'text' },
    email: { name: 'contact', type: 'email' },
    number: { name: 'seats', type: 'number', min: 1, max: 8.5 },
    free: { name: 'count', type: 'number' },
    choice: { name: 'dish', type: 'choice', choices: ['Fish', 'Yes, please'], min: 0 },
    unset: { name: 'dish', type: 'choice' },
    choices: { name: 'days', type: 'choices', choices: ['Fri', 'Sat', 'Sun'], min: 2, max: 2 },
    checkbox: { name: 'terms', type: 'checkbox' },
    must: { name: 'terms', type: 'checkbox', required: true },
  };
  /** What is stored, or with a colon what is wrong. */
  const table: [field: keyof typeof fields, value: unknown, expected: string | undefined][] = [
    ['text', 'A', 'range: must have at least this many characters: 2'],
    ['text', '😀', 'range: must have at least this many characters: 2'],
    ['text', '😀😀', '😀😀'],
    ['text', ' abc', ' abc'],
    ['text', 'abcde', 'too-long: must be no longer than 4 characters'],
    ['text', 'abcd', 'abcd'],
    ['text', ['a', 'b'], 'a, b'],
    ['text', { a: 1 }, 'invalid: must be one text'],
    ['text', ' ', undefined],
    ['plain', 'x'.repeat(2001), 'too-long: must be no longer than 2000 characters'],
    ['plain', 2 ** 53, 'invalid: is too large a number to be kept exactly; send it as text'],
    ['email', ' Ada@example.test ', 'Ada@example.test'],
    ['email', 'ada@', wrongAddress],
    ['email', 'x'.repeat(255), 'too-long: must be no longer than 254 characters'],
    ['number', ' 2 ', '2'],
    ['number', 1, '1'],
    ['number', 8.5, '8.5'],
    ['number', '0.99', 'range: must be at least 1'],
    ['number', '8.6', 'range: must be no more than 8.5'],
    ['number', '2,5', number],
    ['number', '0x2', number],
    ['number', '1e999', number],
    ['number', '2 3', number],
    ['free', '-9.5e-3', '-9.5e-3'],
    ['free', '+12.', '+12.'],
    ['free', '.25', '.25'],
    ['free', '1E+12', '1E+12'],
    ['free', '1e12', '1e12'],
    ['free', '.', number],
    ['free', 'x1', number],
    ['free', '1x', number],
    ['free', '1e', number],
    ['free', '0b1', number],
    ['free', 'Infinity', number],
    ['choice', 'Fish', 'Fish'],
    ['choice', ' Fish ', 'Fish'],
    ['choice', ['Yes, please'], 'Yes, please'],
    ['choice', ['Fish', 'Fish'], 'Fish'],
    ['choice', 'fish', choice],
    ['choice', ['Fish', 'Yes, please'], choice],
    ['unset', 'Fish', choice],
    ['choices', ['Fri', 'Sun', 'Fri ', ''], 'Fri, Sun'],
    ['choices', ['Fri'], 'range: must have at least this many choices: 2'],
    ['choices', ['Fri', 'Sat', 'Sun'], 'range: must have no more than this many choices: 2'],
    ['choices', ['Fri', 'Mon'], choice],
    ['checkbox', 'on', 'yes'],
    ['checkbox', true, 'yes'],
    ['checkbox', ['no', 'yes'], 'yes'],
    ['checkbox', ['no', ''], 'no'],
    ['checkbox', [null, 'yes'], 'yes'],
    ['checkbox', false, 'no'],
    ['checkbox', { a: 1 }, 'invalid: must be one text'],
    ['checkbox', ['a', { a: 1 }], 'invalid: must be one text'],
    ['must', 'off', 'missing: must be ticked'],
    ['must', 'on', 'yes'],
  ];
  it('are stored as their type says, or refused', () => {
    for (const [key, value, expected] of table) {
      const field = fields[key] as FormField;
      const about = `${key} ${JSON.stringify(value)}`.slice(0, 80);
      const faults = faultsIn({ [field.name]: value, n: 'x' }, declare(field));
      if (expected?.includes(': ')) expect(faults, about).to.deep.equal([`${field.name} ${expected}`]);
      else {
        expect(faults, about).to.deep.equal([]);
        const stored = extraOf({ [field.name]: value, n: 'x' }, declare(field));
        expect(stored.find(([name]) => name === field.name)?.[1], about).to.equal(expected);
      }
    }
  });

  it('limit known fields too, under the name that was posted', () => {
    const form = declare({ name: 'message', type: 'text', min: 2, max: 4 }, { name: 'name', type: 'text', max: 3 });
    expect(faultsIn({ message: 'x', first_name: 'Anna' }, form)).to.deep.equal([
      'message range: must have at least this many characters: 2',
      'first_name too-long: must be no longer than 3 characters',
    ]);
    expect(check({ message: 'abc', first_name: 'Ada' }, form).content).to.deep.equal({
      name: 'Ada',
      text: 'abc',
      extra: [],
    });
  });

  it('have a label in their faults', () => {
    const seats: FormField = { name: 'seats', type: 'number', label: { en: 'Seats', de: 'Plätze' } };
    const form = declare(seats, { name: 'topic', type: 'text' });
    expect(problemOf({ seats: 'x', n: 2 ** 53 }, form, { language: 'de' })?.faults).to.deep.equal([
      {
        field: 'seats',
        code: 'invalid',
        message: 'Bitte eine Zahl angeben, wie 12 oder 12.5 (mit Punkt)',
        label: 'Plätze',
      },
      {
        field: 'n',
        code: 'invalid',
        message: 'Die Zahl ist zu groß, um genau gespeichert zu werden; bitte als Text senden',
      },
    ]);
    expect(problemOf({ x: '1' }, { requiredFields: ['topic'], ...any })?.faults[0]).to.not.have.property('label');
  });

  it('find the address of the sender, and further ones', () => {
    const [a, b, c] = ['a@example.test', 'b@example.test', 'c@example.test'];
    const email = (...names: string[]): FieldRules =>
      declare(...names.map((name): FormField => ({ name, type: 'email' })));
    const pair: FieldRules = { ...email('work', 'home'), emailField: 'work' };
    const found: [values: object, form: FieldRules, address: string | undefined, others: string[]][] = [
      [{ contact: a }, email('contact'), a, []],
      [{ contact: a, email: b }, email('contact'), b, [a]],
      [{ contact: a, _replyto: b }, email('contact'), b, [a]],
      [{ x: '1' }, email('contact'), undefined, []],
      [{ work: a, home: b }, pair, a, [b]],
      [{ work: a, home: 'A@EXAMPLE.test' }, pair, a, []],
      [{ home: b, text: c }, pair, undefined, [b]],
      [{ contact: a }, any, undefined, []],
      [{ email: a, contact: b }, any, a, []],
    ];
    for (const [values, form, address, others] of found) {
      const { content, otherAddresses } = check(values, form);
      expect([content.address, otherAddresses], JSON.stringify(values)).to.deep.equal([address, others]);
      expect('address' in content).to.equal(address !== undefined);
    }
  });
});

describe('values of a post', () => {
  it('tick a box unless all of them say no', () => {
    for (const it of ['on', 'yes', true, 1, ['no', 'yes'], 'nothing', 'x no', 'I say off']) {
      expect(isTicked(it), String(it)).to.equal(true);
    }
    for (const it of ['', ' ', 'no', ' NO ', 'off', 'false', 'nein', '0', 0, false, undefined, null, [], ['no', '']]) {
      expect(isTicked(it), String(it)).to.equal(false);
    }
  });

  it('may hold a file, and show a long name cut', () => {
    expect([filePart, [filePart], ['x', filePart]].map(holdsFile)).to.deep.equal([true, true, true]);
    expect(['x', ['x'], undefined, {}].map(holdsFile)).to.deep.equal([false, false, false, false]);
    expect([nameInFault('x'.repeat(65)), nameInFault('x')]).to.deep.equal(['x'.repeat(64), 'x']);
  });
});

describe('findSuspicions', () => {
  const links = (n: number) => Array.from({ length: n }, (_, i) => `https://x${i}.test`).join(' ');
  const find = (content: object, values: object = {}) =>
    findSuspicions({ text: '', extra: [], ...content }, new Map(Object.entries(values)));
  const table: [content: object, values: object, ...found: string[]][] = [
    [{ text: links(4) }, {}],
    [{ text: links(5) }, {}, 'many-links'],
    [{ text: links(2), subject: links(2), extra: [['x', links(1)]] }, {}, 'many-links'],
    [{ text: 'HTTP://a www.a www.b WWW.9 http://b' }, {}, 'many-links'],
    [{ text: 'www. www.! xwww.a ywww.b zwww.c http:/ http http://a' }, {}],
    [{ subject: 'x [url=y]' }, {}, 'link-markup'],
    [{ text: '[url]' }, {}, 'link-markup'],
    [{ text: '[LINK=x]' }, {}, 'link-markup'],
    [{ text: '[link]' }, {}, 'link-markup'],
    [{ extra: [['x', '<a  class="x" href="y">']] }, {}, 'link-markup'],
    [{ text: `<a ${'x'.repeat(200)}href` }, {}, 'link-markup'],
    [{ text: `<a ${'x'.repeat(201)}href <a> href <ahref [urls] [links]` }, {}],
    [{ name: 'www.pills.test' }, {}, 'link-in-name'],
    [{ name: 'Ada' }, {}],
    [{}, { _gotcha: 'x' }, 'honeypot'],
    [{}, { botcheck: true }, 'honeypot'],
    [{}, { _gotcha: '', _honey: null, botcheck: false, 'bot-field': undefined }],
    [{}, { _elapsed: '1499' }, 'filled-too-fast'],
    [{}, { _elapsed: 0 }, 'filled-too-fast'],
    [{}, { _elapsed: 1500 }],
    [{}, { _elapsed: -1 }],
    [{}, { _elapsed: '' }],
    [{}, { _elapsed: 'x' }],
    [{}, { _elapsed: null }],
    [{}, { _elapsed: [5] }],
    [{}, {}],
  ];
  it('names each sign of a program, and nothing else', () => {
    for (const [content, values, ...found] of table) {
      expect(find(content, values), JSON.stringify([content, values])).to.deep.equal(found);
    }
  });
});

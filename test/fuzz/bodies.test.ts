import { expect } from 'chai';
import * as fc from 'fast-check';
import { openContent } from '../../src/services/sealed-values.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { fuzzRuns } from '../support/fuzz.ts';
import { RunningServer, temporaryFolder } from '../support/program.ts';

/** The statuses a client may get for a body; anything else is an error of ours. */
const expected = new Set([201, 303, 400, 413, 415, 422]);

/** Requests at the same time. */
const clients = 32;

/** Characters that break programs: controls, escapes, bidirectional marks, lone surrogates, emoji, SQL and HTML. */
const odd = fc.constantFrom(
  '\u0000',
  '\u0007',
  '\u001b[31m',
  '\r\n',
  '\n',
  '\t',
  '\u007f',
  '\u0085',
  '\u009b',
  '\u00a0',
  '\u00e9',
  'e\u0301',
  '\u200b',
  '\u200f',
  '\u2028',
  '\u202e',
  '\ufeff',
  '\uffff',
  '\ud800',
  '\udc00',
  '\ud83d\ude00',
  '\u{1f468}\u200d\u{1f469}',
  "'; drop table messages; --",
  '<script>alert(1)</script>',
  '{{ 7 | times: 7 }}',
  '%00',
  '%',
  '&',
  '=',
  '+',
  '\\',
  '"',
  '..',
  '__proto__',
  'https://x.test',
  'a'.repeat(3000),
);
const text = fc.oneof(
  fc.array(fc.oneof(odd, fc.string({ unit: 'binary' })), { maxLength: 8 }).map((parts) => parts.join('')),
  fc.string(),
);
const fieldName = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'email',
      'message',
      'name',
      'subject',
      '_gotcha',
      '_replyto',
      '_subject',
      '_next',
      'first_name',
      '__proto__',
      'constructor',
    ),
  },
  { weight: 1, arbitrary: text },
);
const anyValue = fc.oneof(
  { weight: 3, arbitrary: text },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<unknown> },
);

interface Body {
  type: string;
  body: string | Uint8Array;
  /** The fields that must come back if the message is stored. */
  message?: string;
}

const fields = fc.array(fc.tuple(fieldName, anyValue), { maxLength: 12 });

/** `String()` throws for an object with its own `toString` property that is not a function. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));

/** A body of the type it declares, with fields of any kind. */
const plausible: fc.Arbitrary<Body> = fields.chain((pairs) =>
  fc
    .constantFrom<(() => Body)[]>(
      () => ({ type: 'application/json', body: JSON.stringify(Object.fromEntries(pairs)) }),
      () => ({
        type: 'application/x-www-form-urlencoded',
        body: new URLSearchParams(pairs.map(([k, v]): [string, string] => [k, textOf(v)])).toString(),
      }),
      () => multipart(pairs.map(([k, v]) => [k, textOf(v)])),
    )
    .map((make) => make()),
);

/** Random values under random names. */
const nonsense: fc.Arbitrary<Body> = fc.record({
  type: fc.constantFrom(
    'application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'multipart/form-data; boundary=x',
    'text/plain',
    'application/json; charset=utf-16',
    'application/vnd.api+json',
    'application/xml',
    'nonsense',
  ),
  body: fc.oneof(fc.uint8Array({ maxLength: 400 }), fc.json(), text),
});

/** A valid body whose text is as odd as possible. */
const good: fc.Arbitrary<Body> = fc.tuple(text, fc.nat()).chain(([message, n]) => {
  const email = `fuzz${n}@example.test`;
  const whole = `.${message}.`;
  return fc
    .constantFrom<(() => Body)[]>(
      () => ({ type: 'application/json', body: JSON.stringify({ email, message: whole }), message: whole }),
      () => ({
        type: 'application/x-www-form-urlencoded',
        body: new URLSearchParams({ email, message: whole }).toString(),
        message: whole.toWellFormed(),
      }),
      () => ({
        ...multipart([
          ['email', email],
          ['message', whole],
        ]),
        message: whole.toWellFormed(),
      }),
    )
    .map((make) => make());
});

const anyBody = fc.oneof(
  { weight: 3, arbitrary: plausible },
  { weight: 2, arbitrary: nonsense },
  { weight: 2, arbitrary: good },
);

describe('twenty thousand random bodies', () => {
  let db: TestDatabase;
  let server: RunningServer;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  before(async () => {
    db = await createDatabase();
    folder = await temporaryFolder();
    const settings = { DATABASE_URL: db.url, DATA_DIR: folder.path, RATE_LIMIT: 'off', LOG_LEVEL: 'warn' };
    server = await RunningServer.start(settings, ['serve', '--no-deliver']);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  it('cause no 5xx or hang, and are stored exactly or not at all', async () => {
    const bodies = fc.sample(anyBody, fuzzRuns(20_000));
    const stored = new Map<string, string | undefined>();
    const statuses = new Map<number, number>();
    const next = bodies.values();
    await Promise.all(
      Array.from({ length: clients }, async () => {
        for (const it of next) {
          const answer = await fetch(`${server.url}/api/messages`, {
            method: 'POST',
            headers: { 'Content-Type': it.type },
            body: it.body as NonNullable<RequestInit['body']>,
            redirect: 'manual',
            signal: AbortSignal.timeout(15_000),
          });
          const body = await answer.text();
          statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
          if (!expected.has(answer.status))
            expect.fail(`${answer.status} for ${it.type} ${JSON.stringify(String(it.body))}`);
          if (answer.status === 201) stored.set(JSON.parse(body).id, it.message);
          else if (it.message !== undefined && [...it.message].length <= 10_000)
            expect.fail(`${answer.status} for a good one: ${JSON.stringify(it)}`);
        }
      }),
    );
    console.log(`    ${[...statuses].map(([status, times]) => `${status}: ${times}`).join(', ')}`);

    await using context = await openTestContext(db);
    const rows = await db.query<{ id: string; content: Buffer }>('select id, content from messages');
    expect(rows.length, 'as many rows as were answered with one').to.equal(stored.size);
    for (const row of rows) {
      expect(stored.has(row.id)).to.equal(true);
      const posted = stored.get(row.id);
      if (posted !== undefined) expect(openContent(context.keyring, row).text).to.equal(posted);
    }
    expect(server.log, 'nothing worth a warning').to.equal('');
  });
});

function multipart(pairs: (readonly [string, string])[]): Body {
  const boundary = 'fuzz-boundary-7d1e';
  const name = (text: string) => text.replaceAll(/["\r\n]/g, '').toWellFormed();
  const parts = pairs.map(
    ([key, value]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name(key)}"\r\n\r\n${value.toWellFormed()}\r\n`,
  );
  return { type: `multipart/form-data; boundary=${boundary}`, body: `${parts.join('')}--${boundary}--\r\n` };
}

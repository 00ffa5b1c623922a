import { inspect } from 'node:util';
import { expect } from 'chai';
import * as fc from 'fast-check';
import { ConfigFaulty } from '../../src/config/config.ts';
import { parseEnvFile } from '../../src/config/env-file.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { withSecretFiles } from '../../src/config/secret-files.ts';
import { type VariableName, variable, variableNames } from '../../src/config/variables.ts';
import { decodeText, TextFileFault } from '../../src/text-file.ts';
import { runHere } from '../cli/terminal.ts';
import { fuzzRuns } from '../support/fuzz.ts';
import { testKeys } from '../support/program.ts';

/** Stands in every secret, also several times between characters that could end it. */
const secret = 'zq7Kx';
const secretParts = fc
  .array(fc.constantFrom('12', '#', '/', '?', '@', ':', '%', '&', '=', ' ', ',', '[', '\\', '"', '\u00e9', secret), {
    maxLength: 6,
  })
  .map((parts) => `${secret}${parts.join('')}${secret}`);

const oddText = fc.oneof(
  fc.constantFrom(
    ...[
      '',
      ' ',
      '\t',
      '0',
      '-0',
      '-1',
      '1e3',
      '0x10',
      '1.5',
      ' 5 ',
      '00',
      'Infinity',
      'NaN',
      '٣',
      '9'.repeat(400),
      'on',
      'off',
    ],
    ...[
      'null',
      '$PORT',
      '\u0024{HOME}',
      '%',
      '\u0000',
      '\u001b[31m',
      '\u202e',
      '\ud800',
      '\u{1f600}',
      'a\nb',
      '*',
      '.',
      ',',
      ',,',
      '::1',
    ],
    ...[
      '[::1]',
      '127.1',
      'localhost:80',
      'http://',
      'https://x.test/a?b',
      'https://u:p@x.test',
      'https://:p@x.test',
      'ftp://x.test',
    ],
    ...[
      'https://x.test/a#b',
      'a@b',
      'A <a@b.test>',
      'a@b.test, a@b.test',
      '10/1m',
      '0/1m',
      '10/1y',
      'UTC',
      '+01:00',
      'Europe/Berlin',
    ],
    ...[
      '9.9.9.9:53',
      'x'.repeat(70_000),
      ':'.repeat(3000),
      'a@'.repeat(2000),
      ','.repeat(5000),
      '__proto__',
      '<b>',
      'postgres://::::@',
    ],
  ),
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'binary', maxLength: 10 }),
);

const secretShapes: Partial<Record<VariableName, readonly string[]>> = {
  DATABASE_URL: [
    ...[
      'postgresql://u:#@db.test/name',
      'postgres:u:#@db.test/name',
      'postgresql://u/#@db.test/name',
      'postgresql:///u:#@db.test/name',
      '#',
    ],
    ...[
      'postgresql://db.test/name?password=#',
      'postgresql://u:#@/name',
      'postgres://u:#@db.test:5432/n?sslmode=no',
      'http://u:#@db.test',
    ],
  ],
  REDIS_URL: [
    'redis://:#@redis.test:6379/0',
    'redis://redis.test/?password=#',
    'rediss://u:#@redis.test',
    'redis:#',
    '#',
  ],
  ALERT_URL: [
    ...[
      'ntfy+https://push.test/#',
      'https://hooks.slack.com/services/#',
      'https://discord.com/api/webhooks/1/#',
      '#',
      'slack+http://10.0.0.1/#',
    ],
    ...[
      'https://api.telegram.org/bot#/sendMessage?chat_id=1',
      'https://u:#@hooks.slack.com/a',
      'apprise+https://x.test/notify/#',
    ],
  ],
  ENCRYPTION_KEYS: ['k1:#', '#', 'k1:#,k2:#', `${testKeys},#`],
};

const anySetting = fc.constantFrom(...variableNames).chain((name): fc.Arbitrary<[VariableName, string]> => {
  const { example } = variable(name);
  const plain = fc.oneof(fc.constant(example), oddText, mutated(example));
  if (!variable(name).secret) return plain.map((value) => [name, value]);
  const shapes = fc.constantFrom(...(secretShapes[name] ?? ['#', 'aaaaaaaaaaaaaaaa#']));
  return fc
    .oneof(
      fc.tuple(shapes, secretParts).map(
        (
          [shape, parts], // The part before a colon is the name of a key, which is shown.
        ) => shape.replaceAll('#', () => (name === 'ENCRYPTION_KEYS' ? parts.replaceAll(':', '') : parts)),
      ),
      plain,
    )
    .map((value) => [name, value]);
});

function mutated(text: string): fc.Arbitrary<string> {
  return fc
    .tuple(fc.nat(text.length), fc.nat(3), oddText)
    .map(([at, removed, inserted]) => text.slice(0, at) + inserted + text.slice(at + removed));
}

const anySettings = fc
  .tuple(fc.array(anySetting, { maxLength: 8 }), fc.constantFrom('production', 'development', 'test', undefined))
  .map(([pairs, mode]) => ({ ...Object.fromEntries(pairs), ...(mode && { NODE_ENV: mode }) }));

const fullConfig = Object.keys(readConfig({}));

describe('random settings', () => {
  it('give a full configuration, or errors that name variables', () => {
    void fc.assert(
      fc.property(anySettings, (settings) => {
        const said = inTime(() => {
          try {
            const config = readConfig(settings);
            expect(Object.keys(config)).to.deep.equal(fullConfig);
            expect(config.port).to.satisfy((it: number) => Number.isInteger(it) && it >= 0 && it <= 65_535);
            expect(config.retentionDays).to.satisfy((it: number) => Number.isInteger(it) && it >= 0 && it <= 36_500);
            expect(URL.canParse(config.publicUrl) && !/[@?#]|\/$/.test(config.publicUrl), config.publicUrl).to.equal(
              true,
            );
            return `${inspect(config, { depth: 9 })}${JSON.stringify(config)}`;
          } catch (error) {
            if (!(error instanceof ConfigFaulty)) throw error;
            for (const { variable } of error.faults) expect(variableNames).to.include(variable);
            expect(error.faults).not.to.be.empty;
            return error.message;
          }
        });
        refuseSecrets(said);
      }),
      fuzzRuns(1500),
    );
  });

  it('are shown and checked without a secret or a crash', async () => {
    await fc.assert(
      fc.asyncProperty(anySettings, fc.constantFrom('show', 'check'), fc.boolean(), async (settings, command, json) => {
        const args = ['config', command, ...(json ? ['--json'] : [])];
        const { stdout, stderr, code } = await runHere(args, { url: 'embedded' }, { settings });
        expect(code).to.be.oneOf([0, 2]);
        if (code === 2 && command === 'check') expect(stderr).to.match(/^ {2}[A-Z_]+ /m);
        refuseSecrets(stdout + stderr);
        expect(stdout + stderr).not.to.match(/^ +at /m);
      }),
      fuzzRuns(300),
    );
  });

  it('in secret files are used, or named as missing', () => {
    const anyOwn = fc.oneof(fc.constantFrom('', ' ', '\t'), oddText);
    const secrets = variableNames.filter((name) => variable(name).secret);
    void fc.assert(
      fc.property(fc.constantFrom(...secrets), fc.uint8Array({ maxLength: 60 }), anyOwn, (name, bytes, own) => {
        const read = withSecretFiles({ [name]: own, [`${name}_FILE`]: '/run/x' }, (path) =>
          decodeText(Buffer.from(bytes), path),
        );
        if (own.trim() !== '')
          expect(read).to.deep.equal({ values: { [name]: own, [`${name}_FILE`]: '/run/x' }, faults: [] });
        else if (read.faults.length > 0) expect(read.faults.map((it) => it.variable)).to.deep.equal([name]);
        else expect(read.values[name]).to.equal(decodeText(Buffer.from(bytes), '').replace(/\n+$/, ''));
        for (const { wrong } of read.faults) expect(wrong).to.include('/run/x, line ');
      }),
      fuzzRuns(2000),
    );
  });
});

/** A line of a settings file, and what it sets. */
interface Line {
  text: string;
  sets?: [name: string, value: string];
}

const anyName = fc.oneof(fc.constantFrom<string>(...variableNames), fc.stringMatching(/^[A-Za-z_][\w.-]{0,8}$/));
const without = (...marks: string[]) =>
  fc
    .oneof(
      fc.string({ unit: fc.constantFrom(...'abn#=\'"`$\\ \t{}é\n'), maxLength: 12 }),
      fc.constantFrom('a'.repeat(200_000), '\u0024{HOME}', '$(id)', 'x # y', '\u2028', '\u{1f600}'),
    )
    .map((it) => marks.reduce((text, mark) => text.replaceAll(mark, ''), it));
const anyLine: fc.Arbitrary<Line> = fc.oneof(
  fc.constantFrom('', '  ', '# note', '\t# "', '#A=b').map((text) => ({ text })),
  fc
    .tuple(
      anyName,
      without('#', '\n', '"', "'", '`'),
      fc.constantFrom('', 'export ', '  '),
      fc.constantFrom('=', ' = ', '= '),
    )
    .map(
      ([name, value, before, equals]): Line => ({
        text: `${before}${name}${equals}${value}`,
        sets: [name, value.trim()],
      }),
    ),
  ...(['"', "'", '`'] as const).map((quote) =>
    fc.tuple(anyName, without(quote), fc.constantFrom('', ' ', ' # it"s')).map(([name, value, after]): Line => {
      const read = quote === '"' ? value.replaceAll('\\n', '\n') : value;
      return { text: `${name}=${quote}${value}${quote}${after}`, sets: [name, read] };
    }),
  ),
);

describe('a random .env file', () => {
  it('means what its lines say', () => {
    void fc.assert(
      fc.property(
        fc.array(anyLine, { maxLength: 8 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        (lines, end, bom) => {
          const text = lines
            .map((it) => it.text)
            .join('\n')
            .replaceAll('\n', end);
          const read = inTime(() =>
            parseEnvFile('.env', decodeText(Buffer.from((bom ? '\ufeff' : '') + text), '.env')),
          );
          const expected = lines.flatMap(({ sets }) => (sets && sets[0] !== '__proto__' ? [sets] : []));
          expect(read.values).to.deep.equal(Object.fromEntries(expected));
        },
      ),
      fuzzRuns(500),
    );
  });

  it('that was changed is read, or refused by its line without quoting it', () => {
    void fc.assert(
      fc.property(
        fc.array(anyLine, { maxLength: 5 }),
        fc.nat(),
        fc.uint8Array({ maxLength: 4 }),
        (lines, at, bytes) => {
          const text = Buffer.from(`${lines.map((it) => it.text).join('\n')}\nSMTP_PASSWORD="${secret}\n${secret}" \n`);
          const place = at % (text.length + 1);
          const file = Buffer.concat([text.subarray(0, place), bytes, text.subarray(place + (at % 3))]);
          inTime(() => {
            try {
              refuseSecrets(parseEnvFile('.env', decodeText(file, '.env')).warnings.join('\n'));
            } catch (error) {
              if (!(error instanceof TextFileFault)) throw error;
              expect(error.message).to.match(/^\.env, line \d+: [a-zA-Z0-9 =,#;-]+$/);
            }
          });
        },
      ),
      fuzzRuns(1500),
    );
  });
});

/** Far more than any of this takes. */
function inTime<T>(work: () => T): T {
  const start = performance.now();
  const result = work();
  expect(performance.now() - start, 'milliseconds').to.be.lessThan(3000);
  return result;
}

function refuseSecrets(text: string): void {
  expect(text.toLowerCase().includes(secret.toLowerCase()), text.slice(0, 3000)).to.equal(false);
}

import * as fc from 'fast-check';
import { type RawReply, type RawScript, type RawStep, rawSteps, usual } from './raw-smtp-server.ts';

const codes = (
  '211 220 220 235 250 250 251 252 334 354 354 421 450 451 452 454 500 501 502 503 504 521 530 535 538 550 551 552 ' +
  '553 554 000 099 100 199 200 299 300 399 400 499 599 600 999'
).split(' ');
const code = fc.oneof(
  fc.constantFrom(...codes),
  fc.nat(999).map((it) => String(it).padStart(3, '0')),
);
const words = fc.constantFrom('ok', 'no', '', ' ', 'a-b c', '550 5.1.1', '250', 'x'.repeat(600));

const orderly = fc.tuple(code, fc.array(words, { minLength: 1, maxLength: 4 })).map(([it, lines]): RawReply => {
  const bytes = lines.map((line, index) => `${it}${index < lines.length - 1 ? '-' : ' '}${line}\r\n`).join('');
  return { bytes };
});

const odd = fc.constantFrom(
  '\u001b[2J\u001b]0;owned\u0007',
  '\0',
  '\u00ff\u00fe',
  '\u00e2\u0080\u00ae',
  '\u00c2\u009b31m',
  '250',
  '354',
  '-',
  ' ',
  'try again in 99999 hours',
  '5.2.2 mailbox full',
  '#4.7.1',
  'x'.repeat(70_000),
  '250-'.repeat(20_000),
  '<script>',
);
const end = fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r', '', '\r\r\n', '\n\r\n', '\0\r\n');
const anyLine = fc
  .tuple(code, fc.constantFrom('-', ' ', '', '\t', '--', ' -'), fc.oneof(words, odd), end)
  .map((parts) => parts.join(''));
const anyBytes = fc
  .array(
    fc.oneof(
      anyLine,
      fc.tuple(odd, end).map((it) => it.join('')),
      fc.string({ unit: 'binary-ascii' }),
      end,
    ),
    {
      minLength: 1,
      maxLength: 5,
    },
  )
  .map((it): RawReply => ({ bytes: it.join('') }));
const flood = fc
  .constantFrom(
    '250-more\r\n',
    '250 ok\r\n',
    '354 go\r\n',
    '\r\n',
    '\n',
    'x',
    '250-',
    '\u001b[2J',
    '250-\n 250 \n',
    '421 bye\r\n',
  )
  .map((bytes): RawReply => ({ bytes, after: 'flood' }));

/** The usual reply with more behind or before it, as of a server that is out of step. */
const shifted = (step: RawStep) =>
  fc.tuple(fc.boolean(), fc.oneof(orderly, anyBytes)).map(([isBefore, { bytes }]): RawReply => {
    return { bytes: isBefore ? bytes + usual[step].bytes : usual[step].bytes + bytes };
  });
const silence = fc.constant<RawReply>({ bytes: '' });

const capability = fc.constantFrom(
  ...'SIZE,SIZE 0,SIZE 1,SIZE 99999999999999999999,SIZE -1,AUTH,AUTH PLAIN,AUTH=LOGIN,AUTH CRAM-MD5 XOAUTH2,AUTH FOO'.split(
    ',',
  ),
  ...'PIPELINING,PIPELINING,8BITMIME,SMTPUTF8,DSN,REQUIRETLS,CHUNKING,__proto__,X-\u001b[2J'.split(','),
  `AUTH${' '.repeat(20_000)}PLAIN`,
);
const ehlo = fc
  .tuple(fc.array(capability, { maxLength: 6 }), fc.constantFrom('250-', '250-', '250-', '250 '))
  .map(([lines, start]): RawReply => {
    return { bytes: `${['mail.test', ...lines].map((it) => `${start}${it}\r\n`).join('')}250 HELP\r\n` };
  });

/** Any reply to a step. */
export const anyReply = (step: RawStep): fc.Arbitrary<RawReply> =>
  fc
    .tuple(
      fc.oneof(
        { weight: 6, arbitrary: orderly },
        { weight: 2, arbitrary: fc.constant(usual[step]) },
        { weight: 3, arbitrary: anyBytes },
        { weight: 3, arbitrary: shifted(step) },
        { weight: step === 'ehlo' ? 6 : 1, arbitrary: ehlo },
        { weight: 1, arbitrary: silence },
        { weight: 1, arbitrary: flood },
      ),
      fc.array(fc.nat(80), { maxLength: 4 }),
      fc.constantFrom<RawReply['after']>(undefined, undefined, undefined, 'end', 'reset'),
    )
    .map(([it, cuts, after]): RawReply => ({ ...it, cuts, ...(after && it.after === undefined && { after }) }));

export interface SmtpCase {
  script: RawScript;
  secure: boolean;
  login: boolean;
}

/** One or two steps with answers of their own, so that the later steps are reached. */
export const anySmtpCase: fc.Arbitrary<SmtpCase> = fc
  .tuple(
    fc
      .subarray([...rawSteps], { minLength: 1, maxLength: 2 })
      .chain((steps) => fc.tuple(...steps.map((step) => anyReply(step).map((it) => [step, it] as const)))),
    fc.constantFrom(true, true, true, false),
    fc.constantFrom(false, false, true),
    fc.constantFrom(false, false, true),
  )
  .map(([replies, tls, secure, login]) => ({ script: { tls, ...Object.fromEntries(replies) }, secure, login }));

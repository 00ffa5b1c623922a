import type { ProblemCode } from '../../problems.ts';
import { bodyLimit, maxValues } from '../http/body-limits.ts';
import type { Operation, Parameter } from './document.ts';
import { ada, answersOf, bodyTypes, idempotencyKey, json, ref } from './parts.ts';

const submission: NonNullable<Operation['requestBody']> = {
  required: true,
  content: Object.fromEntries(bodyTypes.map((type) => [type, { schema: ref('Submission'), example: ada }])),
};

const slug: Parameter = {
  name: 'slug',
  in: 'path',
  required: true,
  description: 'The form’s name, as `ruffinweb forms list` shows it.',
  schema: { type: 'string', pattern: '^[a-z0-9-]{1,64}$', examples: ['contact'] },
};

/** What no post can be answered with: it concerns what only an operator asks for. */
const notOfPosts = new Set<ProblemCode>([
  'route-unknown',
  'method-not-allowed',
  'sender-unknown',
  'message-unknown',
  'email-unknown',
  'email-leased',
  'email-not-resendable',
  'argument-invalid',
  'email-not-cancellable',
  'form-exists',
  'key-required',
  'key-forbidden',
  'key-unknown',
  'token-required',
  'mailbox-locked',
]);

const captchaRefusals = new Set<ProblemCode>([
  'host-repeated',
  'host-unknown',
  'route-unknown',
  'form-unknown',
  'form-closed',
  'rate-limited',
  'unexpected',
  'database-away',
]);

export const postMessage: Operation = {
  operationId: 'postMessage',
  tags: ['Messages'],
  summary: 'Send a message to the form `contact`',
  description:
    `A body of at most ${bodyLimit / 1024} KiB and ${maxValues} values, as JSON or as a form. A message that is kept ` +
    'back because it looks like spam is answered like any other.',
  parameters: [idempotencyKey],
  requestBody: submission,
  responses: {
    201: {
      description: 'Stored. For programs, and for pages that post by script.',
      content: json('Stored', {
        id: '0197a0f2-53b1-7cc2-8a52-7d0b5c9a11de',
        receipt: 'RW-7Q2M4XK9TB',
        receivedAt: '2026-11-22T09:00:00.000Z',
      }),
    },
    303: {
      description: 'Stored. For browsers that post a form by themselves: on to `_next` or to `/thanks`.',
      headers: { Location: { description: 'Where to go on.', schema: { type: 'string' } } },
    },
    ...answersOf((code) => !notOfPosts.has(code)),
  },
};

export const postMessageToForm: Operation = {
  ...postMessage,
  operationId: 'postMessageToForm',
  summary: 'Send a message to another form',
  parameters: [slug, idempotencyKey],
};

export const getCaptcha: Operation = {
  operationId: 'getCaptcha',
  tags: ['Messages'],
  summary: 'A fresh challenge',
  description:
    'Where a form asks for the captcha of our own (`CAPTCHA=altcha`): a proof of work in the format of ALTCHA 2, for ' +
    'this form alone. Its solution goes into the field `altcha` of a post, once. `/form.js` does all of it.',
  parameters: [
    {
      name: 'form',
      in: 'query',
      description: 'The form’s name.',
      schema: { type: 'string', examples: ['contact'] },
    },
  ],
  responses: {
    200: {
      description: 'A challenge.',
      content: json('Challenge', {
        parameters: {
          algorithm: 'PBKDF2/SHA-256',
          cost: 5000,
          data: { form: 'contact' },
          expiresAt: 1795338000,
          keyLength: 32,
          keyPrefix: '00',
          nonce: '8f14e45fceea167a5a36dedd4bea2543',
          salt: 'c9f0f895fb98ab9159f51fd0297e236d',
        },
        signature: '5d41402abc4b2a76b9719d911017c592ae1f0d8a6c0f0d6f5d41402abc4b2a76',
      }),
    },
    ...answersOf((code) => captchaRefusals.has(code)),
  },
};

export const postFormspree: Operation = {
  operationId: 'postFormspree',
  tags: ['Formspree'],
  summary: 'Send a message as Formspree’s clients do',
  description:
    'For `@formspree/core`, `@formspree/ajax` and `@formspree/react`, and for plain forms made for Formspree.',
  parameters: [slug, idempotencyKey],
  requestBody: submission,
  responses: {
    200: {
      description: 'Stored.',
      content: json('FormspreeSent', { ok: true, next: 'https://forms.example.com/thanks?receipt=RW-7Q2M4XK9TB' }),
    },
    303: {
      description: 'Stored. For browsers that post a form by themselves.',
      headers: { Location: { description: 'Where to go on.', schema: { type: 'string' } } },
    },
    '4XX': {
      description: 'Refused; nothing is stored. The statuses are those of `/api/messages`.',
      content: json('FormspreeRefused', {
        errors: [
          { field: 'email', code: 'TYPE_EMAIL', message: 'must be a single e-mail address, like ada@example.com' },
        ],
      }),
    },
    '5XX': {
      description: 'Nobody knows whether it was stored; the same post again is stored once.',
      content: json('FormspreeRefused', { errors: [{ message: 'The fault is ours and was logged.' }] }),
    },
  },
};

export const getAlive: Operation = {
  operationId: 'getAlive',
  tags: ['Monitoring'],
  summary: 'Says that the server runs',
  responses: { 200: { description: 'It runs.', content: json('Alive', { status: 'ok' }) } },
};

const ready = { status: 'ok', checks: { database: 'ok', oldestDueSeconds: 0, schema: 'ok' } };
const away = { status: 'unavailable', checks: { database: 'away' } };

export const getReady: Operation = {
  operationId: 'getReady',
  tags: ['Monitoring'],
  summary: 'Says whether a message could be stored now',
  description: 'Looks at the database and its schema, and says how long the oldest due email has waited.',
  responses: {
    200: { description: 'It could.', content: json('Ready', ready) },
    503: { description: 'It could not.', content: json('Ready', away) },
  },
};

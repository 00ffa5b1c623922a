import type { ProblemCode } from '../../problems.ts';
import { bodyLimit, maxValues } from '../http/body-limits.ts';
import type { ApiAnswer, Operation, Parameter } from './document.ts';
import { ada, answer, answersOf, formBody, idempotencyKey } from './parts.ts';

const slug: Parameter = {
  name: 'slug',
  in: 'path',
  required: true,
  description: 'The form’s name, as `ruffinweb forms list` shows it.',
  schema: { type: 'string', pattern: '^[a-z0-9-]{1,64}$', examples: ['contact'] },
};

/** Codes of other routes only. */
const neverForPosts = /^(?:argument|email|key|mailbox|message|method|route|sender|token)-|^form-exists$/;

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

const redirect: ApiAnswer = {
  description: 'Stored. For browsers that post a form without script: a redirect to `_next` or to `/thanks`.',
  headers: { Location: { description: 'The page to go to.', schema: { type: 'string' } } },
};

export const postMessage: Operation = {
  operationId: 'postMessage',
  tags: ['Messages'],
  summary: 'Send a message to the form `contact`',
  description:
    `The body is JSON or a form, with at most ${bodyLimit / 1024} KiB and ${maxValues} values. A message that is held ` +
    'because it looks like spam gets the same answer as any other.',
  parameters: [idempotencyKey],
  requestBody: formBody(ada),
  responses: {
    201: answer('Stored. For programs, and for pages that post by script.', 'Stored', {
      id: '0197a0f2-53b1-7cc2-8a52-7d0b5c9a11de',
      receipt: 'RW-7Q2M4XK9TB',
      receivedAt: '2026-11-22T09:00:00.000Z',
    }),
    303: redirect,
    ...answersOf((code) => !neverForPosts.test(code)),
  },
};

export const postMessageToForm: Operation = {
  ...postMessage,
  operationId: 'postMessageToForm',
  summary: 'Send a message to another form',
  parameters: [slug, idempotencyKey],
  requestBody: formBody(ada, 'AnySubmission'),
};

export const getCaptcha: Operation = {
  operationId: 'getCaptcha',
  tags: ['Messages'],
  summary: 'Get a new captcha challenge',
  description:
    'For forms with our own captcha (`CAPTCHA=altcha`): a proof of work in the format of ALTCHA 2, valid for this form ' +
    'only. Post its solution in the field `altcha`; it is accepted once. `/form.js` does all of this.',
  parameters: [
    {
      name: 'form',
      in: 'query',
      description: 'The form’s name.',
      schema: { type: 'string', examples: ['contact'] },
    },
  ],
  responses: {
    200: answer('A challenge.', 'Challenge', {
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
    ...answersOf((code) => captchaRefusals.has(code)),
  },
};

export const postFormspree: Operation = {
  operationId: 'postFormspree',
  tags: ['Formspree'],
  summary: 'Send a message with a Formspree client',
  description:
    'For `@formspree/core`, `@formspree/ajax` and `@formspree/react`, and for plain forms made for Formspree.',
  parameters: [slug, idempotencyKey],
  requestBody: formBody(ada, 'AnySubmission'),
  responses: {
    200: answer('Stored.', 'FormspreeSent', {
      ok: true,
      next: 'https://forms.example.com/thanks?receipt=RW-7Q2M4XK9TB',
    }),
    303: redirect,
    '4XX': answer('Refused; nothing is stored. The statuses are those of `/api/messages`.', 'FormspreeRefused', {
      errors: [
        { field: 'email', code: 'TYPE_EMAIL', message: 'must be a single e-mail address, like ada@example.com' },
      ],
    }),
    '5XX': answer('The message may have been stored. Post the same again: it is stored once.', 'FormspreeRefused', {
      error: 'The fault is ours and was logged.',
      errors: [{ message: 'That did not work. The fault is on our side; please try again in a few minutes.' }],
    }),
  },
};

export const getAlive: Operation = {
  operationId: 'getAlive',
  tags: ['Monitoring'],
  summary: 'Check that the server runs',
  responses: { 200: answer('The server runs.', 'Alive', { status: 'ok' }) },
};

export const getReady: Operation = {
  operationId: 'getReady',
  tags: ['Monitoring'],
  summary: 'Check that a message could be stored now',
  description:
    'Checks the database, its schema, and after a post that could not be written also a write. Reports for how long the oldest due email and the oldest unsent notification wait.',
  responses: {
    200: answer('It could.', 'Ready', {
      status: 'ok',
      checks: { database: 'ok', oldestDueSeconds: 0, oldestQueuedSeconds: 0, queue: 'ok', schema: 'ok' },
    }),
    503: answer('It could not.', 'Ready', { status: 'unavailable', checks: { database: 'away' } }),
  },
};

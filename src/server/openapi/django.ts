import type { ApiAnswer, Operation } from './document.ts';
import { ada, bodyTypes, idempotencyKey, json, ref } from './parts.ts';

const djangoRefusals: Record<string, ApiAnswer> = {
  400: {
    description: 'Faulty fields, by their names; or a body or request that cannot be read, as `detail`.',
    content: json('DjangoUnfit', { email: ['Enter a valid email address.'] }),
  },
  '4XX': { description: 'Refused otherwise.', content: json('DjangoDetail', { detail: 'this form is closed' }) },
  '5XX': {
    description: 'Nobody knows whether it was stored; the same post again is stored once.',
    content: json('DjangoDetail', { detail: 'The fault is ours and was logged.' }),
  },
};

const djangoBody: NonNullable<Operation['requestBody']> = {
  required: true,
  content: Object.fromEntries(
    bodyTypes.map((type) => [
      type,
      {
        schema: ref('Submission'),
        example: { message: ada.message, first_name: 'Ada', email: ada.email, date: '2026-11-22' },
      },
    ]),
  ),
};

export const postDjangoSender: Operation = {
  operationId: 'postDjangoSender',
  tags: ['Django'],
  summary: 'First request of three: checks, stores nothing',
  requestBody: djangoBody,
  responses: {
    201: { description: 'Fit to be stored.', content: json('DjangoSender', { name: 'Ada', email: ada.email }) },
    ...djangoRefusals,
  },
};

export const postDjangoMessage: Operation = {
  operationId: 'postDjangoMessage',
  tags: ['Django'],
  summary: 'Second request of three: stores the message',
  parameters: [idempotencyKey],
  requestBody: djangoBody,
  responses: {
    201: {
      description: 'Stored.',
      content: json('DjangoMessage', { message: ada.message, message_sender: ada.email, date: '2026-11-22' }),
    },
    ...djangoRefusals,
  },
};

export const postDjangoSendEmail: Operation = {
  operationId: 'postDjangoSendEmail',
  tags: ['Django'],
  summary: 'Last request of three: sends nothing, since storing the message did',
  requestBody: djangoBody,
  responses: {
    202: { description: 'Whatever was posted.', content: json('DjangoDetail', { detail: 'queued' }) },
    '4XX': {
      description: 'The request names no host of this server (421), or more than one (400).',
      content: json('DjangoDetail', { detail: 'This server does not answer to that name.' }),
    },
  },
};

import type { ApiAnswer, Operation } from './openapi.ts';
import { ada, json, ref } from './openapi-parts.ts';

const djangoRefusals: Record<string, ApiAnswer> = {
  400: {
    description: 'Faulty fields.',
    content: json('DjangoFaults', { email: ['Enter a valid email address.'] }),
  },
  '4XX': { description: 'Refused otherwise.', content: json('DjangoDetail', { detail: 'this form is closed' }) },
  '5XX': {
    description: 'Nobody knows whether it was stored; the same post again is stored once.',
    content: json('DjangoDetail', { detail: 'The fault is ours and was logged.' }),
  },
};

const djangoBody: NonNullable<Operation['requestBody']> = {
  required: true,
  content: {
    'application/json': {
      schema: ref('Submission'),
      example: { message: ada.message, first_name: 'Ada', email: ada.email, date: '2026-11-22' },
    },
  },
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
  responses: { 202: { description: 'Always.', content: json('DjangoDetail', { detail: 'queued' }) } },
};

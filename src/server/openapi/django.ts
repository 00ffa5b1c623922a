import type { ApiAnswer, Operation } from './document.ts';
import { ada, answer, formBody, idempotencyKey } from './parts.ts';

const djangoRefusals: Record<string, ApiAnswer> = {
  400: answer(
    'Invalid fields, by name. If the body or the request cannot be read, the reason as `detail`.',
    'DjangoUnfit',
    { email: ['Enter a valid email address.'] },
  ),
  '4XX': answer('Refused for another reason.', 'DjangoDetail', { detail: 'this form is closed' }),
  '5XX': answer('The message may have been stored. Post the same again: it is stored once.', 'DjangoDetail', {
    detail: 'The fault is ours and was logged.',
  }),
};

const djangoBody = formBody({ message: ada.message, first_name: 'Ada', email: ada.email, date: '2026-11-22' });

export const postDjangoSender: Operation = {
  operationId: 'postDjangoSender',
  tags: ['Django'],
  summary: 'First of three requests: checks the fields and stores nothing',
  requestBody: djangoBody,
  responses: {
    201: answer('The fields are valid.', 'DjangoSender', { name: 'Ada', email: ada.email }),
    ...djangoRefusals,
  },
};

export const postDjangoMessage: Operation = {
  operationId: 'postDjangoMessage',
  tags: ['Django'],
  summary: 'Second of three requests: stores the message',
  parameters: [idempotencyKey],
  requestBody: djangoBody,
  responses: {
    201: answer('Stored.', 'DjangoMessage', { message: ada.message, message_sender: ada.email, date: '2026-11-22' }),
    ...djangoRefusals,
  },
};

export const postDjangoSendEmail: Operation = {
  operationId: 'postDjangoSendEmail',
  tags: ['Django'],
  summary: 'Last of three requests: does nothing, because the mail was queued with the message',
  requestBody: djangoBody,
  responses: {
    202: answer('Always, whatever was posted.', 'DjangoDetail', { detail: 'queued' }),
    '4XX': answer('The `Host` header names another server (421), or there are several (400).', 'DjangoDetail', {
      detail: 'This server does not answer to that name.',
    }),
  },
};

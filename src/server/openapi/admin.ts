import type { ProblemCode } from '../../problems.ts';
import { attemptOutcomes, emailKinds, emailStates, messageStatuses } from '../../words.ts';
import { type Details, deleted, found, operation } from './admin-operation.ts';
import type { OpenApi, Parameter, Schema } from './document.ts';
import { inWords, ref } from './parts.ts';

const paging = [
  query('limit', 'How many to return, up to 200.', { type: 'integer' }),
  query('cursor', 'The `next` of the previous page.'),
];
const periodAndForm = [
  query('since', 'Only from this time on: a time (RFC 3339) or a day, from the year 1970 to 9999 (UTC).'),
  query('until', 'Only before this time.'),
  query('form', 'Only for this form.'),
];
const messageFilters = [
  query('status', 'Only with this status.', { type: 'string', enum: messageStatuses }),
  query('sender', 'Only from this sender: an id. `/api/senders/search` finds it by address.'),
];
const emailFilters = [
  query('state', 'Only in this state.', { type: 'string', enum: emailStates }),
  query('kind', 'Only of this kind.', { type: 'string', enum: emailKinds }),
];

const theMessage = found('The message.', 'MessageDetails');
const theSender = found('The sender.', 'Sender');
const theEmail = found('The email.', 'EmailDetails');
const changedMessage = found('The message. Without the scope `read`, only `id` and `status`.', 'MessageDetails');
const changedSender = found('The sender. Without the scope `read`, only `id` and the two times.', 'Sender');
const changedEmail = found('The email. Without the scope `read`, only `id` and `state`.', 'EmailDetails');

/** The routes for programs with a key. */
export const adminPaths: OpenApi['paths'] = {
  '/api/messages': {
    get: operation('listMessages', 'read', 'List messages, newest first', found('A page.', 'MessagePage'), {
      description:
        'With `Accept: application/jsonl`, returns all matching messages, oldest first, one per line; this needs the scope `export`.',
      parameters: [...paging, ...periodAndForm, ...messageFilters],
      refusals: ['form-unknown', 'sender-unknown'],
    }),
  },
  '/api/messages/{id}': {
    get: operation('getMessage', 'read', 'Show a message with its emails', theMessage, ofMessage()),
    delete: operation('deleteMessage', 'write', 'Delete a message and its emails', deleted, ofMessage('email-leased')),
  },
  '/api/messages/{id}/hold': {
    post: operation(
      'holdMessage',
      'write',
      'Hold a message and its unsent mail',
      changedMessage,
      ofMessage('email-leased'),
    ),
  },
  '/api/messages/{id}/release': {
    post: operation('releaseMessage', 'write', 'Release a held message and its mail', changedMessage, ofMessage()),
  },
  '/api/senders': {
    get: operation(
      'listSenders',
      'read',
      'List senders, the most recent writer first',
      found('A page.', 'SenderPage'),
      {
        parameters: paging,
      },
    ),
  },
  '/api/senders/{id}': {
    get: operation('getSender', 'read', 'Show a sender', theSender, ofSender()),
    patch: operation('changeSender', 'write', 'Block or unblock a sender; stop or allow auto-replies', changedSender, {
      ...ofSender(),
      body: { schema: ref('SenderChange'), example: { blocked: true } },
    }),
    delete: operation('eraseSender', 'write', 'Erase a sender with all their messages and emails', deleted, {
      ...ofSender(),
      description:
        'Mail that is being sent at that moment may still arrive. A keyed hash and the time are kept, so that a restored backup erases the sender again.',
    }),
  },
  '/api/senders/{id}/export': {
    get: operation(
      'exportSender',
      'export',
      'Export everything stored about a sender',
      found('Everything.', 'SenderExport'),
      ofSender(),
    ),
  },
  '/api/senders/search': {
    post: operation('findSender', 'read', 'Find a sender by e-mail address', theSender, {
      description: 'The address is in the body because proxies log URLs.',
      body: { schema: ref('SenderSearch'), example: { email: 'ada@example.com' } },
      refusals: ['sender-unknown'],
    }),
  },
  '/api/emails': {
    get: operation('listEmails', 'read', 'List emails, newest first', found('A page.', 'EmailPage'), {
      parameters: [...paging, ...periodAndForm, ...emailFilters],
      refusals: ['form-unknown'],
    }),
  },
  '/api/emails/{id}': {
    get: operation('getEmail', 'read', 'Show an email with every attempt', theEmail, {
      ...ofEmail(),
      description: `An attempt’s outcome is ${inWords(attemptOutcomes)}.`,
    }),
  },
  '/api/emails/{id}/resend': {
    post: operation('resendEmail', 'write', 'Send an email again', found('It is queued.', 'Resent'), {
      ...ofEmail('email-leased', 'email-not-resendable'),
      body: { schema: ref('ResendRequest'), example: { again: true } },
    }),
  },
  '/api/emails/{id}/cancel': {
    post: operation(
      'cancelEmail',
      'write',
      'Cancel an email',
      changedEmail,
      ofEmail('email-leased', 'email-not-cancellable'),
    ),
  },
};

function query(name: string, description: string, schema: Schema = { type: 'string' }): Parameter {
  return { name, in: 'query', description, schema };
}

function withId(description: string, refusals: readonly ProblemCode[]): Details {
  return {
    parameters: [{ name: 'id', in: 'path', required: true, description, schema: { type: 'string' } }],
    refusals,
  };
}

function ofMessage(...refusals: ProblemCode[]): Details {
  return withId('The message’s id or receipt.', ['message-unknown', ...refusals]);
}

function ofSender(): Details {
  return withId('The sender’s id.', ['sender-unknown']);
}

function ofEmail(...refusals: ProblemCode[]): Details {
  return withId('The email’s id.', ['email-unknown', ...refusals]);
}

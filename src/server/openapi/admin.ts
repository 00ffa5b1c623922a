import type { ProblemCode } from '../../problems.ts';
import { attemptOutcomes, emailKinds, emailStates, messageStatuses } from '../../words.ts';
import { answer, id, operation, query } from './admin-operation.ts';
import type { OpenApi } from './document.ts';
import { ref } from './parts.ts';

const paging = [
  query('limit', 'How many, up to 200.', { type: 'integer' }),
  query('cursor', 'Goes on where the page before ended: its `next`.'),
];
const period = [
  query('since', 'From then on: a time (RFC 3339) or a day, of a year from 1970 to 9999 (UTC).'),
  query('until', 'Before then.'),
  query('form', 'Of this form.'),
];
const messageFilters = [
  ...period,
  query('status', 'Of this status.', { type: 'string', enum: messageStatuses }),
  query('sender', 'Of this sender: an id or an address.'),
];
const emailFilters = [
  ...period,
  query('state', 'In this state.', { type: 'string', enum: emailStates }),
  query('kind', 'Of this kind.', { type: 'string', enum: emailKinds }),
];

const senderId = [id('The sender’s id.')];
const messageId = [id('The message’s id or receipt.')];
const emailId = [id('The email’s id.')];

const bodyRefusals: ProblemCode[] = ['body-unreadable', 'body-too-large', 'body-type-unknown'];

/** The routes for programs with a key. */
export const adminPaths: OpenApi['paths'] = {
  '/api/messages': {
    get: operation(
      'listMessages',
      'read',
      'List messages, the newest first',
      { 200: answer('A page.', 'MessagePage') },
      {
        description:
          'With `Accept: application/jsonl` all that match, the oldest first, one a line; that needs the scope `export`.',
        parameters: [...paging, ...messageFilters],
        refusals: ['form-unknown', 'sender-unknown'],
      },
    ),
  },
  '/api/messages/{id}': {
    get: operation(
      'getMessage',
      'read',
      'One message with its emails',
      { 200: answer('The message.', 'MessageDetails') },
      {
        parameters: messageId,
        refusals: ['message-unknown'],
      },
    ),
    delete: operation(
      'deleteMessage',
      'write',
      'Delete a message with its emails',
      { 204: { description: 'Gone.' } },
      {
        parameters: messageId,
        refusals: ['message-unknown', 'email-leased'],
      },
    ),
  },
  '/api/messages/{id}/hold': {
    post: operation(
      'holdMessage',
      'write',
      'Keep a message back, with its unsent mail',
      { 200: answer('The message.', 'MessageDetails') },
      {
        parameters: messageId,
        refusals: ['message-unknown', 'email-leased'],
      },
    ),
  },
  '/api/messages/{id}/release': {
    post: operation(
      'releaseMessage',
      'write',
      'Let a held message go, with its mail',
      { 200: answer('The message.', 'MessageDetails') },
      {
        parameters: messageId,
        refusals: ['message-unknown'],
      },
    ),
  },
  '/api/senders': {
    get: operation(
      'listSenders',
      'read',
      'List senders, the latest writer first',
      { 200: answer('A page.', 'SenderPage') },
      {
        parameters: paging,
      },
    ),
  },
  '/api/senders/{id}': {
    get: operation(
      'getSender',
      'read',
      'One sender',
      { 200: answer('The sender.', 'Sender') },
      {
        parameters: senderId,
        refusals: ['sender-unknown'],
      },
    ),
    patch: operation(
      'changeSender',
      'write',
      'Block a sender, or let one in again; end automatic replies, or begin them again',
      { 200: answer('The sender.', 'Sender') },
      {
        parameters: senderId,
        body: { schema: ref('SenderChange'), example: { blocked: true } },
        refusals: ['sender-unknown', ...bodyRefusals],
      },
    ),
    delete: operation(
      'eraseSender',
      'write',
      'Erase a sender with all messages and their mail',
      { 204: { description: 'Gone.' } },
      {
        parameters: senderId,
        description:
          'Mail that is on its way at that moment may still arrive. A keyed hash and the time stay, so that a restored backup forgets as well.',
        refusals: ['sender-unknown'],
      },
    ),
  },
  '/api/senders/{id}/export': {
    get: operation(
      'exportSender',
      'export',
      'Everything that is held about a sender',
      { 200: answer('All of it.', 'SenderExport') },
      {
        parameters: senderId,
        refusals: ['sender-unknown'],
      },
    ),
  },
  '/api/senders/search': {
    post: operation(
      'findSender',
      'read',
      'Find the sender of an address',
      { 200: answer('The sender.', 'Sender') },
      {
        description: 'The address travels in the body, since proxies write down what stands in a URL.',
        body: { schema: ref('SenderSearch'), example: { email: 'ada@example.com' } },
        refusals: ['sender-unknown', ...bodyRefusals],
      },
    ),
  },
  '/api/emails': {
    get: operation(
      'listEmails',
      'read',
      'List emails, the newest first',
      { 200: answer('A page.', 'EmailPage') },
      {
        parameters: [...paging, ...emailFilters],
        refusals: ['form-unknown'],
      },
    ),
  },
  '/api/emails/{id}': {
    get: operation(
      'getEmail',
      'read',
      'One email with every try',
      { 200: answer('The email.', 'EmailDetails') },
      {
        description: `A try ended as ${attemptOutcomes.map((it) => `\`${it}\``).join(', ')}.`,
        parameters: emailId,
        refusals: ['email-unknown'],
      },
    ),
  },
  '/api/emails/{id}/resend': {
    post: operation(
      'resendEmail',
      'write',
      'Send an email again',
      { 200: answer('It is queued.', 'Resent') },
      {
        parameters: emailId,
        body: { schema: ref('ResendRequest'), example: { again: true } },
        refusals: ['email-unknown', 'email-leased', 'email-not-resendable', ...bodyRefusals],
      },
    ),
  },
  '/api/emails/{id}/cancel': {
    post: operation(
      'cancelEmail',
      'write',
      'Give an email up',
      { 200: answer('The email.', 'EmailDetails') },
      {
        parameters: emailId,
        refusals: ['email-unknown', 'email-leased', 'email-not-cancellable'],
      },
    ),
  },
};

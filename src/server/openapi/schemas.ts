import * as z from 'zod';
import { solutionFields } from '../../captcha/kinds.ts';
import { alwaysRequired, fieldLimits, knownFields } from '../../services/forms/fields.ts';
import { languages } from '../../words.ts';
import { problemKinds } from '../http/problem-details.ts';
import type { Schema } from './document.ts';

const meanings: Record<keyof typeof knownFields, string> = {
  email: 'The e-mail address to reply to.',
  message: 'The text.',
  name: 'The sender’s name, on one line. If it is absent, `first_name` or `firstName` is used.',
  subject: 'The subject, on one line.',
};

/** Fields that are not stored as extra fields: instructions, and other names of known fields. */
const instructions: Record<string, string> = {
  first_name: 'Used as `name` if that is absent.',
  firstName: 'Used as `name` if that is absent.',
  _replyto: 'Used as `email` if that is absent.',
  _subject: 'Used as `subject` if that is absent.',
  _next: 'The page that a browser without script goes to after a post. Its origin must be allowed.',
  _redirect: 'Used as `_next` if that is absent.',
  _gotcha: 'A trap for robots: hide it and leave it empty. `_honey`, `bot-field` and `botcheck` are traps too.',
  _honey: 'Another name of `_gotcha`.',
  _charset_:
    'As a hidden field, the browser fills in the encoding of the page. Multipart and urlencoded are read in it.',
  _language: 'The language of the page, for forms that follow it; `/form.js` sets it.',
  _elapsed: 'Milliseconds since the form was shown; `/form.js` sets it. A time too short for a person looks like spam.',
  ...Object.fromEntries(
    Object.entries(solutionFields).map(([kind, name]) => [
      name,
      kind === 'altcha'
        ? 'The solution of a challenge from `/api/captcha`, if the form has that captcha.'
        : `The solution from the widget of ${kind}, if the form has that captcha.`,
    ]),
  ),
};

/** The body of a post: what `checkFields` accepts, with its limits. A form may require other fields. */
export function submissionSchema(required: readonly string[] = alwaysRequired): Schema {
  const known = Object.entries(knownFields).map(([name, { limit }]): [string, Schema] => [
    name,
    {
      type: 'string',
      description: meanings[name as keyof typeof meanings],
      maxLength: limit,
      ...(name === 'email' && { format: 'email' }),
    },
  ]);
  const others = Object.entries(instructions).map(([name, description]) => [name, { type: 'string', description }]);
  return {
    type: 'object',
    ...(required.length > 0 && { required: [...required] }),
    properties: Object.fromEntries([...known, ...others]),
    additionalProperties: {
      type: ['string', 'number', 'boolean', 'null', 'array'],
      items: { type: 'string' },
      maxLength: fieldLimits.extraValue,
      description:
        `Up to ${fieldLimits.extraFields} extra fields are stored; their names have at most ${fieldLimits.extraName} ` +
        'characters. If a name has several texts, or a list of texts, they are joined with commas.',
    },
  };
}

export const receipt = z
  .string()
  .regex(/^RW-[0-9A-HJKMNP-TV-Z]{10}$/)
  .describe('The short reference of this message that visitor, owner and operator see.');

const text = z.string();
const detail = z.object({ detail: text });

const answerShapes = {
  Stored: z.object({
    id: z.uuid().describe('The message’s id.'),
    receipt,
    receivedAt: z.iso.datetime().describe('When it was stored.'),
  }),
  Problem: z.looseObject({
    type: text.describe('`urn:ruffinweb:problem:` and the code.'),
    title: text.describe('This kind of problem, in words.'),
    status: z.int().describe('The HTTP status.'),
    detail: text.describe('What is wrong with this request.'),
    code: z
      .enum(problemKinds.map((it) => it.code))
      .describe('The kind of problem, for programs. Releases do not change it.'),
    requestId: text.describe('Also in the header `X-Request-Id` and in the server’s log.'),
    errors: z
      .array(
        z.object({
          field: text.describe('The field’s name; empty if the whole post is wrong.'),
          code: z.enum(['missing', 'too-long', 'invalid', 'too-many', 'file', 'choice', 'range']),
          message: text.describe('What is wrong, to be read after the field’s name or label.'),
          label: text.optional().describe('For people, if the form declares the field.'),
        }),
      )
      .optional()
      .describe('Every invalid field, with `fields-invalid`.'),
    visitor: z
      .object({ language: z.enum(languages), text: text.describe('Sentences to show.') })
      .optional()
      .describe('After a post: what to tell the visitor, in the language of the form.'),
  }),
  Challenge: z.looseObject({
    parameters: z
      .looseObject({
        algorithm: text.describe('`SHA-256` or `PBKDF2/SHA-256`, or the same with 384 or 512.'),
        nonce: text,
        salt: text,
        cost: z.int(),
        keyLength: z.int(),
        keyPrefix: text,
        expiresAt: z.int().optional(),
      })
      .describe('What to solve. Send it back unchanged.'),
    signature: text,
  }),
  FormspreeSent: z.looseObject({ ok: z.literal(true), next: text.describe('The page to send the visitor to.') }),
  FormspreeRefused: z.looseObject({
    error: text.optional(),
    errors: z.array(z.looseObject({ field: text.optional(), code: text.optional(), message: text })),
  }),
  DjangoSender: z.object({ name: text, email: text }),
  DjangoMessage: z.object({ message: text, message_sender: text, date: text }),
  DjangoUnfit: z.xor([
    z.record(text, z.array(text)).describe('Each invalid field with what is wrong with it.'),
    detail,
  ]),
  DjangoDetail: detail,
  Alive: z.object({ status: z.literal('ok') }),
  Ready: z.object({
    status: z.enum(['ok', 'unavailable']),
    checks: z.record(text, z.union([text, z.number()])).describe('The result of each check.'),
  }),
};

export function answerSchemas(): Record<string, Schema> {
  return schemasOf(answerShapes);
}

export function schemasOf(shapes: Record<string, z.ZodType>): Record<string, Schema> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const { $schema, ...schema } = z.toJSONSchema(shape);
      return [name, schema as Schema];
    }),
  );
}

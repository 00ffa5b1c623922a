import * as z from 'zod';
import { captchaKinds } from '../../../captcha/kinds.ts';
import { alwaysRequired } from '../fields.ts';
import { newSlug, slugRule } from '../forms.ts';
import type { FormSettings } from '../read-settings.ts';
import { fieldsSchema, languageSchema, routesSchema, wordsSchema } from '../settings-schema.ts';

const list = z.array(z.string());
const count = z.int().min(0);

/** The settings of a form in a file, in the order in which they are written. `readSettings` checks them further. */
export const settingSchemas = {
  name: z.string().describe('In notifications and on pages for visitors. Without it, the slug.'),
  recipients: list.describe('Who is notified about its messages. Without it, NOTIFY_TO.'),
  routes: routesSchema.describe("Messages with this value in this field are for these recipients, not the form's."),
  autoReply: z.boolean().describe('Whether senders get an automatic reply. Without it, AUTO_REPLY.'),
  captcha: z.enum(captchaKinds).describe('Which captcha visitors solve. Without it, CAPTCHA.'),
  origins: list.describe('The sites whose pages may post. Without it, ALLOWED_ORIGINS.'),
  redirectUrl: z.string().describe('Where browsers without script go after a post. Without it, our thank-you page.'),
  fields: fieldsSchema.describe('The fields of the form; any takes whatever comes.'),
  emailField: z.string().describe("Which of several fields of type email is the sender's address."),
  requiredFields: list.describe('Required fields besides email and message.'),
  optionalFields: z.array(z.enum(alwaysRequired)).describe('Which of email and message may be missing.'),
  language: languageSchema.describe('Of its mails and pages; auto follows the page. Without it, LANGUAGE.'),
  words: wordsSchema.describe('Texts of your own. {receipt}, {form} and {site} stand for values.'),
  closesAt: z.string().describe('When it stops accepting messages, in TIME_ZONE, such as 2026-12-24T18:00.'),
  messageLimit: z.int().min(1).describe('How many messages it accepts.'),
  closedText: z.string().describe('What visitors are told when it is closed or full.'),
  closed: z.boolean().describe('Whether it accepts no messages.'),
  retentionDays: count.describe('How many days its messages are kept, 0 for ever. Without it, RETENTION_DAYS.'),
  notifyLimit: count.describe('Notifications an hour for each recipient, 0 for no limit. Without it, 60.'),
} as const satisfies Record<keyof FormSettings | 'closed', z.ZodType>;

export type Setting = keyof typeof settingSchemas;
export const settingNames = Object.keys(settingSchemas) as Setting[];

/** The whole file. @param form what may stand below a slug. */
export function fileSchema<Schema extends z.ZodType>(form: Schema) {
  const error = 'must be a map, with the settings of each form by its slug below "forms:"';
  const slug = z.string().regex(newSlug, { error: `cannot be a slug: ${slugRule}` });
  return z.strictObject({ forms: z.record(slug, form, { error }).describe('Every form by its slug.') }, { error });
}

/** The JSON Schema of the file, for editors. */
export function formFileJsonSchema(): object {
  const form = z.strictObject(settingSchemas).partial().nullable();
  return z.toJSONSchema(fileSchema(form).meta({ title: 'Forms of ruffinweb-backend' }), { io: 'input' });
}

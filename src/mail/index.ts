import { createFileMailer } from './file-mailer.ts';
import type { Mailer } from './mailer.ts';
import { createSmtpMailer, type SmtpOptions } from './smtp/smtp-mailer.ts';

export {
  type AutoReplyContent,
  composeAutoReply,
  composeHeldSummary,
  composeNotification,
  composeTest,
  type Envelope,
  type NotificationContent,
} from './compose/compose.ts';
export { type TemplateKind, templateKinds } from './compose/template-variables.ts';
export { openTemplates, TemplateFault, type Templates } from './compose/templates.ts';
export type { Mail, Mailer, Outcome, Result, SendOptions, Step, StepName, Walk } from './mailer.ts';
export { results } from './mailer.ts';
export { helloNameFor } from './smtp/hello-name.ts';
export { cleanReply } from './smtp/reply.ts';
export { type Security, securityFor } from './smtp/security.ts';
export type { SmtpOptions } from './smtp/smtp-mailer.ts';

/** SMTP where it is configured, otherwise `.eml` files in the folder. */
export function createMailer(options: { smtp?: SmtpOptions; folder: string }): Mailer {
  return options.smtp ? createSmtpMailer(options.smtp) : createFileMailer(options.folder);
}

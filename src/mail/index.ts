import { createFileMailer } from './files.ts';
import type { Mailer } from './mailer.ts';
import { createSmtpMailer, type SmtpOptions } from './smtp.ts';

export { isPlainAddress, readMailbox } from './addresses.ts';
export {
  type AutoReplyContent,
  composeAutoReply,
  composeHeldSummary,
  composeNotification,
  composeTest,
  type Envelope,
  type NotificationContent,
} from './compose.ts';
export { helloNameFor } from './hello-name.ts';
export type { Mail, Mailer, Outcome, Result, SendOptions, Step, StepName, Walk } from './mailer.ts';
export { results } from './mailer.ts';
export { cleanReply } from './reply.ts';
export { isLoopback, type Security, securityFor } from './security.ts';
export type { SmtpOptions } from './smtp.ts';
export { openTemplates, TemplateFault, type TemplateKind, type Templates, templateKinds } from './templates.ts';

/** SMTP where it is configured, otherwise `.eml` files in the folder. */
export function createMailer(options: { smtp?: SmtpOptions; folder: string }): Mailer {
  return options.smtp ? createSmtpMailer(options.smtp) : createFileMailer(options.folder);
}

// biome-ignore lint/correctness/noUnusedImports: it names the property that the types of `em.create` look at
import { defineEntity, type OptionalProps, p } from '@mikro-orm/core';
import { captchaKinds } from '../captcha/kinds.ts';

const FormSchema = defineEntity({
  name: 'Form',
  tableName: 'forms',
  properties: {
    id: p.uuid().primary(),
    /** What stands in the address of the form: `/api/forms/{slug}/messages`. */
    slug: p.string().length(64).unique(),
    /** What the operator calls it; empty for its slug. */
    name: p.text().nullable(),
    /** Who is told of a new message; empty means as `NOTIFY_TO` says. */
    recipients: p.array().columnType('text[]').nullable(),
    /** Whether the sender gets an automatic reply; empty means as `AUTO_REPLY` says. */
    autoReply: p.boolean().nullable(),
    /** Empty means as `CAPTCHA` says. */
    captcha: p.enum(captchaKinds).nullable(),
    /** The origins whose pages may post; empty means as `ALLOWED_ORIGINS` says. */
    origins: p.array().columnType('text[]').nullable(),
    /** Where browsers without script go after a post; empty for our own page. */
    redirectUrl: p.text().nullable(),
    /** Fields that must be there beside `email` and `message`. */
    requiredFields: p.array().columnType('text[]').nullable(),
    /** How many days its messages are kept, 0 for ever; empty means as `RETENTION_DAYS` says. */
    retentionDays: p.integer().nullable(),
    closedAt: p.datetime(3).nullable(),
    createdAt: p.datetime(3).defaultRaw('now()'),
    /** Another one after each change, whoever made it: PostgreSQL's own mark of the transaction that wrote the row. */
    version: p.string().formula((row) => `${row}.xmin::text`),
  },
});

/** One public form. Its empty settings mean "as the environment says". */
export class Form extends FormSchema.class {
  /** For the types of `em.create` alone: what is worked out is not given. */
  declare [OptionalProps]?: 'isOpen' | 'version';

  get isOpen(): boolean {
    return this.closedAt == null;
  }

  close(now: Date): void {
    this.closedAt ??= now;
  }

  reopen(): void {
    this.closedAt = null;
  }
}

FormSchema.setClass(Form);

// biome-ignore lint/correctness/noUnusedImports: it names the property that the types of `em.create` look at
import { defineEntity, type OptionalProps, p } from '@mikro-orm/core';
import { captchaKinds } from '../captcha/kinds.ts';
import { type FieldType, formLanguages, type Translated } from '../words.ts';

/** A field that a form declares. */
export interface FormField {
  name: string;
  /** For people; empty means that it is made from the name. */
  label?: Translated | undefined;
  type: FieldType;
  required?: boolean | undefined;
  /** For a text in characters, for choices how many; else the value of the number. */
  min?: number | undefined;
  max?: number | undefined;
  /** Only these may be chosen. */
  choices?: readonly string[] | undefined;
}

/** Messages with this value in this field are for these owners instead of the form's. */
export interface FormRoute {
  field: string;
  value: string;
  to: readonly string[];
}

/** Texts of the operator's own, in place of ours. `{receipt}`, `{form}` and `{site}` stand for values. */
export interface FormWords {
  autoReplySubject?: Translated | undefined;
  autoReplyText?: Translated | undefined;
  /** May also contain `{sender}`. */
  notificationSubject?: Translated | undefined;
  thanksHeading?: Translated | undefined;
  thanksText?: Translated | undefined;
}

const FormSchema = defineEntity({
  name: 'Form',
  tableName: 'forms',
  properties: {
    id: p.uuid().primary(),
    /** The form's name in URLs: `/api/forms/{slug}/messages`. */
    slug: p.string().length(64).unique(),
    /** The operator's name for the form; empty means the slug. */
    name: p.text().nullable(),
    /** Who is notified about a new message; empty means `NOTIFY_TO`. */
    recipients: p.array().columnType('text[]').nullable(),
    /** Whether the sender gets an automatic reply; empty means `AUTO_REPLY`. */
    autoReply: p.boolean().nullable(),
    /** Empty means `CAPTCHA`. */
    captcha: p.enum(captchaKinds).nullable(),
    /** Origins whose pages may post; empty means `ALLOWED_ORIGINS`. */
    origins: p.array().columnType('text[]').nullable(),
    /** Where browsers without JavaScript go after a post; empty means our own page. */
    redirectUrl: p.text().nullable(),
    /** Required fields besides `email` and `message`, or besides the declared ones. */
    requiredFields: p.array().columnType('text[]').nullable(),
    /** Which of `email` and `message` may be missing. */
    optionalFields: p.array().columnType('text[]').nullable(),
    /** The fields that the form declares, or `any`: whatever comes. Empty means `email`, `message` and others as text. */
    fields: p.json<'any' | FormField[]>().nullable(),
    /** Which of several fields of type `email` is the sender's address. */
    emailField: p.text().nullable(),
    routes: p.json<FormRoute[]>().nullable(),
    /** From then on it accepts nothing. */
    closesAt: p.datetime(3).nullable(),
    /** How many messages it accepts, held ones included. */
    messageLimit: p.integer().nullable(),
    /** What visitors are told when it is closed or full. */
    closedText: p.text().nullable(),
    /** Empty means `LANGUAGE`. */
    language: p.enum(formLanguages).nullable(),
    words: p.json<FormWords>().nullable(),
    /** How many days its messages are kept, 0 for ever; empty means `RETENTION_DAYS`. */
    retentionDays: p.integer().nullable(),
    /** How many notifications an hour each owner gets, 0 for no limit; empty means 60. */
    notifyLimit: p.integer().nullable(),
    closedAt: p.datetime(3).nullable(),
    createdAt: p.datetime(3).defaultRaw('now()'),
    /** Different after every change: PostgreSQL's id of the transaction that wrote the row. */
    version: p.string().formula((row) => `${row}.xmin::text`),
  },
});

/** One public form. An empty setting means the environment's. */
export class Form extends FormSchema.class {
  /** Only for the types of `em.create`: computed properties are not given. */
  declare [OptionalProps]?: 'version';

  isOpenAt(now: Date): boolean {
    return this.closedAt == null && (this.closesAt == null || now < this.closesAt);
  }

  close(now: Date): void {
    this.closedAt ??= now;
  }

  reopen(): void {
    this.closedAt = null;
  }
}

FormSchema.setClass(Form);

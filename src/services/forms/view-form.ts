import type { Form } from '../../entities/index.ts';
import type { Scope } from '../scope.ts';
import { captchaOf, notifyLimitOf, ownersOf, retentionOf } from './effective-settings.ts';
import { requiredOf, senderFieldOf } from './fields.ts';
import { defaultFormSlug } from './forms.ts';

export type FormView = ReturnType<typeof viewForm>;

/** How many more messages a form accepts; null without a limit. */
export function leftOf(limit: number | null, messages: number): number | null {
  return limit === null ? null : Math.max(0, limit - messages);
}

/** A form as the command line shows it. Times are ISO 8601 in UTC. @param left of its limit, if it has one. */
export function viewForm(scope: Scope, form: Form, left: number | null = null) {
  const { config } = scope;
  return {
    id: form.id,
    slug: form.slug,
    name: form.name ?? null,
    state: form.isOpenAt(scope.now()) ? ('open' as const) : ('closed' as const),
    /** The URL to post to. */
    address: `${config.publicUrl}${form.slug === defaultFormSlug ? '/api/messages' : `/api/forms/${form.slug}/messages`}`,
    recipients: form.recipients ?? null,
    autoReply: form.autoReply ?? null,
    captcha: form.captcha ?? null,
    redirectUrl: form.redirectUrl ?? null,
    requiredFields: form.requiredFields ?? null,
    optionalFields: form.optionalFields ?? null,
    fields: form.fields ?? null,
    emailField: form.emailField ?? null,
    routes: form.routes ?? null,
    closesAt: form.closesAt?.toISOString() ?? null,
    messageLimit: form.messageLimit ?? null,
    /** How many more messages it accepts; null without a limit. */
    left,
    closedText: form.closedText ?? null,
    language: form.language ?? null,
    words: form.words ?? null,
    origins: form.origins ?? null,
    retentionDays: form.retentionDays ?? null,
    notifyLimit: form.notifyLimit ?? null,
    /** The settings that apply, including the environment's. */
    effective: {
      recipients: ownersOf(config, form),
      autoReply: form.autoReply ?? config.autoReply,
      captcha: captchaOf(scope, form),
      retentionDays: retentionOf(config, form),
      notifyLimit: notifyLimitOf(form),
      language: form.language ?? config.language,
      requiredFields: requiredOf(form),
      emailField: senderFieldOf(form) ?? null,
    },
    createdAt: form.createdAt.toISOString(),
    closedAt: form.closedAt?.toISOString() ?? null,
  };
}

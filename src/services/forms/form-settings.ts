import { eachAddressOnce } from '../../address.ts';
import { type CaptchaKind, captchaKinds } from '../../captcha/kinds.ts';
import { Form } from '../../entities/index.ts';
import { readOrigin } from '../../network/origin.ts';
import { Problem } from '../../problems.ts';
import { newId } from '../ids.ts';
import { readRecipient } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { captchaOf, notifyLimitOf, ownersOf, retentionOf } from './effective-settings.ts';
import { alwaysRequired, fieldLimits } from './fields.ts';
import { defaultFormSlug, findForm } from './forms.ts';

/** The settings of a form. Null means the environment's setting, if there is one. */
export interface FormSettings {
  name: string | null;
  recipients: readonly string[] | null;
  autoReply: boolean | null;
  captcha: CaptchaKind | null;
  redirectUrl: string | null;
  requiredFields: readonly string[] | null;
  /** Origins whose pages may post. Our own pages may always post. */
  origins: readonly string[] | null;
  /** How many days messages are kept; 0 means for ever. */
  retentionDays: number | null;
  /** How many notifications an hour each owner gets; 0 means no limit. */
  notifyLimit: number | null;
}

/** Every form, in alphabetical order. */
export async function listForms(scope: Scope): Promise<FormView[]> {
  const forms = await scope.em.find(Form, {}, { orderBy: { slug: 'asc' } });
  return forms.map((form) => viewForm(scope, form));
}

/** @throws {Problem} form-unknown */
export async function showForm(scope: Scope, slug: string): Promise<FormView> {
  return viewForm(scope, await requireForm(scope, slug));
}

/** @throws {Problem} form-exists, argument-invalid */
export async function addForm(scope: Scope, slug: string, settings: Partial<FormSettings>): Promise<FormView> {
  await requireFreeSlug(scope, slug);
  const form = scope.em.create(Form, { id: newId(), slug, createdAt: scope.now(), ...readSettings(scope, settings) });
  await scope.em.flush();
  return viewForm(scope, form);
}

/**
 * Changes the given settings and leaves the others.
 *
 * @throws {Problem} form-unknown, form-exists, argument-invalid
 */
export async function changeForm(
  scope: Scope,
  slug: string,
  changes: Partial<FormSettings> & { slug?: string; open?: boolean },
): Promise<FormView> {
  const { slug: newSlug, open, ...settings } = changes;
  const form = await requireForm(scope, slug);
  if (newSlug !== undefined && newSlug !== slug) {
    if (slug === defaultFormSlug) {
      throw new Problem('argument-invalid', `"${slug}" keeps its slug, because /api/messages posts to it`);
    }
    await requireFreeSlug(scope, newSlug);
    form.slug = newSlug;
  }
  Object.assign(form, readSettings(scope, settings));
  if (open === true) form.reopen();
  if (open === false) form.close(scope.now());
  await scope.em.flush();
  return viewForm(scope, form);
}

async function requireForm(scope: Scope, slug: string): Promise<Form> {
  const form = await findForm(scope, slug);
  if (form === null) throw new Problem('form-unknown', `there is no form "${slug}"`);
  return form;
}

async function requireFreeSlug(scope: Scope, slug: string): Promise<void> {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/.test(slug)) {
    throw new Problem('argument-invalid', `"${slug}" cannot be a slug: use up to 64 lower-case letters, digits and -`);
  }
  if ((await scope.em.count(Form, { slug })) > 0) throw new Problem('form-exists', `the form "${slug}" already exists`);
}

/** The given settings, as they are stored. @throws {Problem} argument-invalid */
function readSettings(scope: Scope, settings: Partial<FormSettings>) {
  const { name, recipients, autoReply, captcha, redirectUrl, requiredFields, origins, retentionDays, notifyLimit } =
    settings;
  return {
    ...(name !== undefined && { name: name?.trim() ? readName(name.trim()) : null }),
    ...(recipients !== undefined && {
      recipients: recipients?.length ? eachAddressOnce(recipients.map(readRecipient)) : null,
    }),
    ...(autoReply !== undefined && { autoReply }),
    ...(captcha !== undefined && { captcha: captcha === null ? null : readCaptcha(scope, captcha) }),
    ...(redirectUrl !== undefined && { redirectUrl: redirectUrl === null ? null : readRedirect(redirectUrl) }),
    ...(requiredFields !== undefined && {
      requiredFields: requiredFields?.length ? readRequired(requiredFields) : null,
    }),
    ...(origins !== undefined && { origins: origins?.length ? [...new Set(origins.map(requireOrigin))] : null }),
    ...(retentionDays !== undefined && { retentionDays: retentionDays === null ? null : readDays(retentionDays) }),
    ...(notifyLimit !== undefined && { notifyLimit: notifyLimit === null ? null : readNotifyLimit(notifyLimit) }),
  };
}

function readName(name: string): string {
  if (name.length <= 100) return name;
  throw new Problem('argument-invalid', 'a name has at most 100 characters');
}

function readCaptcha({ config }: Scope, kind: CaptchaKind): CaptchaKind {
  if (!captchaKinds.includes(kind)) {
    throw new Problem('argument-invalid', `"${kind}" is not a captcha: choose ${captchaKinds.join(', ')}`);
  }
  if (kind === 'none' || kind === 'altcha' || kind === config.captcha.kind) return kind;
  throw new Problem('argument-invalid', `${kind} has no keys here: set CAPTCHA=${kind} and its keys first`);
}

function readRedirect(text: string): string {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.href;
  throw new Problem('argument-invalid', `"${text}" is not an http or https URL`);
}

function readField(text: string): string {
  const name = text.trim();
  const isPlain = name.length <= fieldLimits.extraName && /^[^\p{Cc}\p{Zl}\p{Zp}]+$/u.test(name);
  if (isPlain && !name.startsWith('_')) return name;
  throw new Problem('argument-invalid', `"${text}" cannot be a field: use up to 64 characters, and no _ at the start`);
}

/** Leaves out the fields that every form requires. */
function readRequired(texts: readonly string[]): string[] | null {
  const names = new Set(texts.map(readField)).difference(new Set(alwaysRequired));
  return names.size > 0 ? [...names] : null;
}

function requireOrigin(text: string): string {
  const origin = readOrigin(text.trim());
  if (origin !== undefined) return origin;
  throw new Problem('argument-invalid', `"${text}" is not an origin: use https:// and a host, with nothing after it`);
}

function readDays(days: number): number {
  if (Number.isInteger(days) && days >= 0 && days <= 36_500) return days;
  throw new Problem('argument-invalid', 'retention is a whole number of days up to 36500; 0 means for ever');
}

function readNotifyLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 0 && limit <= 1_000_000) return limit;
  throw new Problem('argument-invalid', 'the limit on notifications is a whole number up to 1000000; 0 means no limit');
}

export type FormView = ReturnType<typeof viewForm>;

/** A form as the command line shows it. Times are ISO 8601 in UTC. */
function viewForm(scope: Scope, form: Form) {
  const { config } = scope;
  return {
    id: form.id,
    slug: form.slug,
    name: form.name ?? null,
    state: form.isOpen ? ('open' as const) : ('closed' as const),
    /** The URL to post to. */
    address: `${config.publicUrl}${form.slug === defaultFormSlug ? '/api/messages' : `/api/forms/${form.slug}/messages`}`,
    recipients: form.recipients ?? null,
    autoReply: form.autoReply ?? null,
    captcha: form.captcha ?? null,
    redirectUrl: form.redirectUrl ?? null,
    requiredFields: form.requiredFields ?? null,
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
    },
    createdAt: form.createdAt.toISOString(),
    closedAt: form.closedAt?.toISOString() ?? null,
  };
}

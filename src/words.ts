// The lists of words that rows, JSON, metrics, options and help share. No imports, so that help starts fast.

/**
 * `notification` goes to an owner, `auto-reply` to the sender; `held-summary` lists held messages for an owner. A `reply` was
 * written by an operator, and goes to the sender or as a copy to an owner.
 */
export const emailKinds = ['notification', 'auto-reply', 'held-summary', 'reply'] as const;
export type EmailKind = (typeof emailKinds)[number];

/** Not sent again unless an operator asks, if nobody knows whether it was sent: it would bother a stranger twice. */
export const atMostOnceKinds: readonly EmailKind[] = ['auto-reply', 'reply'];

export const emailStates = ['queued', 'sent', 'failed', 'cancelled', 'held'] as const;
export type EmailState = (typeof emailStates)[number];

/**
 * Why an email was given up. Failed: the mail server refused it for good, the retry schedule ended, or it may have arrived
 * and must not arrive twice. Cancelled when it was due: the recipient does not want the auto-reply, it would come too late,
 * or the messages of a summary are no longer held. Cancelled at once: a digest names its message instead.
 */
export const failureReasons = [
  'refused',
  'schedule-ended',
  'outcome-unknown',
  'unwanted',
  'too-late',
  'nothing-held',
  'digest',
] as const;
export type FailureReason = (typeof failureReasons)[number];

/**
 * How an attempt ended. `refused`: for good. `later`: not now. `unknown`: the connection or the worker was lost after the mail
 * server may have accepted the email. `broken`: the fault is in our transport (login, TLS, DNS), not in this email. `away`:
 * no mail server answers.
 */
export const attemptOutcomes = ['accepted', 'refused', 'later', 'unknown', 'broken', 'away'] as const;
export type AttemptOutcome = (typeof attemptOutcomes)[number];

/** What a hook is: an address for signed webhooks, or the incoming address of a chat or push service. */
export const presetKinds = ['slack', 'discord', 'telegram', 'ntfy', 'apprise'] as const;
export type PresetKind = (typeof presetKinds)[number];
export const hookKinds = ['webhook', ...presetKinds] as const;
export type HookKind = (typeof hookKinds)[number];

/** What can happen that a hook is told about. */
export const hookEvents = ['message.accepted', 'message.held', 'message.released', 'email.failed'] as const;
export type HookEvent = (typeof hookEvents)[number];

/**
 * `active` hooks are told about new events. For `paused` ones deliveries wait. `untested` hooks never answered a test, `gone`
 * ones said that nobody is there any more (HTTP 410): for both no new deliveries are stored.
 */
export const hookStates = ['active', 'paused', 'untested', 'gone'] as const;
export type HookState = (typeof hookStates)[number];

export const deliveryStates = ['queued', 'sent', 'failed', 'cancelled'] as const;
export type DeliveryState = (typeof deliveryStates)[number];

/** A form's name in URLs. */
export const slugPattern = /^[a-z0-9-]{1,64}$/;

/** What a form's field may hold. */
export const fieldTypes = ['text', 'email', 'number', 'choice', 'choices', 'checkbox'] as const;
export type FieldType = (typeof fieldTypes)[number];

/** Languages of mails and of pages for visitors: each has a catalogue in `languages/`. */
export const languages = ['en', 'de'] as const;
export type Language = (typeof languages)[number];

/** An operator's text: one for all languages, or one for each. */
export type Translated = string | Readonly<Partial<Record<Language, string>>>;

/** `auto` is the language of the page that the form is on. */
export const formLanguages = [...languages, 'auto'] as const;
export type FormLanguage = (typeof formLanguages)[number];

/** `held`: kept back with its emails, because it looks like spam. */
export const messageStatuses = ['accepted', 'held'] as const;
export type MessageStatus = (typeof messageStatuses)[number];

/**
 * Why a message gets no auto-reply. The form sends none; the message was held, or has no address; mail to the address would
 * reach a program or a list; the mailbox's owner wants none, or got one within a day; or the hourly limit of the form, the client's network or
 * the recipient's domain was reached.
 */
export const noReplyReasons = [
  'off',
  'held',
  'no-address',
  'address',
  'opted-out',
  'mailbox-limit',
  'form-limit',
  'network-limit',
  'domain-limit',
] as const;
export type NoReplyReason = (typeof noReplyReasons)[number];

/** Why a message is held. The operator sees it, the visitor never does. */
export const suspicions = [
  'honeypot',
  'filled-too-fast',
  'many-links',
  'link-markup',
  'link-in-name',
  'same-text-from-many',
  'sender-blocked',
  'captcha-unavailable',
  'held-by-hand',
] as const;
export type Suspicion = (typeof suspicions)[number];

/** Why a message is held, for people. The weakest reason comes first: summaries show what may be a mistake at the top. */
export const heldReasonWords: Readonly<Record<Suspicion, string>> = {
  'captcha-unavailable': 'the captcha could not be checked',
  'many-links': 'many links',
  'filled-too-fast': 'faster than a person can type',
  'link-in-name': 'a link as a name',
  'link-markup': 'links written as HTML or BBCode',
  'same-text-from-many': 'the same text from many addresses',
  honeypot: 'a hidden field was filled in',
  'sender-blocked': 'its sender is blocked',
  'held-by-hand': 'held by hand',
};

/** A later release may store other reasons. @param words of another language than English. */
export function heldInWords(
  reasons: readonly string[],
  words: Readonly<Record<string, string>> = heldReasonWords,
): string {
  return reasons.map((it) => words[it] ?? it).join(', ');
}

/**
 * Why the queue is paused. `broken`: the mail server rejects our connection or login, until the probe succeeds. `hand`: an
 * operator paused it. `restored`: this database is a copy of another one, which may have sent the queued mail since.
 */
export const storedPauseCauses = ['broken', 'hand', 'restored'] as const;

/** As shown. `away`: no mail server answers; stored as `broken`, which release 0.2.0 probes too. */
export const pauseCauses = [...storedPauseCauses, 'away'] as const;
export type PauseCause = (typeof pauseCauses)[number];

/** `read` shows, `write` changes and deletes, `export` takes everything at once. No scope includes another. */
export const keyScopes = ['read', 'write', 'export'] as const;
export type KeyScope = (typeof keyScopes)[number];

/** What an operator can do about a finding. The command line and the server name their own commands for it. */
export type Advice =
  | `resume-${PauseCause}`
  | 'start-worker'
  | 'retry-postponed'
  | 'settle-failed'
  | 'settle-failed-notifications'
  | 'look-at-held'
  | 'look-at-hooks'
  | 'look-at-keys'
  | 'tell-owners'
  | 'purge-regularly'
  | 'back-up'
  | 'test-alerts'
  | 'migrate-up'
  | 'migrate-down-first';

/** What a refused request lacks. The command line and the server name their own option for it. */
export type Need = 'again' | 'even-older' | 'even-so' | 'release' | 'close' | 'closes';

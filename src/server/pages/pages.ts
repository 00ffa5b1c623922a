import type { Config } from '../../config/config.ts';
import type { ProblemCode } from '../../problems.ts';
import { maxValues } from '../http/body-limits.ts';
import { type ProblemDetails, problemKinds } from '../http/problem-details.ts';
import { describeApi } from '../openapi/describe-api.ts';
import { apiReference } from './api-reference.ts';
import { asInputs, correction, typedTexts } from './correction.ts';
import { hasMailbox } from './mailbox-routes.ts';
import { basePathOf, pageOpener } from './open-page.ts';
import { scriptSettings } from './script-settings.ts';
import { snippets } from './snippets.ts';

/** The pages a visitor or a newcomer sees. Each is a whole HTML document. */
export interface Pages {
  readonly landing: string;
  readonly docs: string;
  /** The document that `docs` shows, as JSON. */
  readonly openapi: string;
  /** `from` is the address of the page that the visitor came from, if the browser told. */
  thanks(receipt: string | undefined, from: string): string;
  /**
   * For any refusal. Where the visitor can do something about it, it is a form with what was posted to `action`, to
   * be corrected; every 5xx has the same page, with a way to send again what was posted, which a limit has too. A page
   * that no form knows must not be able to post by way of ours: its visitor can copy what was typed.
   */
  problem(details: ProblemDetails, refused: RefusedPost): string;
}

/** What a page of ours needs to go on with a post that was refused. */
export interface RefusedPost {
  /** Undefined where it was not read, or is not a post. */
  posted: ReadonlyMap<string, unknown> | undefined;
  /** Where it was posted to. */
  action: string;
  /** Whether it came from a page that some form takes posts of, or from no page. */
  fromKnownPage: boolean;
  /** Where the visitor goes once it is stored, if not to our own page: an address that is allowed. */
  next: string | undefined;
  /** The kind of captcha that is to be solved, where that is what was refused. */
  captcha: string | undefined;
}

export function openPages(config: Config): Pages {
  const page = pageOpener(config.publicUrl);
  const basePath = basePathOf(config.publicUrl);
  const [landing, docs, thanks, correct, problem] = [
    page('landing'),
    page('docs'),
    page('thanks'),
    page('correct'),
    page('problem'),
  ];
  const api = describeApi(config.publicUrl);
  return {
    landing: landing({
      title: 'ruffinweb',
      public_url: config.publicUrl,
      snippets: snippets(config.publicUrl, config.captcha.kind),
      captcha: config.captcha.kind,
    }),
    docs: docs({
      title: 'API reference · ruffinweb',
      public_url: config.publicUrl,
      problems: problemKinds,
      settings: scriptSettings,
      ...apiReference(api),
    }),
    openapi: JSON.stringify(api, null, 2),
    thanks: (receipt, from) =>
      thanks({
        title: 'Thank you',
        receipt: receipt ?? '',
        back: siteOf(from) ?? null,
        // The link has no key: the mailbox tells strangers nothing.
        mailbox: hasMailbox(config),
      }),
    problem(details, { posted, action, fromKnownPage, next, captcha }) {
      const corrected = posted && isCorrectable(details.code, captcha) ? correction(details, posted) : undefined;
      // Fields that are missing come on top of what was posted. A form of more values would be refused again.
      return corrected !== undefined && corrected.fields.length + corrected.hidden.length <= maxValues
        ? correct({ action, next: next ?? `${basePath}/thanks`, ...corrected })
        : problem({ action, ...refusal(details, posted, fromKnownPage) });
    },
  };
}

/** Whether the visitor can put it right on our page; a hosted captcha is only solved where its widget stands. */
function isCorrectable(code: ProblemCode, captcha: string | undefined): boolean {
  return code === 'fields-invalid' || (/^captcha-/.test(code) && captcha === 'altcha');
}

function refusal(details: ProblemDetails, posted: ReadonlyMap<string, unknown> | undefined, fromKnownPage: boolean) {
  const ours = details.status >= 500;
  const foreign = details.code === 'origin-refused';
  const sendable = ours || details.code === 'rate-limited';
  const heading = details.status === 404 ? 'Nothing here' : ours ? 'That did not work' : details.title;
  return {
    title: heading,
    heading,
    status: details.status,
    detail: ours
      ? posted === undefined
        ? 'The fault is on our side; please try again in a few minutes.'
        : 'Your message may not have been stored. The fault is on our side; please try again in a moment: the same message is never stored twice.'
      : details.status === 404
        ? 'There is no page at this address.'
        : `${details.detail[0]?.toUpperCase()}${details.detail.slice(1)}.`,
    for_owner: foreign,
    // To be copied, not to be sent from here: a page that may not post must not be able to by way of this one.
    typed: (foreign || (sendable && !fromKnownPage)) && posted !== undefined ? typedTexts(posted) : [],
    how_on: /^captcha-/.test(details.code)
      ? 'Nothing was sent. Please go back to the form, solve the captcha there, and send it again; what you typed should still be there.'
      : '',
    request_id: ours ? details.requestId : '',
    again: sendable && fromKnownPage && posted !== undefined ? asInputs(posted) : [],
  };
}

/** The front page of the site that an address belongs to: what a browser tells of another site is no more. */
function siteOf(address: string): { url: string; host: string } | undefined {
  const url = URL.parse(address);
  return url !== null && /^https?:$/.test(url.protocol) ? { url: `${url.origin}/`, host: url.host } : undefined;
}

import type { Config } from '../../config/config.ts';
import { catalogueOf, fill, inLanguage } from '../../languages/languages.ts';
import type { ProblemCode } from '../../problems.ts';
import { type FieldRules, labelOf } from '../../services/forms/fields.ts';
import type { Submitted } from '../../services/intake/submit-message.ts';
import type { Language } from '../../words.ts';
import { maxValues } from '../http/body-limits.ts';
import { type ProblemDetails, problemKinds } from '../http/problem-details.ts';
import { describeApi } from '../openapi/describe-api.ts';
import { apiReference } from './api-reference.ts';
import { asInputs, correction, typedTexts } from './correction.ts';
import { hasMailbox } from './mailbox-routes.ts';
import { basePathOf, pageOpener } from './open-page.ts';
import { scriptSettings } from './script-settings.ts';
import { snippets } from './snippets.ts';
import { type Refused, wordsForVisitors } from './visitor-words.ts';

/** HTML documents for visitors and newcomers. */
export interface Pages {
  readonly landing: string;
  readonly docs: string;
  /** The OpenAPI document as JSON. */
  readonly openapi: string;
  /**
   * @param from the page that the visitor came from; empty if the browser does not say.
   * @param form with words of its own.
   */
  thanks(receipt: string | undefined, from: string, language: Language, form?: ThankingForm | null): string;
  /**
   * For any refusal. If the visitor can correct the post, the page is a form with what was posted. After a 5xx or a limit, it
   * can send the post again. A page that may not post must not be able to do so through ours: its visitor can only copy what
   * was typed.
   */
  problem(details: ProblemDetails, refused: RefusedPost): string;
}

type ThankingForm = Pick<Submitted['form'], 'slug' | 'name' | 'words'>;

export interface RefusedPost extends Omit<Refused, 'isRead'> {
  /** Undefined if it was not read, or is not a post. */
  posted: ReadonlyMap<string, unknown> | undefined;
  /** The form's name for visitors, if it is known. */
  form: string | undefined;
  /** Its settings, if this server has read them. */
  settings?: FieldRules | undefined;
  /** The path that it was posted to. */
  action: string;
  /** Whether it came from a page that may post to some form, or from no page. */
  fromKnownPage: boolean;
  /** Whether the page hides its origin from us. */
  hidesOrigin: boolean;
  /** The allowed page to go to after the post is stored; undefined for ours. */
  next: string | undefined;
  /** The captcha to solve, if its solution was missing or wrong. */
  captcha: string | undefined;
}

export function openPages(config: Config): Pages {
  const page = pageOpener(config.publicUrl);
  const basePath = basePathOf(config.publicUrl);
  const [thanks, correct, problem] = [page('thanks'), page('correct'), page('problem')];
  const api = describeApi(config.publicUrl);
  return {
    landing: page('landing')({
      title: 'ruffinweb',
      public_url: config.publicUrl,
      snippets: snippets(config),
      captcha: config.captcha.kind,
    }),
    docs: page('docs')({
      title: 'API reference · ruffinweb',
      public_url: config.publicUrl,
      problems: problemKinds,
      settings: scriptSettings,
      ...apiReference(api),
    }),
    openapi: JSON.stringify(api, null, 2),
    thanks: (receipt, from, language, form) =>
      thanks({
        language,
        ...thanksWords(config, receipt ?? '', language, form),
        receipt: receipt ?? '',
        back: siteOf(from) ?? null,
        // The link has no key, so it does not open the mailbox for strangers.
        mailbox: hasMailbox(config),
      }),
    problem(details, refused) {
      const { posted, form, action, next, captcha, language, settings } = refused;
      const corrected =
        posted && isCorrectable(details.code, captcha) ? correction(details, posted, settings, refused) : undefined;
      // Missing fields are added to what was posted. A form with too many values would be refused again.
      return corrected !== undefined && corrected.fields.length + corrected.hidden.length <= maxValues
        ? correct({ language, form: form ?? '', action, next: next ?? `${basePath}/thanks`, ...corrected })
        : problem({ language, form: form ?? '', action, ...refusal(details, refused) });
    },
  };
}

/** Whether the visitor can correct it on our page. A hosted captcha needs its widget, which is on the form's page. */
function isCorrectable(code: ProblemCode, captcha: string | undefined): boolean {
  return code === 'fields-invalid' || (/^captcha-/.test(code) && captcha === 'altcha');
}

function thanksWords(config: Config, receipt: string, language: Language, form: ThankingForm | null | undefined) {
  const { thanks, stored } = catalogueOf(language).pages;
  const own = form?.words;
  const values = { receipt, form: form?.name ?? labelOf(form?.slug ?? ''), site: new URL(config.publicUrl).host };
  return {
    title: fill(inLanguage(own?.thanksHeading ?? thanks, language), values),
    text: fill(inLanguage(own?.thanksText ?? stored, language), values),
  };
}

function refusal(details: ProblemDetails, refused: RefusedPost) {
  const { posted, fromKnownPage, hidesOrigin, label, language } = refused;
  const isOurFault = details.status >= 500;
  const isForeign = details.code === 'origin-refused';
  const isSendable = isOurFault || details.code === 'rate-limited';
  const isLost = isForeign || ['form-unknown', 'form-closed'].includes(details.code);
  const { heading, text } = wordsForVisitors(details, { ...refused, isRead: posted !== undefined });
  const { originHidden, originRefused } = catalogueOf(language).pages;
  return {
    title: heading,
    heading,
    status: details.status,
    text,
    for_owner: isForeign ? (hidesOrigin ? originHidden : originRefused) : '',
    typed: (isLost || (isSendable && !fromKnownPage)) && posted !== undefined ? typedTexts(posted, label) : [],
    is_captcha: /^captcha-/.test(details.code),
    request_id: isOurFault ? details.requestId : '',
    again: isSendable && fromKnownPage && posted !== undefined ? asInputs(posted) : [],
  };
}

/** The start page of a site: browsers send no more than the origin of another site. */
function siteOf(address: string): { url: string; host: string } | undefined {
  const url = URL.parse(address);
  return url !== null && /^https?:$/.test(url.protocol) ? { url: `${url.origin}/`, host: url.host } : undefined;
}
